"""The parent of an agent's workers: loads every module once, and forks.

`python -m loadgen.worker.forkserver ROWS INPUT OUTPUT ERRORS…` forks one worker for every three
inherited descriptors, which become the worker's standard ones. ROWS is the file with the rows of
the plan's feeders, which all workers read; -1: there are none. Forked workers share the pages of
interpreter and modules, and start in a moment. For each end it writes one line to standard output:
the worker's place, and its exit code, negative for a signal.
"""

import gc
import os
import signal
import sys
from typing import NoReturn

from loadgen.process import end_with_parent, leave_ending_to_owner, set_process_name
from loadgen.sessions.rows import ROWS_DESCRIPTOR
from loadgen.worker.main import main as serve

BEYOND_ANY_DESCRIPTOR = 1 << 30


def main() -> None:
    """Forks the workers; returns when all have ended, or when the agent has."""
    rows, *descriptors = (int(argument) for argument in sys.argv[1:])
    leave_ending_to_owner()
    end_with_parent(signal.SIGKILL)  # a worker that hangs would not see that its agent is dead
    gc.collect()
    gc.freeze()
    children = {
        _fork(rows, *descriptors[place : place + 3]): place // 3
        for place in range(0, len(descriptors), 3)
    }
    while children:
        pid, status = os.wait()
        try:
            os.write(1, b"%d %d\n" % (children.pop(pid), os.waitstatus_to_exitcode(status)))
        except BrokenPipeError:  # the agent is dead; the workers see it too
            return


def _fork(rows: int, *standard: int) -> int:
    """Forks a worker with these standard descriptors; returns its process id."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become_worker(parent, standard, rows)
    for descriptor in standard:
        os.close(descriptor)
    return pid


def _become_worker(parent: int, standard: tuple[int, ...], rows: int) -> NoReturn:
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
    kept = len(standard)
    if rows >= 0:
        os.dup2(rows, ROWS_DESCRIPTOR)
        kept = ROWS_DESCRIPTOR + 1
    # The other workers' ends too: a pipe ends only when every copy of its end is closed.
    os.closerange(kept, BEYOND_ANY_DESCRIPTOR)
    set_process_name(b"loadgen-worker")
    end_with_parent(signal.SIGKILL)  # the parent reports each end, so no worker may outlive it
    if os.getppid() == parent:
        serve()
    os._exit(0)


if __name__ == "__main__":
    main()
