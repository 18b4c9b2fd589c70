"""The log of a run: an event for each change."""

from coordinator.http.live import EventLog
from coordinator.run.agents import LOST_AFTER
from coordinator.run.run import Run
from tests.unit.coordinator.fleet import PLAN, hello, opened, ready, seconds


def test_joining_starting_and_losing_an_agent_are_each_logged_once():
    run = Run(PLAN, 2)
    log = EventLog(run)
    logged = []

    def update(now):
        logged.extend((event.text, event.level) for event in log.changes(now))

    update(0.0)
    a, b = (run.join(hello(name), 0.0).id for name in ("a", "b"))
    update(0.0)
    for agent in (a, b):
        run.post(agent, ready(), 0.0)
    run.tick(0.0)
    update(0.1)
    update(0.2)
    run.post(a, seconds(opened(0, 10)), run.start + 1.0)
    for now in range(2, int(LOST_AFTER) + 7):
        run.post(a, seconds(), run.start + now)
        run.tick(run.start + now)
        update(run.start + now)
    update(run.start + LOST_AFTER + 7)

    assert logged == [
        ("waiting for agents", "info"),
        ("a joined", "info"),
        ("b joined", "info"),
        ("a has its share", "info"),
        ("b has its share", "info"),
        ("the fleet has gathered; the run starts", "info"),
        ("b is lost", "bad"),
        ("the hold is over; connections are closed in good order", "info"),
    ]


def test_a_drain_by_hand_before_the_start_logs_the_end():
    run = Run(PLAN, 1)
    log = EventLog(run)
    run.drain(0.0)

    assert [event.text for event in log.changes(0.0)] == ["the run is over"]
