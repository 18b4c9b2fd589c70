"""The ledger that follows from tallies."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.stats.ledger import Held, Ledger
from loadgen.stats.peak import Peak
from loadgen.stats.tally import Tally
from tests.unit.strategies import merged

STATES = (
    "not_started",
    "connecting",
    "failed refused",
    "failed http_503",
    "open",
    "closed done",
    "closed reset",
    "lost",
)
histories = st.lists(st.sampled_from(STATES), max_size=60)
"""The last state of each planned connection."""


def seconds_of(history: list[str], length: int) -> list[Tally]:
    """Returns the tallies of the connections, in this number of seconds.

    Connection k is launched in second k, opens one later, and ends two later.
    """
    seconds = [Tally() for _ in range(length)]
    for number, state in enumerate(history):
        launch, opening, ending = (seconds[(number + later) % length] for later in range(3))
        kind, _, reason = state.partition(" ")
        launch.launched += kind != "not_started"
        opening.opened += kind in ("open", "closed", "lost")
        ending.lost += kind == "lost"
        if reason:
            ends = getattr(ending, kind)
            ends[reason] = ends.get(reason, 0) + 1
    return seconds


def ends(history: list[str], kind: str) -> dict[str, int]:
    """Returns how many connections ended for each reason of a kind."""
    return dict(Counter(state.split()[1] for state in history if state.startswith(f"{kind} ")))


@given(histories, st.integers(1, 9))
def test_the_ledger_has_every_connection_in_its_state(history, length):
    ledger = Ledger.of(len(history), merged(seconds_of(history, length)))

    assert ledger.not_started == history.count("not_started")
    assert ledger.connecting == history.count("connecting")
    assert ledger.open == history.count("open")
    assert ledger.lost == history.count("lost")
    assert ledger.failed == ends(history, "failed")
    assert ledger.closed == ends(history, "closed")
    assert ledger.breaches(Held(history.count("connecting"), history.count("open"))) == []


@given(histories, st.integers(1, 9))
def test_the_laws_of_the_ledger_hold(history, length):
    ledger = Ledger.of(len(history), merged(seconds_of(history, length)))

    assert ledger.planned == ledger.not_started + ledger.launched
    assert ledger.launched == ledger.connecting + sum(ledger.failed.values()) + ledger.opened
    assert ledger.opened == ledger.open + sum(ledger.closed.values()) + ledger.lost


def test_connections_launched_beyond_the_plan_count_as_planned():
    ledger = Ledger.of(10, Tally(launched=13, relaunched=4, opened=13))

    assert (ledger.planned, ledger.not_started, ledger.breaches()) == (14, 1, [])


def test_where_the_plan_is_unknown_relaunched_connections_change_nothing():
    assert Ledger.of(None, Tally(launched=13, relaunched=4)).planned == 0


@pytest.mark.parametrize(
    ("total", "breach"),
    [
        (Tally(launched=11), "not_started is -1"),
        (Tally(launched=1, opened=2), "connecting is -1"),
        (Tally(launched=1, failed={"refused": 3}), "connecting is -2"),
        (Tally(launched=2, opened=2, closed={"done": 2}, lost=1), "open is -1"),
        (Tally(launched=2, opened=2, accepted=3), "accepted is 3 but 2 opened"),
        (Tally(launched=2, late=3), "late is 3 but 2 were launched"),
    ],
)
def test_a_law_that_does_not_hold_is_named(total, breach):
    assert Ledger.of(10, total).breaches() == [breach]


def test_held_connections_must_agree_with_the_counts():
    ledger = Ledger.of(10, Tally(launched=5, opened=3))

    assert ledger.breaches(Held(connecting=2, open=3, alive=3)) == []
    assert ledger.breaches(Held(connecting=2, open=3, alive=4)) == ["4 are alive but 3 are held"]
    assert ledger.breaches(Held(connecting=1, open=4)) == [
        "connecting is 2 but 1 are held",
        "open is 3 but 4 are held",
    ]


def test_the_peaks_of_what_is_held_add_up():
    held = Held(open=2, peak=Peak(3, 0.1, 0.9))
    held.merge(Held(open=1, peak=Peak(2, 0.5, 1.0)))

    assert (held.open, held.peak) == (3, Peak(5, 0.5, 0.9))


def test_held_adds_up():
    held = Held(connecting=1, open=2)
    held.merge(Held(connecting=10, open=20))

    assert held == Held(connecting=11, open=22)


def test_the_living_add_up_where_they_are_known():
    held = Held()
    for other in (Held(alive=2), Held(), Held(alive=3)):
        held.merge(other)

    assert held.alive == 5


def test_the_ledger_as_json_has_the_names_of_the_contract():
    total = Tally(
        launched=7,
        opened=4,
        accepted=3,
        lost=1,
        late=2,
        failed={"timeout": 1, "refused": 1},
        closed={"done": 1},
    )

    assert Ledger.of(10, total).to_json() == {
        "planned": 10,
        "not_started": 3,
        "launched": 7,
        "connecting": 1,
        "failed": {"refused": 1, "timeout": 1},
        "opened": 4,
        "accepted": 3,
        "open": 2,
        "closed": {"done": 1},
        "lost": 1,
        "late": 2,
    }


def test_a_part_of_the_plan_has_not_launched_those_that_moved_to_another():
    total = Tally(launched=5, opened=2, failed={"refused": 1})

    assert Ledger.of(None, total, 2).connecting == 0
    assert Ledger.of(None, total, 2).launched == 3
    assert Ledger.of(10, total, 2).not_started == 7
