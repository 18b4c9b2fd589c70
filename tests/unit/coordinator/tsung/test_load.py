"""<load>: phases by their numbers, and users with times of their own.

A phase is cut where a user has its own time.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.tsung.load import AT_ONCE, at_most, fits, read_load, with_singles
from loadgen.plan.phases import Phase
from tests.unit.coordinator.tsung.elements import read, refused

USERS = '<users arrivalrate="2" unit="second"/>'


def load(body: str, attributes: str = ""):
    root, notes = read(f"<load {attributes}>{body}</load>")
    return read_load(root), [note.text for note in notes]


def phase(number: int = 1, inner: str = USERS, attributes: str = 'duration="10" unit="second"'):
    return f'<arrivalphase phase="{number}" {attributes}>{inner}</arrivalphase>'


def test_phases_come_by_their_numbers_and_as_often_as_the_load_loops():
    found, _ = load(phase(2) + phase(1), 'loop="1"')

    assert [one.phase.name for one in found.arrivals] == ["1", "2", "1, turn 2", "2, turn 2"]
    assert found.arrivals[0].phase == Phase(name="1", rate=2, duration=10)


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ('arrivalrate="120" unit="minute"', Phase(name="1", rate=2, duration=10)),
        ('interarrival="500" unit="millisecond"', Phase(name="1", rate=2, duration=10)),
        ('arrivalrate="2" maxnumber="5"', Phase(name="1", rate=2, duration=10, max=5)),
        ('arrivalrate="0.001"', Phase(name="1", duration=10)),
        ('arrivalrate="2" maxnumber="0"', Phase(name="1", duration=10)),
    ],
)
def test_users_arrive_at_their_rate(users, expected):
    found, notes = load(phase(inner=f"<users {users}/>"))

    assert found.arrivals[0].phase == expected
    assert bool(notes) == (expected.rate == 0)


def test_a_phase_may_wait_and_weigh_sessions_in_its_own_way():
    inner = f'{USERS}<session_setup name="a*" weight="3"/>'
    found, _ = load(phase(inner=inner, attributes='duration="1" wait_all_sessions_end="true"'))
    ((setup,),) = [one.setups for one in found.arrivals]

    assert found.arrivals[0].phase.wait
    assert (setup.name, setup.popularity, setup.weighs) == ("a*", 3, True)


def test_only_the_last_users_of_a_phase_count():
    found, notes = load(phase(inner=f'<users arrivalrate="9"/>{USERS}'))

    assert found.arrivals[0].phase.rate == 2
    assert len(notes) == 1


def test_users_with_times_of_their_own_come_by_these():
    users = '<user session="b" start_time="1" unit="minute"/><user session="a" start_time="5"/>'
    found, _ = load(users, 'duration="2" unit="hour"')

    assert [(one.session, one.at) for one in found.statics] == [("a", 5), ("b", 60)]
    assert (found.arrivals, found.stop_after) == ((), 7200)


@pytest.mark.parametrize(
    "body",
    [
        "\n<phase/>",
        phase() + "\n" + phase(),
        "\n" + phase(attributes='duration="0"'),
        "\n" + phase(inner=""),
        phase(inner=f"{USERS}\n<user/>"),
        phase(inner='\n<users unit="second"/>'),
        phase(inner='\n<users arrivalrate="1" interarrival="1"/>'),
        phase(inner='\n<users arrivalrate="0"/>'),
        phase(inner='\n<users arrivalrate="1e12"/>'),
        phase(inner=f'{USERS}\n<session_setup name="a"/>'),
        phase(inner=f'{USERS}\n<session_setup name="a" weight="-1"/>'),
        '\n<user session="a" start_time="-1"/>',
    ],
)
def test_what_is_no_load_is_refused_at_its_line(body):
    assert refused(lambda: load(body))[0] == 2


@pytest.mark.parametrize(("body", "attributes"), [("", ""), (phase(), 'loop="10000"')])
def test_a_load_of_nobody_or_without_end_is_refused(body, attributes):
    assert refused(lambda: load(body, attributes))[0] == 1


@pytest.mark.parametrize(
    ("wildcard", "name", "fit"),
    [("a*", "abc", True), ("a?c", "abc", True), ("a?", "abc", False), ("a.c", "abc", False)],
)
def test_a_wildcard_stands_for_names(wildcard, name, fit):
    assert fits(wildcard, name) == fit


ONE = Phase(name="one", rate=AT_ONCE, max=1)


def test_a_phase_is_cut_where_a_user_has_its_own_time():
    phases = [Phase(rate=10, duration=10, wait=True)]
    first, single, rest = with_singles(phases, [(4.0, ONE)])

    assert (first.arrivals, first.length, first.wait) == (40, 4, False)
    assert single == ONE
    assert (rest.arrivals, rest.length, rest.wait) == (60, 6, True)


def test_a_user_after_all_phases_is_waited_for():
    assert with_singles([Phase(duration=2)], [(2.0, ONE), (5.0, ONE)]) == [
        Phase(duration=2),
        ONE,
        Phase(duration=3),
        ONE,
    ]


def test_a_pause_is_cut_into_pauses():
    assert with_singles([Phase(duration=5)], [(2.0, ONE)]) == [
        Phase(duration=2),
        ONE,
        Phase(duration=3),
    ]


@given(
    st.lists(st.builds(Phase, rate=st.floats(0, 50), duration=st.floats(0.5, 9)), max_size=4),
    st.lists(st.floats(0, 40), max_size=4).map(sorted),
)
def test_no_user_is_lost_where_phases_are_cut(phases, times):
    found = with_singles(phases, [(at, ONE) for at in times])

    assert sum(one.arrivals for one in found) == sum(one.arrivals for one in phases) + len(times)
    assert (
        sum(one.length for one in found if one != ONE) >= sum(one.length for one in phases) - 1e-6
    )


def test_arrivals_are_bounded_over_all_phases():
    phases = [Phase(rate=10, duration=1), Phase(rate=10, duration=1), Phase(rate=10, duration=1)]

    assert at_most(phases, 15) == [phases[0], Phase(rate=10, duration=1, max=5)]
    assert at_most(phases, 10) == phases[:1]
    assert at_most(phases, 99) == phases
