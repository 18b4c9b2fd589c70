"""On PYTHONPATH, this steps the wall clock of a Python process by an hour, some seconds after its
start.

The kernel has no wall clock of a namespace's own; so the step is where Python reads it.
"""

import time

AFTER, STEP = 4.0, 3600.0
_read, _began = time.time, time.monotonic()


def _stepped() -> float:
    return _read() + (STEP if time.monotonic() - _began > AFTER else 0.0)


time.time = _stepped
