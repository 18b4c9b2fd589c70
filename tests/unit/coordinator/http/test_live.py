"""The log of events of a run."""

from coordinator.http.live import EventLog
from coordinator.run.agents import LOST_AFTER
from coordinator.run.run import Run
from tests.unit.coordinator.fleet import PLAN, hello, opened, ready, seconds


def test_joining_starting_and_losing_are_each_told_once():
    run, chronicle, told = Run(PLAN, 2), EventLog(), []

    def look(now):
        told.extend((happening.text, happening.level) for happening in chronicle.look(run, now))

    look(0.0)
    a, b = (run.join(hello(name), 0.0).id for name in ("a", "b"))
    look(0.0)
    for agent in (a, b):
        run.post(agent, ready(), 0.0)
    run.tick(0.0)
    look(0.1)
    look(0.2)
    run.post(a, seconds(opened(0, 10)), run.start + 1.0)
    for now in range(2, int(LOST_AFTER) + 7):
        run.post(a, seconds(), run.start + now)
        run.tick(run.start + now)
        look(run.start + now)
    look(run.start + LOST_AFTER + 7)

    assert told == [
        ("waiting for agents", "info"),
        ("a joined", "info"),
        ("b joined", "info"),
        ("a has its share", "info"),
        ("b has its share", "info"),
        ("the fleet has gathered; the run starts", "info"),
        ("b is lost", "bad"),
        ("the hold is over; connections are closed in good order", "info"),
    ]


def test_a_run_that_is_drained_by_hand_says_so():
    run, chronicle = Run(PLAN, 1), EventLog()
    run.drain(0.0)

    assert [happening.text for happening in chronicle.look(run, 0.0)] == ["the run is over"]
