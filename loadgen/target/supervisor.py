"""The parent of a target's workers: forks them, waits for signals, and ends them.

Where no limit is given, one per core starts at once, and the others once connections demand them.

A target without one of its workers would count wrong, so that the death of one ends them all.
"""

import gc
import math
import os
import select
import signal
import traceback
from typing import NamedTuple

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
from loadgen.target.listeners import more_listeners, open_listeners, steer
from loadgen.target.settings import TargetSettings
from loadgen.values import APPWRITE_PATH, REFERENCE_CONNECTIONS, Endpoint

FILL = 0.95
"""The part of its descriptors that a worker is meant to use for connections.

SO_REUSEPORT deals connections by hash, so that some workers get more than the average.
"""
LATE_FILL = 0.8
"""The same part where workers start later: until then the first ones get all connections."""
FEW = 0.1
"""The part of the first workers' connections above which all workers start."""
LOOK_INTERVAL = 0.2
"""Seconds between two looks at the number of connections, as long as workers may start."""
_SIGNALS = (*ending_signals(), signal.SIGCHLD)


class WorkerDiedError(OperatorError):
    """A worker ended unexpectedly, and its connections are missing in the counters."""

    exit_code = 1


def workers_for(limit: int, cores: int, descriptors: int, fill: float = FILL) -> int:
    """Returns one worker per core, or more where the limit needs them."""
    return max(cores, 1, math.ceil(limit / (fill * descriptors)))


def max_connections(workers: int, descriptors: int) -> int:
    """Returns how many connections each of the workers can hold.

    Beside its spare descriptors a worker has one open for each worker's mailbox.
    """
    return max(0, descriptors - workers - SPARE_DESCRIPTORS)


class Size(NamedTuple):
    """The number of a target's workers, and of the connections that they may hold."""

    first: int
    """The workers that start at once."""
    most: int
    """All workers; those beyond the first ones start once connections demand them."""
    limit: int


def size_of(settings: TargetSettings, cores: int, descriptors: int) -> Size:
    """Returns the size of a target on a machine with these cores and descriptors."""
    limit, workers = settings.limit, settings.workers
    if limit is None and workers is None:
        limit = REFERENCE_CONNECTIONS
        return Size(cores, workers_for(limit, cores, descriptors, LATE_FILL), limit)
    limit = REFERENCE_CONNECTIONS if limit is None else limit
    workers = workers or workers_for(limit, cores, descriptors)
    return Size(workers, workers, limit)


def serve(settings: TargetSettings) -> None:
    """Runs a target until a signal to end; raises OperatorError when it can't."""
    descriptors = raise_nofile()
    size = size_of(settings, len(os.sched_getaffinity(0)), descriptors)
    if size.most < workers_for(size.limit, 1, descriptors):
        click.echo(
            f"loadgen-target: --workers {size.most} at {descriptors} descriptors each can hold"
            f" about {int(size.most * FILL * descriptors)} connections, fewer than the limit of"
            f" {size.limit}",
            err=True,
        )
    try:
        workers = Workers(settings, size, descriptors)
    except OSError as error:
        raise OperatorError(
            f"can't set up {size.most} workers: {error.strerror}; ask for fewer with --workers"
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

    def __init__(self, settings: TargetSettings, size: Size, descriptors: int) -> None:
        listeners = open_listeners(settings.listen, size.first)
        endpoint = Endpoint(settings.listen.host, listeners[0].getsockname()[1])
        later = f" of up to {size.most}" if size.most > size.first else ""
        self._welcome = (
            f"loadgen-target: listening on ws://{endpoint}{APPWRITE_PATH} "
            f"({size.first}{later} workers, limit {size.limit}, mode {settings.mode})"
        )
        self._size = size
        self._listener = listeners[0]
        """A listener of the port, until all workers have started."""
        counters = Counters(size.most, size.limit, max_connections(size.most, descriptors))
        self._few = FEW * size.first * counters.max_per_worker
        """The connections above which all workers start."""
        inbox = os.pipe()
        os.set_blocking(inbox[1], False)  # as signal.set_wakeup_fd demands
        self._shared = worker.Shared(
            settings, counters, dict(enumerate(listeners)), mailboxes(size.most), os.pipe(), inbox
        )
        self._pids: dict[int, int] = {}
        """The numbers of the workers by process id."""
        self._accepting = 0
        """The number of workers that accept."""

    def start(self) -> None:
        """Starts the first workers."""
        # Blocked until the parent's handlers are set, so that no worker inherits them.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        gc.disable()
        gc.collect()
        gc.freeze()
        self._fork()
        for number in _SIGNALS:
            signal.signal(number, _ignore)
        signal.set_wakeup_fd(self._shared.inbox[1])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _start_others(self) -> None:
        """Starts all workers that have not started.

        They are dealt no connection before all accept.
        """
        numbers = range(self._size.first, self._size.most)
        listeners = more_listeners(self._listener, len(numbers))
        self._listener.close()
        self._listener = listeners[0]
        self._shared = self._shared._replace(listeners=dict(zip(numbers, listeners, strict=True)))
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._fork()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _fork(self) -> None:
        """Forks workers from this warm process, so that they share its pages.

        The signals must be blocked.
        """
        shared = self._shared
        shared.counters.running[0] += len(shared.listeners)
        for number in shared.listeners:
            pid = os.fork()
            if not pid:
                _run_worker(shared, number)
            self._pids[pid] = number
        for listener in shared.listeners.values():
            if listener is not self._listener:
                listener.close()
        if self._complete:
            for mailbox in shared.mailboxes:
                mailbox.inward.close()
                mailbox.outward.close()

    @property
    def _complete(self) -> bool:
        """True once all workers have started."""
        return len(self._pids) == self._size.most

    def watch(self) -> None:
        """Waits for a signal to stop, and prints once that the first workers accept.

        Starts the others once connections demand them. Raises WorkerDiedError when a worker ends.
        """
        inbox = self._shared.inbox[0]
        while True:
            if not self._complete and not select.select([inbox], (), (), LOOK_INTERVAL)[0]:
                if self._shared.counters.held[0] > self._few:
                    self._start_others()
                continue
            for byte in os.read(inbox, 4096):
                if byte == worker.READY:
                    self._count_accepting()
                elif byte == signal.SIGCHLD:
                    self._check_children()
                else:
                    return

    def _count_accepting(self) -> None:
        """Counts a worker that accepts now."""
        first, most, _ = self._size
        self._accepting += 1
        if self._accepting == most:
            if first < most:
                steer(self._listener, most)
            self._listener.close()
        if self._accepting == first:
            click.echo(self._welcome)

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
