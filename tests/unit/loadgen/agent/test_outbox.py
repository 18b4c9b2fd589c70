"""Seconds wait for their acknowledgement.

Posts and answers are lost in any pattern.
"""

from hypothesis import given
from hypothesis import strategies as st

from loadgen.agent.outbox import BATCH, Outbox
from loadgen.stats.fanin import FanIn, Second
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally

FEW = 70


def second(number):
    return Second(
        number,
        Tally(launched=number + 1, opened=number + 1),
        Held(0, (number + 1) * (number + 2) // 2),
    )


def full(count, max_seconds=FEW):
    outbox = Outbox(max_seconds)
    merged = [outbox.add(second(number)) for number in range(count)]
    return outbox, any(merged)


def test_acknowledged_seconds_are_forgotten_and_all_others_posted_again():
    outbox, _ = full(5)
    assert [one.number for one in outbox.batch()] == [0, 1, 2, 3, 4]

    outbox.acknowledge(2)

    assert [one.number for one in outbox.batch()] == [3, 4]
    assert len(outbox) == 2


def test_a_post_never_has_more_than_a_batch():
    outbox, merged = full(200, max_seconds=500)
    assert not merged
    assert [one.number for one in outbox.batch()] == list(range(BATCH))

    outbox.acknowledge(BATCH - 1)

    assert outbox.batch()[0].number == BATCH


def test_a_long_outage_takes_bounded_memory_and_loses_no_count():
    outbox, merged = full(5000)

    assert merged
    assert len(outbox) <= FEW
    seconds = []
    while len(outbox):
        seconds += outbox.batch()
        outbox.acknowledge(seconds[-1].number)
    assert sum(one.tally.launched for one in seconds) == sum(range(1, 5001))
    assert sum(one.span for one in seconds) == 5000
    assert seconds[-1].span == 1, "the newest are the finest"


def test_what_was_taken_is_kept_and_not_posted_until_another_coordinator_lacks_it():
    outbox, _ = full(5)
    outbox.acknowledge(-1, taken=2)
    assert ([one.number for one in outbox.batch()], outbox.after) == ([3, 4], 2)

    outbox.acknowledge(0, taken=4)
    assert (outbox.batch(), outbox.after, len(outbox)) == ((), 4, 4)

    outbox.acknowledge(0, taken=1)
    assert ([one.number for one in outbox.batch()], outbox.after) == ([2, 3, 4], 1)
    outbox.acknowledge(4, taken=4)
    assert (outbox.batch(), outbox.after, len(outbox)) == ((), -1, 0)


@given(st.lists(st.sampled_from(["second", "lost post", "lost answer", "answer"]), max_size=400))
def test_every_second_is_counted_once_whatever_is_lost_on_the_way(story):
    outbox = Outbox(FEW)
    fan = FanIn(3)
    produced = 0
    fan.expect("a")

    def arrive():
        for one in outbox.batch():
            fan.add("a", one)

    for event in [*story, *["answer"] * 10]:
        if event == "second":
            outbox.add(second(produced))
            produced += 1
        elif event == "lost post":
            outbox.batch()
        else:
            arrive()
            if event == "answer":
                outbox.acknowledge(fan.sources["a"].last.number)

    assert len(outbox) == 0
    assert fan.total.launched == sum(range(1, produced + 1))
    settled = [one.second for one in fan.settle()]
    assert [one.number for one in settled] == list(range(produced))
    opened = 0
    for one in settled:
        opened += one.tally.opened
        assert one.held.open == opened, "what is held and what was counted agree in each of them"
