"""The unfinished parts of lost shares add up by count.

That holds however often they are lost again.
"""

from math import inf

from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.plan.reassign import Reassignment, Unfinished, deal, reassign, unfinished_of
from loadgen.plan.shares import NO_SHARE, Share

TOTAL = 2000
WEIGHTS = st.lists(st.integers(0, 70_000), min_size=1, max_size=5)


def again(unfinished):
    return [number for one in unfinished for number in one.share.numbers(one.below, one.first)]


def fresh(unfinished, total=TOTAL):
    return [number for one in unfinished for number in one.share.numbers(total, one.below)]


def test_launched_users_come_again_and_the_others_when_they_are_due():
    half, _ = Share().split([1, 1])

    (left,) = unfinished_of([Unfinished(half)], launched=5, living=3, total=20)

    assert again([left]) == [4, 6, 8]
    assert fresh([left], 20) == [10, 12, 14, 16, 18]
    assert (left.again(), left.fresh(20), left.wanted(20)) == (3, 5, 8)


def test_a_share_that_was_launched_and_has_ended_leaves_nothing():
    assert (
        unfinished_of([Unfinished(Share()), Unfinished(NO_SHARE)], launched=20, living=0, total=20)
        == []
    )


@given(st.integers(0, TOTAL), st.data())
def test_a_fleet_that_loses_one_agent_after_the_other_launches_every_number_once(launched, data):
    """The next agent gets the unfinished numbers and is lost as well.

    It has launched some of them.
    """
    held, once = [Unfinished(Share())], []
    for _ in range(4):
        living = data.draw(st.integers(0, launched + sum(one.again() for one in held)))
        left = unfinished_of(held, launched, living, TOTAL)
        assert len(again(left)) == living
        assert len(fresh(left)) == len(fresh(held)) - launched
        once += set(fresh(held)) - set(fresh(left))
        assert len(once) == len(set(once)) == TOTAL - len(fresh(left))
        *parts, unplaced = deal(left, data.draw(WEIGHTS), TOTAL)
        pieces = [unfinished for part in [*parts, unplaced] for _, unfinished in part]
        assert sorted(again(pieces)) == sorted(again(left))
        assert sorted(fresh(pieces)) == sorted(fresh(left))
        held = pieces
        launched = data.draw(st.integers(0, len(fresh(held))))


@example([20, 10], 25)  # each has its own number of turns
@example([300, 200], 1000)  # turns are rounded, and half finds no place
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=6), st.integers(1, TOTAL))
def test_no_agent_gets_much_more_than_it_has_places_for(places, living):
    (left,) = unfinished_of([Unfinished(Share())], TOTAL, living, TOTAL)

    *parts, unplaced = deal([left], places, TOTAL)

    for room, part in zip(places, parts, strict=True):
        assert len(again(one for _, one in part)) <= room + living / 100 + 1
    without_place = len(again(piece for _, piece in unplaced))
    assert without_place >= living - sum(places) - living / 100 - 1
    assert without_place == 0 or sum(places) < living


def test_no_agent_gets_all_that_rounding_leaves_over():
    (left,) = unfinished_of([Unfinished(Share())], TOTAL, 769, TOTAL)
    places = [193, 144, 144, 144, 144]

    parts = deal([left], places, TOTAL)

    assert all(
        len(again(one for _, one in part)) <= room + 8
        for room, part in zip(places, parts[:-1], strict=True)
    )


def test_shares_of_shares_of_shares_do_not_grow_without_end():
    unfinished = Unfinished(Share().split([1] * 16, 8)[3])
    for _ in range(10):
        ((_, unfinished),) = deal([unfinished], [63_999, 63_998, 12_345, 1], 1_000_000)[0]

    assert len(unfinished.share.positions) <= max(1, unfinished.share.count(1_000_000))


def test_reassignments_launch_at_the_asked_rate_however_they_are_split():
    (left,) = unfinished_of([Unfinished(Share().split([1, 1, 1, 1])[1])], 250, 200, 1000)

    (reassignment,) = reassign([left], at=10.0, rate=100.0)

    times = [at for part in reassignment.split([2, 1], 1000) for at, _ in part.again()]
    assert min(times) == 10.0
    assert max(times) == 10.0 + 199 / 100.0
    assert len(times) == 200
    assert reassign([Unfinished(NO_SHARE)], 10.0, 100.0) == ()


def test_a_reassignment_in_parts_keeps_its_times():
    whole = Reassignment(Unfinished(Share(), 0, 100), at=1.0, pace=10.0)

    parts = whole.split([1, 2], 100)

    assert sorted(pair for part in parts for pair in part.again()) == list(whole.again())
    assert whole.not_before(100) < inf
