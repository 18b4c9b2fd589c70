"""Users of a name with several addresses are spread, and pass over dead ones."""

import asyncio
import socket
from collections import Counter
from contextlib import ExitStack, contextmanager
from time import monotonic

import pytest

from loadgen.net.connection import Connection
from loadgen.net.dialer import Dialer
from loadgen.net.dialers import Dialers, address_of, others_of
from loadgen.net.ports import SourcePorts
from loadgen.stats.recorder import Recorder
from tests.unit.wire_ends import TERMS, Diary, until

SOURCE = "127.0.14.1"
ADDRESSES = ["127.0.14.2", "127.0.14.3", "127.0.14.4"]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_as_many_users_in_a_row_as_there_are_addresses_have_one_each(count):
    for first in range(0, 20 * count, count):
        users = range(first, first + count)
        assert {address_of(user, count) for user in users} == set(range(count))


@pytest.mark.parametrize("workers", [2, 3, 4, 8])
def test_the_users_of_each_worker_have_all_addresses(workers):
    """A worker has every second user, and its ports towards both of two addresses."""
    for worker in range(workers):
        had = Counter(address_of(user, 2) for user in range(worker, 4000 * workers, workers))
        assert min(had.values()) > 1800


def test_the_users_of_a_dead_address_are_spread_over_the_others():
    nexts = Counter(others_of(user, 3)[0] for user in range(3 * 200) if address_of(user, 3) == 1)
    assert nexts == {0: 100, 2: 100}
    for user in range(50):
        assert sorted([address_of(user, 4), *others_of(user, 4)]) == [0, 1, 2, 3]


class Addressed:
    """Listeners on some of ADDRESSES, and dialers to all of them."""

    def __init__(self, stack: ExitStack, listening: list[str], timeout: float, backlog: int):
        self.listeners = {}
        self.port = 0
        for address in listening:
            sock = stack.enter_context(socket.socket())
            sock.bind((address, self.port))
            sock.listen(backlog)
            self.port = sock.getsockname()[1]
            self.listeners[address] = sock
        self.recorder = Recorder(seed=1)
        self.made: list[str] = []
        self.ports: dict[str, SourcePorts] = {}
        loop = asyncio.get_running_loop()

        def make(address, failed):
            self.made.append(address)
            ports = self.ports[address] = SourcePorts((SOURCE,), range(25_100, 25_200))
            return Dialer(loop, (address, self.port), ports, self.recorder, failed=failed)

        self.dialers = Dialers(loop, timeout, make, ADDRESSES)
        stack.callback(self.dialers.close)

    def dial(self, number: int = 0) -> tuple[Connection, Diary]:
        """Dials the connection of a user."""
        diary = Diary()
        diary.number = number
        connection = Connection(self.recorder, TERMS, diary)
        self.dialers.dial(connection, monotonic())
        return connection, diary


@contextmanager
def fleet(*listening: str, timeout: float = 30.0, backlog: int = 128):
    with ExitStack() as stack:
        yield Addressed(stack, list(listening), timeout, backlog)


def first(number: int) -> str:
    """Returns the first address of a user."""
    return ADDRESSES[address_of(number, 3)]


def at(connection: Connection, load: Addressed) -> str:
    """Returns the address whose pairs are in use."""
    assert connection.transport is not None
    (address,) = (address for address, ports in load.ports.items() if ports.in_use)
    return address


async def test_a_user_is_at_the_address_that_its_number_names():
    with fleet(*ADDRESSES) as load:
        connection, _ = load.dial(number=5)
        await until(lambda: connection.transport is not None)
        assert at(connection, load) == first(5)
        assert load.recorder.tally.addresses_passed == 0
        connection.abort()


async def test_addresses_that_refuse_are_passed_over_and_counted():
    number = next(user for user in range(9) if first(user) != ADDRESSES[0])
    with fleet(ADDRESSES[0]) as load:
        connection, diary = load.dial(number)
        await until(lambda: connection.transport is not None)
        assert at(connection, load) == ADDRESSES[0]
        passed = load.recorder.tally.addresses_passed
        assert passed == 1 + others_of(number, 3).index(0)
        (name, text), *_ = load.recorder.samples.items()
        assert name == "addresses_passed"
        assert text.startswith(f"user {number}: {first(number)}, port {load.port}: refused; passed")
        assert f"{first(number)}, port {load.port}: refused" in load.recorder.take_remarks()[0]
        assert diary.entries == []
        connection.abort()


async def test_each_dead_address_is_remarked_once():
    with fleet(ADDRESSES[0]) as load:
        connections = [load.dial(user)[0] for user in range(12)]
        await until(lambda: all(one.transport is not None for one in connections))
        assert len(load.recorder.take_remarks()) == 2
        assert load.recorder.tally.addresses_passed == 4 + 4 + 4
        for one in connections:
            one.abort()


async def test_a_user_fails_with_the_last_reason_once_all_were_tried():
    with fleet(ADDRESSES[0]) as load:
        for sock in load.listeners.values():
            sock.close()
        _, diary = load.dial()
        await until(diary.over.is_set)
        assert diary.entries == ["refused"]
        assert load.recorder.tally.addresses_passed == 2
        assert ", port " in load.recorder.samples["refused"]


async def test_an_address_that_never_answers_leaves_time_for_the_others():
    """A full backlog does not answer the SYN. Its part is a third of the timeout."""
    with fleet(*ADDRESSES, timeout=1.5, backlog=0) as load, ExitStack() as stack:
        number = 0
        for address, listener in load.listeners.items():
            if address == first(number):
                for _ in range(2):
                    filler = stack.enter_context(socket.socket())
                    filler.setblocking(False)
                    filler.connect_ex(listener.getsockname())
        connection, diary = load.dial(number)
        began = monotonic()
        await until(lambda: connection.transport is not None)
        assert monotonic() - began >= 0.5
        assert load.recorder.tally.addresses_passed == 1
        assert "timeout" in load.recorder.samples["addresses_passed"]
        assert diary.entries == []
        connection.abort()


async def test_a_connection_that_is_aborted_between_two_addresses_tries_no_other():
    with fleet(ADDRESSES[0]) as load:
        number = next(user for user in range(9) if first(user) != ADDRESSES[0])
        connection, diary = load.dial(number)
        load.dialers.cancel(connection)
        connection.end("drained")
        load.dialers.forget(connection)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert diary.entries == ["drained"]
        assert load.recorder.tally.addresses_passed == 0


async def test_new_connections_go_to_the_new_addresses_and_old_ones_stay():
    with fleet(*ADDRESSES) as load:
        old, _ = load.dial(number=0)
        await until(lambda: old.transport is not None)
        stays = at(old, load)
        new = next(address for address in ADDRESSES if address != stays)
        load.dialers.use([new])
        fresh, _ = load.dial(number=0)
        await until(lambda: fresh.transport is not None)
        assert load.ports[new].in_use == 1
        assert load.ports[stays].in_use == 1
        old.abort()
        await until(lambda: load.ports[stays].in_use == 0)
        load.dialers.use([new])  # the old address is forgotten
        load.dialers.use([stays, new])
        assert load.made.count(stays) == 2
        assert load.made.count(new) == 1
        fresh.abort()
