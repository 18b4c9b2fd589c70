"""The warmed parent of an agent's workers: loads every module once, forks, and tells how each child
ended.

`python -m loadgen.worker.forkserver INPUT OUTPUT ERRORS…` forks one worker for every three
inherited descriptors, which become its standard ones. Forked workers share the pages of interpreter
and modules, and start in a moment. One line on standard output for each end: the worker's place,
and its exit code, negative for a signal.
"""

import gc
import os
import signal
import sys

from loadgen.process import end_with_parent, set_process_name
from loadgen.worker.main import main as serve

BEYOND_ANY_DESCRIPTOR = 1 << 30


def main() -> None:
    """Forks, and waits until every child has ended, or nobody wants to know any more."""
    descriptors = [int(argument) for argument in sys.argv[1:]]
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole terminal; the agent decides
    end_with_parent(signal.SIGKILL)  # a worker that hangs would not see that its agent is gone
    gc.collect()
    gc.freeze()
    children = {
        _fork(*descriptors[place : place + 3]): place // 3
        for place in range(0, len(descriptors), 3)
    }
    while children:
        pid, status = os.wait()
        try:
            os.write(1, b"%d %d\n" % (children.pop(pid), os.waitstatus_to_exitcode(status)))
        except BrokenPipeError:  # the agent is gone; the workers see it too
            return


def _fork(*standard: int) -> int:
    """One worker with these standard descriptors, of which its parent keeps none."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
        os.closerange(
            3, BEYOND_ANY_DESCRIPTOR
        )  # the others' ends: a pipe must end when its owner does
        set_process_name(b"loadgen-worker")
        end_with_parent(signal.SIGKILL)  # no worker outlives who would tell of its end
        if os.getppid() == parent:
            serve()
        os._exit(0)
    for descriptor in standard:
        os.close(descriptor)
    return pid


if __name__ == "__main__":
    main()
