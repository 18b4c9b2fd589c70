"""The parent of a target's workers: forks them, waits for signals, and ends them.

A target without one of its workers would count wrong, so that the death of one ends them all.
"""

import gc
import math
import os
import signal
import traceback

import click

from loadgen.errors import OperatorError
from loadgen.process import (
    SPARE_DESCRIPTORS,
    ending_signals,
    how_it_ended,
    raise_nofile,
)
from loadgen.target import worker
from loadgen.target.bus import mailboxes
from loadgen.target.counters import Counters
from loadgen.target.listeners import open_listeners
from loadgen.target.request import PATH
from loadgen.target.settings import TargetSettings
from loadgen.values import Endpoint

FILL = 0.95
"""The part of its descriptors that a worker is meant to use for connections.

SO_REUSEPORT deals connections by hash, so that some workers get more than the average.
"""
_SIGNALS = (*ending_signals(), signal.SIGCHLD)


class WorkerDiedError(OperatorError):
    """A worker ended unexpectedly, and its connections are missing in the counters."""

    exit_code = 1


def workers_for(limit: int, cores: int, descriptors: int) -> int:
    """Returns one worker per core, or more where the limit needs them."""
    return max(cores, 1, math.ceil(limit / (FILL * descriptors)))


def max_connections(workers: int, descriptors: int) -> int:
    """Returns how many connections each of the workers can hold.

    Beside its spare descriptors a worker has one open for each worker's mailbox.
    """
    return max(0, descriptors - workers - SPARE_DESCRIPTORS)


def serve(settings: TargetSettings) -> None:
    """Runs a target until a signal to end; raises OperatorError when it can't."""
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
    """The workers of one target.

    Their parent reads signals, and that workers are ready, from one pipe.
    """

    def __init__(self, settings: TargetSettings, count: int, descriptors: int) -> None:
        listeners = open_listeners(settings.listen, count)
        endpoint = Endpoint(settings.listen.host, listeners[0].getsockname()[1])
        self._welcome = (
            f"loadgen-target: listening on ws://{endpoint}{PATH} "
            f"({count} workers, limit {settings.limit}, mode {settings.mode})"
        )
        counters = Counters(count, settings.limit, max_connections(count, descriptors))
        inbox = os.pipe()
        os.set_blocking(inbox[1], False)  # as signal.set_wakeup_fd demands
        self._shared = worker.Shared(
            settings, counters, listeners, mailboxes(count), os.pipe(), inbox
        )
        self._pids: dict[int, int] = {}
        """The numbers of the workers by process id."""

    def start(self) -> None:
        """Forks the workers from this warm process, so that they share its pages."""
        # Blocked until the parent's handlers are set, so that no worker inherits them.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        gc.disable()
        gc.collect()
        gc.freeze()
        for number in range(len(self._shared.listeners)):
            pid = os.fork()
            if not pid:
                _run_worker(self._shared, number)
            self._pids[pid] = number
        for listener, mailbox in zip(self._shared.listeners, self._shared.mailboxes, strict=True):
            listener.close()
            mailbox.inward.close()
            mailbox.outward.close()
        for number in _SIGNALS:
            signal.signal(number, _ignore)
        signal.set_wakeup_fd(self._shared.inbox[1])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def watch(self) -> None:
        """Waits for a signal to stop, and prints once that all workers accept.

        Raises WorkerDiedError when a worker ends.
        """
        awaited = len(self._pids)
        while True:
            for byte in os.read(self._shared.inbox[0], 4096):
                if byte == worker.READY:
                    awaited -= 1
                    if not awaited:
                        click.echo(self._welcome)
                elif byte == signal.SIGCHLD:
                    self._check_children()
                else:
                    return

    def end(self) -> None:
        """Kills the workers; SIGKILL ends a stopped one too.

        They have nothing to clean up.
        """
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
        for pid in self._pids:
            os.waitpid(pid, 0)
        self._pids.clear()

    def _check_children(self) -> None:
        """Raises WorkerDiedError if a worker has ended."""
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            number = self._pids.pop(pid)
            how = how_it_ended(os.waitstatus_to_exitcode(status))
            raise WorkerDiedError(
                f"worker {number} (pid {pid}) {how}; a target without it would count wrong"
            )


def _ignore(*_: object) -> None:
    """Does nothing: a signal reaches the wakeup pipe only if it has a handler."""


def _run_worker(shared: worker.Shared, number: int) -> None:
    """Runs a worker in a forked child; it must never return into its parent's code."""
    try:
        worker.run(shared, number)
    except BaseException:
        # A bug, or no descriptors or memory left: the exit code reports it to the parent.
        traceback.print_exc()
    finally:
        os._exit(1)
