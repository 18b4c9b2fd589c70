"""Steps the wall clock of a Python process by an hour, 4 s after its start.

It takes effect on PYTHONPATH. The step is where Python reads the clock, since the kernel has no
namespace of the wall clock.
"""

import time

AFTER = 4.0
STEP = 3600.0
_read = time.time
_began = time.monotonic()


def _stepped() -> float:
    return _read() + (STEP if time.monotonic() - _began > AFTER else 0.0)


time.time = _stepped
