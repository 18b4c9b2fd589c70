from itertools import pairwise
from math import exp, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.schedule import Schedule
from loadgen.plan.shares import (
    LONG_RUN,
    MAX_TURNS,
    NO_SHARE,
    SHORT_RUN,
    Share,
    interleave,
    longest_run,
    run_that_fits,
)

WHOLE = Share()
weights = st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any)
big_weights = st.lists(st.integers(1, 2**40), min_size=1, max_size=16)
totals = st.integers(0, 2000)


@given(weights | big_weights, totals)
def test_the_parts_of_a_share_are_disjoint_and_together_the_whole(weights, total):
    parts = WHOLE.split(weights)

    assert len(parts) == len(weights)
    assert sorted(number for part in parts for number in part.numbers(total)) == list(range(total))


@given(weights, totals, st.integers(1, 12))
def test_the_parts_in_runs_are_disjoint_and_together_the_whole(weights, total, run):
    parts = WHOLE.split(weights, run)

    assert sorted(number for part in parts for number in part.numbers(total)) == list(range(total))
    assert [part.count(total) for part in parts] == [
        len(list(part.numbers(total))) for part in parts
    ]


@given(weights, st.integers(0, 100_000))
def test_a_run_that_fits_leaves_every_count_as_it_is(weights, total):
    run = run_that_fits(total, weights)

    assert 1 <= run <= LONG_RUN
    assert [part.count(total) for part in WHOLE.split(weights, run)] == [
        part.count(total) for part in WHOLE.split(weights)
    ]


@given(weights, weights, totals)
def test_the_parts_of_a_part_are_disjoint_and_together_that_part(outer, inner, total):
    for part in WHOLE.split(outer):
        numbers = sorted(number for piece in part.split(inner) for number in piece.numbers(total))
        assert numbers == list(part.numbers(total))


@given(weights, weights, totals)
def test_the_count_is_the_number_of_numbers(outer, inner, total):
    for part in [WHOLE, *WHOLE.split(outer), *WHOLE.split(outer)[-1].split(inner)]:
        assert part.count(total) == len(list(part.numbers(total)))


@given(weights, totals)
def test_a_shares_numbers_ascend(weights, total):
    for part in WHOLE.split(weights):
        numbers = list(part.numbers(total))
        assert numbers == sorted(set(numbers))


@given(st.integers(1, 64), st.integers(1, 2**40), st.integers(0, 2_000_000), weights)
def test_equal_weights_get_shares_that_differ_by_at_most_one(parts, weight, total, outer):
    """This holds for the whole and for any part of it."""
    for share in [WHOLE, *WHOLE.split(outer)]:
        counts = [part.count(total) for part in share.split([weight] * parts)]
        assert sum(counts) == share.count(total)
        assert max(counts) - min(counts) <= 1


@given(weights, st.integers(0, 10**7))
def test_parts_are_proportional_to_their_weights_at_every_total(weights, total):
    """No part is ever a whole number ahead of its due.

    So no part is further behind than the others together are ahead.
    """
    for weight, part in zip(weights, WHOLE.split(weights), strict=True):
        fair = total * weight / sum(weights)
        assert fair - len(weights) < part.count(total) < fair + 1


@given(big_weights)
def test_weights_too_fine_for_a_pattern_are_rounded(weights):
    """Each is rounded by half a turn at most, or up to one turn.

    So every weight gets one.
    """
    total = 2_000_000
    slack = total * (len(weights) + 2) / MAX_TURNS
    for weight, part in zip(weights, WHOLE.split(weights), strict=True):
        assert part.count(total) == pytest.approx(total * weight / sum(weights), abs=slack)
        assert part.count(total) > 0


def test_a_weight_of_zero_gets_nothing():
    nobody, everybody = WHOLE.split([0, 5])

    assert nobody.count(1000) == 0
    assert list(nobody.numbers(1000)) == []
    assert [part.count(1000) for part in nobody.split([1, 2])] == [0, 0]
    assert everybody.count(1000) == 1000
    assert WHOLE.split([0, 10**9, 1])[0].count(1_000_000) == 0


@pytest.mark.parametrize("weights", [[], [0, 0], [3, -1]])
def test_malformed_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        WHOLE.split(weights)


def test_turns_are_never_bunched():
    assert interleave([5, 1, 1]) == [0, 0, 1, 0, 2, 0, 0]
    assert interleave([1, 1, 1]) == [0, 1, 2]


def test_the_reference_fleet_shares_a_million_over_sixteen_agents_of_four_workers():
    """A worker's connections arrive in runs of 25, each within 12.5 ms."""
    agents = WHOLE.split([64_000] * 16, run_that_fits(1_000_000, [64_000] * 16))
    workers = [
        worker
        for agent in agents
        for worker in agent.split([1] * 4, run_that_fits(62_500, [1] * 4, agent.run))
    ]

    assert {agent.count(1_000_000) for agent in agents} == {62_500}
    assert {worker.count(1_000_000) for worker in workers} == {15_625}
    assert {worker.run for worker in workers} == {25}
    assert list(workers[0].numbers(1602)) == [*range(25), 1600, 1601]


@pytest.mark.parametrize(
    ("rate", "run"), [(1.0, SHORT_RUN), (1000.0, 12), (2000.0, LONG_RUN), (5000.0, LONG_RUN)]
)
def test_a_run_is_long_only_where_it_is_due_within_a_moment(rate, run):
    assert longest_run(rate) == run


def test_the_run_of_a_share_is_how_many_numbers_it_begins_with():
    assert [Share(9, (0, 1, 2, 4)).run, Share(9, (3,)).run, Share().run, Share(1, ()).run] == [
        3,
        1,
        1,
        0,
    ]


@pytest.mark.parametrize("poisson", [False, True])
def test_dues_ascend(poisson):
    dues = [due for _, due in Schedule(500, 2000, poisson, seed=7).dues(WHOLE)]

    assert len(dues) == 2000
    assert dues == sorted(dues)


@given(weights, weights, st.booleans(), st.integers(0, 2**64), st.integers(1, 300))
def test_a_seed_gives_the_same_schedule_whatever_the_fleet(outer, inner, poisson, seed, total):
    schedule = Schedule(rate=123.4, total=total, poisson=poisson, seed=seed)
    shares = [piece for part in WHOLE.split(outer) for piece in part.split(inner)]

    assert sorted(due for share in shares for due in schedule.dues(share)) == list(
        schedule.dues(WHOLE)
    )


def test_another_seed_gives_another_schedule():
    first, second = (
        list(Schedule(100, 50, poisson=True, seed=seed).dues(WHOLE)) for seed in (1, 2)
    )

    assert first != second


def test_uniform_arrivals_are_evenly_spaced_from_zero_on():
    assert list(Schedule(2000, 4).dues(WHOLE)) == [(0, 0.0), (1, 0.0005), (2, 0.001), (3, 0.0015)]


def test_poisson_gaps_are_exponential():
    """The gaps' distribution is close to 1 − exp(−rate·t).

    The test is that of Kolmogorov and Smirnov. A sample this large from the true distribution stays
    below 1.36/√n in 95 % of the cases; the seed is fixed.
    """
    rate, total = 2000.0, 20_000
    dues = [0.0, *(due for _, due in Schedule(rate, total, poisson=True, seed=1).dues(WHOLE))]
    gaps = sorted(after - before for before, after in pairwise(dues))
    expected = [1 - exp(-rate * gap) for gap in gaps]

    distance = max(
        max((rank + 1) / total - share, share - rank / total) for rank, share in enumerate(expected)
    )
    assert distance < 1.36 / sqrt(total)
    assert gaps[0] > 0


@pytest.mark.parametrize("seed", range(5))
def test_poisson_arrivals_keep_the_rate(seed):
    """The sum of n gaps has a standard deviation of √n gaps; four of them are enough."""
    rate, total = 2000.0, 10_000
    schedule = Schedule(rate, total, poisson=True, seed=seed)

    assert schedule.end() * rate == pytest.approx(total, abs=4 * sqrt(total))


@given(st.booleans(), st.integers(1, 500), st.floats(0.1, 1e6))
def test_the_end_is_the_last_due(poisson, total, rate):
    schedule = Schedule(rate, total, poisson, seed=3)

    assert schedule.end() == list(schedule.dues(WHOLE))[-1][1]


@pytest.mark.parametrize("poisson", [False, True])
def test_a_schedule_of_0_connections_is_empty(poisson):
    schedule = Schedule(10, 0, poisson)

    assert list(schedule.dues(WHOLE)) == []
    assert schedule.end() == 0


@given(weights, st.integers(0, 50), totals)
def test_numbers_may_begin_in_the_middle(weights, first, total):
    for part in WHOLE.split(weights):
        numbers = part.numbers(total, first)

        assert list(numbers) == [number for number in part.numbers(total) if number >= first]


def test_a_share_that_ends_with_its_positions_ends_there():
    """No number below the total is left over behind the last position."""
    assert list(Share(4, (0, 1)).numbers(7, 1)) == [1, 4, 5]
    assert list(Share(4, (0, 1)).numbers(4)) == [0, 1]
    assert Share(4, (0, 1)).part == 0.5


@pytest.mark.parametrize(
    ("share", "place"), [(Share(), 0.0), (Share(8, (4, 5)), 0.5), (NO_SHARE, 0.0)]
)
def test_the_place_of_a_share_is_that_of_its_first_number(share, place):
    assert share.place == place


def test_a_split_looks_at_no_number_beyond_the_total():
    parts = Share(4, (0, 3)).split([1, 1], total=7)

    assert [part.positions for part in parts] == [(0, 4), (3,)]
    assert [list(part.numbers(7)) for part in parts] == [[0, 4], [3]]
