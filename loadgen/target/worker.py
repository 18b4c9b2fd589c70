"""One process of a target: accepts on its own socket until its parent ends.

All sockets have the same port.
"""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import uvloop
from aiohttp import web

from loadgen.process import leave_ending_to_owner, run_in_batches
from loadgen.target.bus import Bus, Mailbox
from loadgen.target.counters import Counters
from loadgen.target.http import application
from loadgen.target.listeners import BACKLOG
from loadgen.target.settings import TargetSettings
from loadgen.target.state import WorkerState
from loadgen.target.upgrade import UpgradeProtocol

READY = 0
"""The byte that a worker sends its parent once it accepts; no signal has the number 0."""
_YOUNG = 50_000
"""New containers before the collector looks at the young generation: with 64,000 connections a
pass stalls the worker."""


class Shared(NamedTuple):
    """The things that the parent creates for all workers before the fork."""

    settings: TargetSettings
    counters: Counters
    listeners: Mapping[int, socket.socket]
    """One for each worker that starts now, by its number."""
    mailboxes: Sequence[Mailbox]
    """One per worker, also of those that start later."""
    parent_lives: tuple[int, int]
    """A pipe without data: only the parent keeps its write end, so it ends with the parent."""
    inbox: tuple[int, int]
    """The pipe to the parent, for READY and for signals."""


def run(shared: Shared, number: int) -> None:
    """Serves until it is killed or the parent ends.

    It is called in a process just forked, with the signals still blocked.
    """
    _reset_signals()
    _close_others(shared, number)
    run_in_batches()
    gc.set_threshold(_YOUNG, 100, 100)
    gc.enable()
    uvloop.run(_serve(shared, number))


def _reset_signals() -> None:
    """Ignores what reaches the whole terminal or group: the parent ends the workers."""
    signal.set_wakeup_fd(-1)  # the parent's, in a worker that starts later
    leave_ending_to_owner()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _close_others(shared: Shared, number: int) -> None:
    """Closes the ends of the parent and of other workers.

    A listener that two processes have open would outlive its worker.
    """
    os.close(shared.parent_lives[1])
    os.close(shared.inbox[0])
    for other, listener in shared.listeners.items():
        if other != number:
            listener.close()
    for other, mailbox in enumerate(shared.mailboxes):
        if other != number:
            mailbox.inward.close()


async def _serve(shared: Shared, number: int) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(shared.parent_lives[0], os._exit, 0)
    counters = shared.counters
    state = WorkerState(shared.settings, counters, number)
    bus = Bus(number, shared.mailboxes, state.deliver, lambda: counters.running[0])
    bus.listen()
    state.spread = bus.send
    runner = web.AppRunner(application(state, bus), access_log=None)
    await runner.setup()
    http = runner.server
    assert http is not None
    await loop.create_server(
        lambda: UpgradeProtocol(state, http), sock=shared.listeners[number], backlog=BACKLOG
    )
    os.write(shared.inbox[1], bytes((READY,)))
    await loop.create_future()
