"""One part of a run: its length, its arrivals, and its mistakes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.phases import Phase

rates = st.floats(0, 200)
ramps = st.builds(Phase, rate=rates, rate_to=rates, duration=st.floats(0.1, 50))


@pytest.mark.parametrize(
    ("phase", "length", "arrivals"),
    [
        (Phase(rate=10, duration=5), 5, 50),
        (Phase(rate=10, max=20), 2, 20),
        (Phase(rate=10, duration=5, max=20), 5, 20),
        (Phase(rate=10, duration=1, max=20), 1, 10),
        (Phase(rate=0, rate_to=10, duration=10), 10, 50),
        (Phase(rate=10, rate_to=0, duration=10), 10, 50),
        (Phase(duration=7), 7, 0),
    ],
)
def test_a_phase_lasts_its_duration_or_until_all_have_arrived(phase, length, arrivals):
    assert (phase.length, phase.arrivals) == (length, arrivals)


def test_a_rate_without_another_is_steady():
    assert Phase(rate=10, duration=1).is_steady
    assert Phase(rate=10, rate_to=10, duration=1).is_steady
    assert not Phase(rate=10, rate_to=0, duration=1).is_steady
    assert Phase(rate=10, rate_to=0, duration=1).last_rate == 0


@given(ramps, st.floats(0, 1), st.floats(0, 1))
def test_arrivals_grow_from_nothing_to_all(phase, some, more):
    earlier, later = sorted((some * phase.length, more * phase.length))

    assert phase.brought(-1.0) == phase.brought(0.0) == 0
    assert phase.brought(earlier) <= phase.brought(later) + 1e-9
    assert phase.brought(phase.length + 1) == pytest.approx(phase.arrivals, abs=0.501)


def test_a_bound_ends_the_arrivals_before_the_phase():
    phase = Phase(rate=10, duration=5, max=20)

    assert [phase.brought(seconds) for seconds in (1, 2, 3, 9)] == [10, 20, 20, 20]


@pytest.mark.parametrize(
    ("phase", "keys"),
    [
        (Phase(rate=1, duration=1), []),
        (Phase(rate=1, max=1), []),
        (Phase(duration=5, storm=0.5, jitter=5), []),
        (Phase(), [""]),
        (Phase(rate=1), [""]),
        (Phase(max=1), ["", "max"]),
        (Phase(rate=1, rate_to=2, max=1), ["rate_to"]),
        (Phase(rate=1, max=1, storm=0.1), ["storm"]),
        (Phase(duration=1, storm=0.1, jitter=2), ["jitter"]),
        (Phase(duration=1, jitter=1), ["jitter"]),
        (Phase(duration=1, max=1), ["max"]),
        (Phase(duration=1, rate_to=1, max=1), []),
    ],
)
def test_what_keeps_a_phase_from_being_run_is_named_by_its_key(phase, keys):
    assert [key for key, _ in phase.mistakes()] == keys
