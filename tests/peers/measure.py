"""All runs of one peer, without TLS or with it, and their figures."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.peers.certificate import Certificate
from tests.peers.figures import Figures
from tests.peers.moment import (
    cpu_per_event,
    cpu_per_open,
    opening,
    opens_per_second,
    share_at_rest,
)
from tests.peers.neutral import neutral
from tests.peers.order import Order
from tests.peers.peer import EndedError, Tool
from tests.peers.trial import Trial, pinned, trial

FLAT_OUT = 20_000
"""Connections a second: more than any peer opens on one core."""
FEW = 100
"""Connections of the run that tells what each of many adds."""
SETTLE_S = 1.5
"""Seconds between the last open and what is watched."""
REST_S = 4.0
"""Seconds of silence in which the peer is watched."""
PINGS_S = 5.0
"""Seconds of pings that are watched."""
PINGS_PER_S = 2_000
"""Pings a second of all connections."""
MESSAGES = 10
"""Messages that each connection receives."""
MESSAGES_PER_S = 8_000
"""Messages a second to all connections."""


class Load(NamedTuple):
    """The load that all peers are asked for, without TLS or with it."""

    connections: int
    rate: int
    """Connections to open per second, where the pace is given."""
    certificate: Certificate | None


def cores() -> tuple[int, int]:
    """Returns the core of the peers, and that of the server and of this process."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def measured(tool: Tool, load: Load) -> Figures:
    """Returns the figures of a peer, of four runs."""
    few = _tried(run(tool, load, load.rate, connections=FEW), _few, load)
    figures = _tried(run(tool, load, load.rate), partial(_silent, load), load)
    every = load.connections / PINGS_PER_S
    pinging = run(tool, load, load.rate, ping_every=every)
    pinged = _tried(pinging, partial(_pinging, load, figures.rest), load)
    hurried = _tried(run(tool, load, FLAT_OUT), partial(_flat_out, load), load)
    more = figures.open - few.open
    kib = 1024 * (figures.mib - few.mib) / more if few.open and more > 0 else None
    return figures.merged(pinged, hurried)._replace(kib=kib)


def _tried(
    running: AbstractContextManager[Trial], figures: Callable[[Trial], Figures], load: Load
) -> Figures:
    """Returns the figures of a run, or the last words of a peer that broke off."""
    try:
        with running as trial:
            return figures(trial)
    except EndedError as ended:
        return Figures(failed=load.connections, words=str(ended))


@contextmanager
def run(
    tool: Tool, load: Load, rate: int, connections: int = 0, ping_every: float = 0.0
) -> Iterator[Trial]:
    """A peer that begins to carry out a part of a load, against a new server."""
    theirs, ours = cores()
    certificate = load.certificate
    with (
        TemporaryDirectory() as folder,
        neutral(certificate and certificate.own, pinned(ours)) as server,
    ):
        order = Order(
            url=f"{'wss' if certificate else 'ws'}://127.0.0.1:{server.port}/",
            connections=connections or load.connections,
            rate=rate,
            ping_every=ping_every,
            authority=certificate and certificate.authority,
            folder=Path(folder),
        )
        with trial(tool, order, server, pinned(theirs)) as running:
            yield running


def _few(running: Trial) -> Figures:
    """Returns the memory of a run with few connections."""
    running.open_all()
    time.sleep(SETTLE_S)
    return Figures(open=running.moment().counts.open, mib=running.mib())


def _silent(load: Load, running: Trial) -> Figures:
    """Returns the figures of a run at a given pace, that is silent and then receives."""
    running.open_all()
    time.sleep(SETTLE_S)
    begin, end = running.during(REST_S)
    mib, held = running.mib(), running.sockets()
    rest = share_at_rest(begin, end)
    every = MESSAGES_PER_S / load.connections
    first, last = running.receiving(MESSAGES, 1 / every)
    events = last.counts.sent - first.counts.sent
    return Figures(
        open=end.counts.open,
        failed=_failed(load, running.ramp[-1].counts.opened, last.counts.open),
        sockets=held.established,
        paced=opens_per_second(running.opens()),
        start_cpu_s=running.start.cpu_s,
        start_mib=running.start.mib,
        open_us=cpu_per_open(running.ramp),
        mib=mib,
        rest=rest,
        message_us=cpu_per_event(first, last, events, rest),
        unread=running.sockets().unread,
    )


def _pinging(load: Load, rest: float | None, running: Trial) -> Figures:
    """Returns the figures of a run in which each connection pings."""
    running.open_all()
    time.sleep(SETTLE_S)
    begin, end = running.during(PINGS_S)
    turns = end.counts.turns - begin.counts.turns
    return Figures(
        failed=_failed(load, running.ramp[-1].counts.opened, end.counts.open),
        ping_us=cpu_per_event(begin, end, turns, rest),
        pings=turns / (end.at - begin.at),
    )


def _flat_out(load: Load, running: Trial) -> Figures:
    """Returns the figures of a run that opens as fast as it can."""
    running.open_all()
    last = running.ramp[-1].counts
    opened = running.dialed and opening(running.dialed, running.ramp)
    return Figures(
        failed=_failed(load, last.opened, last.open),
        flat_out=opened and opened.per_second,
        flat_us=opened and opened.cpu_us,
    )


def _failed(load: Load, opened: int, still_open: int) -> int:
    """Returns the asked-for connections that did not open, or did not stay open."""
    return load.connections - min(opened, still_open, load.connections)
