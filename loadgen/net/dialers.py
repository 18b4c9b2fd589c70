"""All addresses of a name: users are spread over them and pass over dead ones.

An address that takes no TCP connection is passed over: the same connection is dialed to the next
one, until all were tried. All of them share the connection's deadline in equal parts, so that one
that never answers leaves time for the others.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import NamedTuple

from loadgen.net.connection import Connection
from loadgen.net.dialer import Dialer, Failed, end
from loadgen.net.states import CLOSED, UPGRADING
from loadgen.plan.seeded import chance
from loadgen.stats.reasons import NO_FD, TIMEOUT

ADDRESS_SALT = 1_000_003
"""The salt of the draw of a user's first address."""
ADDRESSES_PASSED = "addresses_passed"
"""The name of the sample of an address that was passed over, as of the counter."""
LOOK = 0.25
"""Seconds between two looks at addresses that have not answered."""


def address_of(number: int, count: int) -> int:
    """Returns the place of a user's first address among `count`.

    Subtle: `count` users in a row have all of the addresses, but the place at which they begin is
    drawn. By the remainder alone, a worker that has every second user would need all of its ports
    towards one of two addresses.
    """
    turn, place = divmod(number, count)
    return (place + int(count * chance(0, turn, ADDRESS_SALT))) % count


def others_of(number: int, count: int) -> list[int]:
    """Returns the places that a user tries after its first one, in their order.

    The users of one address have all orders of the others in turn, so that those of one that is
    dead are spread as evenly as the rest.
    """
    first = address_of(number, count)
    rest = [place for place in range(count) if place != first]
    turn, order = number // count, []
    while rest:
        turn, place = divmod(turn, len(rest))
        order.append(rest.pop(place))
    return order


class Left(NamedTuple):
    """The addresses that a connection has not tried yet."""

    of: int
    """The number of addresses when it passed over the first one."""
    addresses: list[str]
    """Those that are left, in their turn."""


class Dialers:
    """The dialers of one target, one for each of its addresses."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connect_timeout: float,
        make: Callable[[str, Failed], Dialer],
        addresses: Sequence[str],
    ) -> None:
        """`make` returns the dialer of an address; `connect_timeout` is in seconds."""
        self._loop = loop
        self._connect_timeout = connect_timeout
        self._make = make
        self._dialers: dict[str, Dialer] = {}
        """By address; also those whose last connections are still open."""
        self._current: list[str] = []
        """The addresses of new connections."""
        self._left: dict[Connection, Left] = {}
        """The rest of the addresses, by connections that passed over one and are not open."""
        self._remarked: set[tuple[str, str]] = set()
        """The addresses and reasons that the agent's log has."""
        self._timer: asyncio.TimerHandle | None = None
        """The next look; None while nothing is under way."""
        self.use(addresses)

    def use(self, addresses: Sequence[str]) -> None:
        """Dials new connections to these addresses; open ones stay where they are."""
        for address in addresses:
            if address not in self._dialers:
                self._dialers[address] = self._make(address, self._pass_over)
        self._current = list(addresses)
        for address, dialer in list(self._dialers.items()):
            if address not in addresses and dialer.idle:
                dialer.close()
                del self._dialers[address]

    def dial(self, connection: Connection, now: float) -> None:
        """Sends the SYN to the address that the user's number names."""
        current = self._current
        first = current[address_of(connection.owner.number, len(current))]
        self._dialers[first].dial(connection, now)
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK, self._look)

    def forget(self, connection: Connection) -> None:
        """Forgets the addresses that a connection has not tried."""
        self._left.pop(connection, None)

    def cancel(self, connection: Connection) -> None:
        """Cancels an attempt that is under way; harmless for any other connection."""
        for dialer in self._dialers.values():
            dialer.cancel(connection)

    def close(self) -> None:
        """Closes every socket; no connection is called."""
        if self._timer is not None:
            self._timer.cancel()
        for dialer in self._dialers.values():
            dialer.close()

    def _pass_over(self, place: str, connection: Connection, reason: str) -> None:
        """Dials a connection to the next address, or ends it when none is left."""
        following = self._next(connection)
        if following is None or reason == NO_FD:  # without a descriptor no address helps
            end(place, connection, reason)
            return
        recorder = connection.recorder
        recorder.tally.addresses_passed += 1
        passed = f"{place}: {reason}; passed over, {following.place} is next"
        recorder.sample(ADDRESSES_PASSED, connection.owner.number, passed)
        if (place, reason) not in self._remarked:
            self._remarked.add((place, reason))
            recorder.remark(passed)
        assert connection.dialed_at is not None
        following.dial(connection, connection.dialed_at)

    def _next(self, connection: Connection) -> Dialer | None:
        """Returns the dialer that a connection tries next; None when none is left."""
        left = self._left.get(connection)
        if left is None:
            current = self._current
            order = others_of(connection.owner.number, len(current))
            left = Left(len(current), [current[other] for other in order])
            self._left[connection] = left
        while left.addresses:
            following = self._dialers.get(left.addresses.pop(0))
            if following is not None:  # else the name has lost it
                return following
        return None

    def _look(self) -> None:
        """Passes over addresses that have used up their part of the connect timeout."""
        now = monotonic()
        for dialer, connection in list(self._overdue(now)):
            if connection.state < CLOSED and connection.transport is None:
                dialer.give_up(connection)
                self._pass_over(dialer.place, connection, TIMEOUT)
        for connection in [one for one in self._left if one.state != UPGRADING]:
            del self._left[connection]  # it is open
        busy = self._left or any(True for one in self._dialers.values() for _ in one.connecting)
        self._timer = self._loop.call_later(LOOK, self._look) if busy else None

    def _overdue(self, now: float) -> Iterator[tuple[Dialer, Connection]]:
        for dialer in self._dialers.values():
            for connection in dialer.connecting:
                count, left = self._left.get(connection, (len(self._current), self._current[1:]))
                tried = count - len(left)
                assert connection.dialed_at is not None
                due = connection.dialed_at + self._connect_timeout * tried / count
                if now >= due and left:
                    yield dialer, connection
