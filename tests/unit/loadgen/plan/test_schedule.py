"""The schedule of a plan with phases.

It is checked against the integral of the rate, and by statistics.
"""

from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.phases import Phase
from loadgen.plan.schedule import Arriving, PhaseArrivals, PhasedSchedule, Schedule, Span
from loadgen.plan.shares import Share

WHOLE = Share()
rates = st.floats(0, 200)
phases = st.lists(
    st.builds(Phase, rate=rates, duration=st.floats(0.01, 5), wait=st.booleans())
    | st.builds(
        Phase,
        rate=rates,
        rate_to=rates,
        duration=st.floats(0.01, 5),
        max=st.integers(1, 100) | st.none(),
    )
    | st.builds(Phase, rate=st.floats(0.1, 200), max=st.integers(1, 100)),
    min_size=1,
    max_size=5,
).map(tuple)
schedules = st.builds(PhasedSchedule, phases, poisson=st.booleans(), seed=st.integers(0, 99))
weights = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any)


def schedule(*phases, **options):
    return PhasedSchedule(phases, **options)


def dues(schedule, share=WHOLE):
    """Returns all dues, gate by gate."""
    return [list(schedule.dues(share, gate)) for gate in range(schedule.gates)]


def at(schedule):
    """Returns the due times of a schedule with gate 0 only."""
    return [due for _, due in schedule.dues(WHOLE)]


def distance(sample, expected):
    """Returns the largest distance of a sample from the expected distribution.

    This is the statistic of Kolmogorov and Smirnov.
    """
    shares = [expected(value) for value in sorted(sample)]
    return max(
        max((rank + 1) / len(shares) - share, share - rank / len(shares))
        for rank, share in enumerate(shares)
    )


@given(schedules)
def test_every_number_is_due_once_in_its_order_and_within_its_phase(schedule):
    found = dues(schedule)
    spans = schedule.spans

    assert [number for behind in found for number, _ in behind] == list(range(schedule.total))
    for gate, behind in enumerate(found):
        times = [due for _, due in behind]
        assert all(after - before >= -1e-12 for before, after in pairwise(times))
        for number, due in behind:
            span = spans[schedule.phase_of(number)]
            assert span.gate == gate
            assert span.begin <= due <= span.end + 1e-9


@given(schedules, weights, weights)
def test_shares_add_up_over_all_phases_whatever_the_fleet(schedule, outer, inner):
    shares = [piece for part in WHOLE.split(outer) for piece in part.split(inner)]

    for gate, whole in enumerate(dues(schedule)):
        assert sorted(due for share in shares for due in schedule.dues(share, gate)) == whole


@given(schedules)
def test_each_phase_has_the_arrivals_of_its_span(schedule):
    counted = [0] * len(schedule.phases)
    for number in range(schedule.total):
        counted[schedule.phase_of(number)] += 1

    assert (
        counted
        == [span.planned for span in schedule.spans]
        == [phase.arrivals for phase in schedule.phases]
    )


@given(st.floats(0.1, 1e6), st.integers(1, 500))
def test_one_phase_with_max_and_rate_is_the_plan_without_phases(rate, total):
    one = schedule(Phase(rate=rate, max=total))

    assert list(one.dues(WHOLE)) == list(Schedule(rate, total).dues(WHOLE))
    assert one.end() == total / rate


def test_a_phase_with_a_duration_has_the_arrivals_of_its_rate():
    assert at(schedule(Phase(rate=2, duration=2.0))) == [0.0, 0.5, 1.0, 1.5]
    assert schedule(Phase(rate=2, duration=2.0)).end() == 2.0
    assert [Phase(rate=rate, duration=1.0).arrivals for rate in (0.4, 0.6, 9.7)] == [0, 1, 10]


def test_at_most_max_arrive_and_the_phase_still_lasts_its_duration():
    capped = schedule(Phase(rate=10, duration=5.0, max=3), Phase(rate=1, max=2))

    assert at(capped) == [0.0, 0.1, 0.2, 5.0, 6.0]
    assert capped.end() == 7.0
    assert capped.total == 5


def test_a_phase_without_a_rate_lets_time_pass():
    held = schedule(Phase(rate=1, max=1), Phase(duration=30.0), Phase(rate=1, max=1))

    assert at(held) == [0.0, 31.0]
    assert held.spans == (Span(0, 0.0, 1.0, 1), Span(0, 1.0, 31.0, 0), Span(0, 31.0, 32.0, 1))
    assert [held.phase_of(number) for number in range(2)] == [0, 2]


@pytest.mark.parametrize(
    ("rate", "rate_to"), [(0, 100), (100, 0), (20, 80), (80, 20), (50, 50), (50, 50.000001)]
)
def test_on_a_ramp_connection_k_is_due_when_k_have_arrived(rate, rate_to):
    ramp = Phase(rate=rate, rate_to=rate_to, duration=10.0)
    times = at(schedule(ramp))

    assert len(times) == round((rate + rate_to) / 2 * 10)
    for number, due in enumerate(times):
        arrived = rate * due + (rate_to - rate) * due * due / (2 * 10.0)
        assert arrived == pytest.approx(number, abs=1e-6)


def test_after_a_phase_that_waits_time_begins_anew_at_a_gate():
    waiting = schedule(
        Phase(rate=1, max=2, wait=True),
        Phase(duration=5.0),
        Phase(rate=1, max=1, wait=True),
        Phase(rate=2, max=2),
    )

    assert waiting.gates == 3
    assert dues(waiting) == [[(0, 0.0), (1, 1.0)], [(2, 5.0)], [(3, 0.0), (4, 0.5)]]
    assert [waiting.end(gate) for gate in range(3)] == [2.0, 6.0, 1.0]
    assert waiting.end() == 1.0


def test_nothing_waits_behind_the_last_phase():
    assert schedule(Phase(rate=1, max=2, wait=True)).gates == 1


@pytest.mark.parametrize("seed", range(3))
def test_random_arrivals_of_a_phase_are_exactly_as_many_and_spread_over_it(seed):
    """The arrivals have the true distribution, by a test with fixed seeds.

    A sample this large stays below 1.63/√n in 99 % of the cases.
    """
    times = at(schedule(Phase(rate=1000, duration=10.0), poisson=True, seed=seed))

    assert len(times) == 10_000
    assert distance(times, lambda due: due / 10) < 1.63 / sqrt(10_000)
    gaps = [after - before for before, after in pairwise(times)]
    assert sum(gap > 0.001 for gap in gaps) / len(gaps) == pytest.approx(
        0.3679, abs=0.02
    )  # 1/e, as in Tsung


def test_random_arrivals_on_a_ramp_follow_its_rate():
    times = at(schedule(Phase(rate=0, rate_to=2000, duration=10.0), poisson=True, seed=1))

    assert len(times) == 10_000
    assert distance(times, lambda due: (due / 10) ** 2) < 1.63 / sqrt(10_000)


def test_random_arrivals_with_max_come_in_the_time_of_even_ones():
    times = at(schedule(Phase(rate=1000, duration=60.0, max=5000), poisson=True, seed=2))

    assert len(times) == 5000
    assert times[-1] < 5.0
    assert distance(times, lambda due: due / 5) < 1.63 / sqrt(5000)


def test_phases_and_seeds_have_random_times_of_their_own():
    twice = schedule(
        Phase(rate=10, duration=1.0), Phase(rate=10, duration=1.0), poisson=True, seed=1
    )
    first, second = at(twice)[:10], [due - 1 for due in at(twice)[10:]]

    assert first != pytest.approx(second)
    assert first != at(schedule(Phase(rate=10, duration=1.0), poisson=True, seed=2))


@pytest.mark.parametrize("poisson", [False, True])
def test_a_plan_without_phases_is_one_phase_behind_the_first_gate(poisson):
    plain = Schedule(100.0, 50, poisson=poisson, seed=3)
    dues = list(plain.dues(WHOLE))

    assert plain.gates == 1
    assert plain.spans == (Span(0, 0.0, plain.end(), 50),)
    assert (plain.phase_of(0), plain.phase_of(49)) == (0, 0)
    assert [number for number, _ in dues] == list(range(50))
    assert dues[-1][1] == plain.end()


def test_arrivals_without_chance_are_evenly_spaced():
    assert [due for _, due in Schedule(4.0, 3).dues(WHOLE)] == [0.0, 0.25, 0.5]


def test_a_share_of_random_times_has_the_dues_of_the_whole():
    plain = Schedule(100.0, 50, poisson=True, seed=3)

    assert list(plain.dues(Share(2, (1,)))) == list(plain.dues(WHOLE))[1::2]


def test_a_schedule_of_nothing_ends_at_once():
    assert Schedule(10.0, 0, poisson=True).end() == 0


# Pieces, as changes of a plan make them.


def test_a_piece_that_is_cut_has_the_numbers_that_are_due_before():
    phase = Phase(rate=10, duration=10.0)
    piece = PhaseArrivals(0, 5.0, 100, phase, cut=7.05, cut_stop=121)

    assert (piece.end, piece.until, piece.planned, piece.whole) == (7.05, 7.05, 21, 200)
    assert [number for number, _ in piece.dues(WHOLE)] == list(range(100, 121))


def test_a_piece_whose_arrivals_begin_later_has_those_that_fit():
    full = PhaseArrivals(0, 0.0, 0, Phase(rate=1, duration=3.0), shift=0.75)
    capped = PhaseArrivals(0, 0.0, 0, Phase(rate=1, duration=3.0, max=1), shift=0.75)

    assert list(full.dues(WHOLE)) == [(0, 0.75), (1, 1.75)]
    assert list(capped.dues(WHOLE)) == [(0, 0.75)]
    assert [full.arrived(at) for at in (0.0, 0.75, 2.75)] == [-0.75, 0.0, 2.0]


def test_the_integral_of_a_ramp_up_to_a_time():
    ramp = PhaseArrivals(0, 5.0, 0, Phase(rate=0, rate_to=10, duration=10.0))

    assert [ramp.arrived(at) for at in (5.0, 10.0, 15.0)] == [0.0, 12.5, 50.0]


@pytest.mark.parametrize("poisson", [False, True])
def test_a_plan_without_phases_has_brought_all_by_its_rate_at_a_time(poisson):
    (piece,) = Schedule(4.0, 8, poisson=poisson).arrivals

    assert piece.until == 2.0
    assert piece.next_after(0.0) == 0
    assert piece.next_after(1000.0) == 8
    due = list(piece.dues(WHOLE))[5][1]
    assert piece.next_after(due) == 5
    assert piece.next_after(due + 1e-9) == 6


def test_only_phases_are_listed_with_their_times():
    assert Schedule(4.0, 8).phases_with_spans == ()
    phase = Phase(rate=1, max=2)
    assert schedule(phase).phases_with_spans == ((phase, Span(0, 0.0, 2.0, 2)),)


def test_a_schedule_has_to_say_which_arrivals_it_has():
    with pytest.raises(NotImplementedError):
        _ = Arriving().arrivals
