"""The parent of a target's workers: forks them, says when they accept, ends them, and fails when
one of them does."""

import gc
import math
import os
import signal
import traceback

import click

from loadgen.errors import OperatorError
from loadgen.process import SPARE_DESCRIPTORS, how_it_ended, raise_nofile
from loadgen.target import worker
from loadgen.target.bus import mailboxes
from loadgen.target.counters import Counters
from loadgen.target.listeners import open_listeners
from loadgen.target.request import PATH
from loadgen.target.settings import TargetSettings
from loadgen.values import Endpoint

FILL = 0.95
"""The share of its descriptors that a worker is meant to give to connections.

SO_REUSEPORT deals connections out by hash, so that some workers get more than the average.
"""


def workers_for(limit: int, cores: int, descriptors: int) -> int:
    """One worker per core, or more where so many connections need them."""
    return max(cores, 1, math.ceil(limit / (FILL * descriptors)))


def most_connections(workers: int, descriptors: int) -> int:
    """How many connections one of so many workers can hold."""
    return max(0, descriptors - workers - SPARE_DESCRIPTORS)


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class WorkerDiedError(OperatorError):
    """A worker ended that should not have: the ledger is no longer whole."""

    exit_code = 1


def serve(settings: TargetSettings) -> None:
    """Runs a target until SIGTERM or SIGINT."""
    descriptors = raise_nofile()
    count = settings.workers or workers_for(
        settings.limit, len(os.sched_getaffinity(0)), descriptors
    )
    if count < workers_for(settings.limit, 1, descriptors):
        click.echo(
            f"loadgen-target: --workers {count} at {descriptors} descriptors each can hold about"
            f" {int(count * FILL * descriptors)} connections, fewer than the limit of"
            f" {settings.limit}",
            err=True,
        )
    try:
        workers = Workers(settings, count, descriptors)
    except OSError as error:
        raise OperatorError(
            f"can't set up {count} workers: {error.strerror}; ask for fewer with --workers"
        ) from error
    try:
        workers.start()
        workers.watch()
    finally:
        workers.end()


class Workers:
    """The workers of one target, and the pipe on which their parent hears of signals and of
    their being ready."""

    def __init__(self, settings: TargetSettings, count: int, descriptors: int) -> None:
        listeners = open_listeners(settings.listen, count)
        endpoint = Endpoint(settings.listen.host, listeners[0].getsockname()[1])
        self._welcome = (
            f"loadgen-target: listening on ws://{endpoint}{PATH} "
            f"({count} workers, limit {settings.limit}, mode {settings.mode})"
        )
        counters = Counters(count, settings.limit, most_connections(count, descriptors))
        inbox = os.pipe()
        os.set_blocking(inbox[1], False)  # as signal.set_wakeup_fd demands
        self._shared = worker.Shared(
            settings, counters, listeners, mailboxes(count), os.pipe(), inbox
        )
        self._pids: dict[int, int] = {}
        """The workers' numbers by process id."""

    def start(self) -> None:
        """Forks the workers from this warmed process, so that they share its pages."""
        # Blocked until the parent's handlers stand, so that no worker is ever born with them.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        gc.disable()
        gc.collect()
        gc.freeze()
        for number in range(len(self._shared.listeners)):
            pid = os.fork()
            if not pid:
                _work(self._shared, number)
            self._pids[pid] = number
        for listener, mailbox in zip(self._shared.listeners, self._shared.mailboxes, strict=True):
            listener.close()
            mailbox.inward.close()
            mailbox.outward.close()
        for number in _SIGNALS:
            signal.signal(number, _heard)
        signal.set_wakeup_fd(self._shared.inbox[1])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def watch(self) -> None:
        """Waits for a signal to stop; says once when all workers accept, and raises when one
        ends."""
        awaited = len(self._pids)
        while True:
            for word in os.read(self._shared.inbox[0], 4096):
                if word == worker.READY:
                    awaited -= 1
                    if not awaited:
                        click.echo(self._welcome)
                elif word == signal.SIGCHLD:
                    self._worker_died()
                else:
                    return

    def end(self) -> None:
        """Ends the workers; they have nothing to tidy up, and SIGKILL reaches a stopped one as
        well."""
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
        for pid in self._pids:
            os.waitpid(pid, 0)
        self._pids.clear()

    def _worker_died(self) -> None:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            number = self._pids.pop(pid)
            how = how_it_ended(os.waitstatus_to_exitcode(status))
            raise WorkerDiedError(
                f"worker {number} (pid {pid}) {how}; a target without it would count wrong"
            )


def _heard(*_: object) -> None:
    """A handler must stand for the wakeup pipe to hear of the signal."""


def _work(shared: worker.Shared, number: int) -> None:
    """A forked child's whole life: it must not return into what its parent was doing."""
    try:
        worker.run(shared, number)
    except (
        BaseException
    ):  # a bug, or no descriptors or memory left for a worker: its parent is told by the exit code
        traceback.print_exc()
    finally:
        os._exit(1)
