"""The state of the host in each second of a run, looked at in time or late."""

from collections.abc import Iterable

from loadgen.agent.host import MAX_KEPT, HostSeconds
from loadgen.machine.host import Reading


def switching(counts: Iterable[int]):
    """Returns a reader of a host that has switched so often at each reading."""
    readings = iter(counts)
    return lambda: Reading({}, {"switches": next(readings)}, {})


def switches(host: HostSeconds, *seconds: int, now: float) -> list[int | None]:
    """Returns the context switches in each of these seconds; None: unknown."""
    states = [host.take(second, now) for second in seconds]
    return [state.switches if state else None for state in states]


def test_each_second_has_what_happened_in_it():
    host = HostSeconds(switching([1, 10, 30, 60, 100]), start=100.0, now=98.5)
    for now in (99.0, 100.0, 100.25, 101.0, 101.75, 102.0):
        host.look(now)

    assert switches(host, 0, 1, 2, now=102.5) == [30, 40, None]


def test_the_next_look_is_at_the_end_of_a_second():
    host = HostSeconds(switching([0, 5]), start=100.0, now=98.5)

    assert host.next_look == 99.0
    host.look(100.4)
    assert host.next_look == 101.0


def test_a_late_look_gives_its_state_to_every_second_that_it_covers():
    host = HostSeconds(switching([0, 5, 105]), start=100.0, now=100.0)
    host.look(101.0)
    host.look(104.5)

    assert switches(host, 0, 1, 2, 3, 4, now=104.5) == [5, 100, 100, 100, None]


def test_a_second_that_was_not_looked_at_is_looked_at_when_it_is_taken():
    host = HostSeconds(switching([0, 5]), start=100.0, now=100.0)

    assert switches(host, 0, 0, now=101.5) == [5, None]


def test_an_agent_that_joins_later_knows_nothing_of_the_time_before():
    host = HostSeconds(switching([50, 60]), start=100.0, now=105.5)

    assert switches(host, 4, 5, now=106.0) == [None, 10]


def test_states_that_no_one_takes_are_bounded():
    host = HostSeconds(switching(range(10_000)), start=0.0, now=0.0)
    for second in range(2 * MAX_KEPT):
        host.look(second + 1.0)
    host.look(10.0 * MAX_KEPT)

    kept = switches(host, *range(10 * MAX_KEPT), now=10.0 * MAX_KEPT)
    assert kept == [None] * (9 * MAX_KEPT) + [1] * MAX_KEPT


def test_seconds_are_looked_at_by_a_start_that_moves():
    host = HostSeconds(switching([0, 5, 105]), start=100.0, now=100.0)
    host.look(101.0)
    host.move(-2.0)
    host.look(102.0)

    assert switches(host, 0, 1, 2, 3, 4, now=102.0) == [5, 100, 100, 100, None]
