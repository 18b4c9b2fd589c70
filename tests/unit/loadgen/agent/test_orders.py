"""The coordinator's orders repeat; the workers get each of them once."""

from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.agent.orders import (
    Gate,
    Pace,
    WorkerOrders,
    announcement,
    comparison,
    place_line,
    readdressing,
    steering,
)
from loadgen.plan.reassign import Reassignment, Unfinished
from loadgen.plan.shares import Share
from loadgen.plan.steer import PlanChange
from loadgen.stats.delivery import Published, PublisherClock
from loadgen.wire import Destination, Orders, Place, Sources, Way, from_wire


def test_a_readdressing_is_one_word_and_its_argument():
    """A blank would end the argument."""
    way = Way("127.0.0.2", Sources(("127.0.0.1",), 2000, 2999))
    to = Destination("ws://t/", (way,), port=80, name="a b", host="t", resource="/", secure=False)
    word, argument = readdressing([to]).split()

    assert word == b"resolved"
    assert from_wire(argument, tuple[Destination, ...]) == (to,)


FIRST, SECOND = (Reassignment(Unfinished(Share()), at=at, pace=1.0) for at in (1.0, 2.0))


def test_a_pace_is_new_until_it_is_kept():
    sent = WorkerOrders()
    paused = Orders(0, "pause", delay=2.0)

    assert sent.new_pace(Orders(0, "run")) is None
    assert sent.new_pace(paused) == Pace(paused=True, delay=2.0)
    assert sent.new_pace(paused) == Pace(paused=True, delay=2.0)
    sent.pace = Pace(paused=True, delay=2.0)

    assert sent.new_pace(paused) is None
    assert sent.new_pace(Orders(0, "run", delay=3.0)) == Pace(paused=False, delay=3.0)


def test_each_gate_is_new_once_and_has_its_number():
    sent = WorkerOrders()

    assert sent.new_gates(Orders(0, gates=(5.0,))) == [Gate(1, 5.0)]
    assert sent.new_gates(Orders(0, gates=(5.0, 6.5))) == [Gate(2, 6.5)]
    assert sent.new_gates(Orders(0, gates=(5.0, 6.5))) == []


def test_each_meeting_is_new_once():
    sent = WorkerOrders()

    assert sent.new_meetings(Orders(0, met=(10, 3))) == [10, 3]
    assert sent.new_meetings(Orders(0, met=(10, 3, 7))) == [7]


def test_reassignments_are_new_until_the_workers_were_given_them():
    sent = WorkerOrders()
    both = Orders(0, reassignments=(FIRST, SECOND))

    assert sent.new_reassignments(both) == (FIRST, SECOND)
    sent.count_reassigned(1, second=4)

    assert sent.new_reassignments(both) == (SECOND,)
    assert sent.new_reassignments(Orders(0, reassignments=(SECOND,), reassigned=1)) == (SECOND,)
    sent.count_reassigned(1, second=5)

    assert sent.new_reassignments(both) == ()
    assert sent.new_reassignments(Orders(0, reassigned=2)) == ()


def test_reassignments_are_accounted_for_by_a_second_after_them():
    sent = WorkerOrders()
    sent.count_reassigned(2, second=4)

    sent.account_for(4)
    assert (sent.reassigned, sent.accounted) == (2, 0)
    sent.account_for(5)
    assert (sent.reassigned, sent.accounted) == (2, 2)


def test_each_publication_is_new_once():
    sent = WorkerOrders()
    first, second, third = (Published("here-run.0", number) for number in range(3))

    assert sent.new_publications(Orders(0, published=(first, second))) == (first, second)
    assert sent.new_publications(Orders(0, published=(first, second))) == ()
    assert sent.new_publications(Orders(0, published=(second, third), announced=1)) == (third,)
    assert sent.new_publications(Orders(0)) == ()
    assert sent.announced == 3


def test_publications_that_are_too_old_are_not_awaited():
    sent = WorkerOrders()
    late = Published("here-run.0", 7)

    assert sent.new_publications(Orders(0, published=(late,), announced=7)) == (late,)
    assert sent.announced == 8


def test_a_comparison_is_one_line_of_two_words():
    clocks = {"0b5c3a1d": PublisherClock(-1000.5, 0.002)}

    word, json = comparison(clocks).removesuffix(b"\n").split()

    assert (word, from_wire(json, dict[str, PublisherClock])) == (b"clocks", clocks)


@example("files of all users")
@given(st.text(max_size=20))
def test_an_announcement_is_one_line_of_two_words(channel):
    published = Published("here-run.0", 7, 123, channel)

    line = announcement(published)
    word, json = line.removesuffix(b"\n").split()

    assert line.count(b"\n") == 1
    assert (word, from_wire(json, Published)) == (b"published", published)


def test_a_place_is_one_line_of_two_words():
    place = Place("wss://other.test:443/", refusal="refuses target other.test: start it again")
    word, json, *rest = place_line(place).split()

    assert (word, rest) == (b"place", [])
    assert from_wire(json, Place) == place


def test_changes_of_the_plan_are_new_once():
    sent = WorkerOrders()
    first, second = PlanChange(1.0, 10, rate=5.0), PlanChange(2.0, 20, max=7)

    assert sent.new_changes(Orders(0, changes=(first,))) == (first,)
    assert sent.new_changes(Orders(0, changes=(first, second))) == (second,)
    assert sent.new_changes(Orders(0, changes=(second,), steered=1)) == ()
    assert sent.steered == 2


def test_a_steering_is_one_line_of_two_words():
    change = PlanChange(1.5, 10, phase=0)
    word, json = steering(change).removesuffix(b"\n").split()

    assert (word, from_wire(json, PlanChange)) == (b"steer", change)
