"""The log of a run: an event for each change."""

import json

import pytest

from coordinator.http.live import EventLog, Live, overview, preamble
from coordinator.run.agents import LOST_AFTER
from coordinator.run.notices import Notice
from coordinator.run.run import Run
from coordinator.scrape import Scrape
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from tests.unit.coordinator.fleet import PLAN, hello, opened, posted, ready, seconds, started


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
        posted(run, agent, ready(), 0.0)
    run.tick(0.0)
    update(0.1)
    update(0.2)
    posted(run, a, seconds(opened(0, 10)), run.start + 1.0)
    for now in range(2, int(LOST_AFTER) + 7):
        posted(run, a, seconds(), run.start + now)
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


def described(run, now):
    """The run as /v1/run shows it, as far as these tests look at it."""
    return {"ledger": run.ledger, "now": now, "http_replies": {"503": 1}, "http_failed": {}}


def texts(chunk):
    """The kinds of the events in a chunk, and the texts of those that have one."""
    blocks = [dict(line.split(": ", 1) for line in b.split("\n")) for b in chunk.split("\n\n")[:-1]]
    return [(block["event"], json.loads(block["data"]).get("text")) for block in blocks]


def read(live, position):
    """All kinds and texts after a position, and the position after them."""
    found = []
    while True:
        chunk, position = live.feed.after(position)
        if not chunk:
            return found, position
        found += texts(chunk.decode())


def test_pauses_and_phases_are_logged():
    plan = Plan(phases=(Phase(name="ramp", rate=10, duration=60.0),), hold=5.0)
    run = Run(plan, 1)
    started(run, ["a"])
    log = EventLog(run)
    list(log.changes(run.start))

    run.pause(run.start + 1.0)
    paused = [event.text for event in log.changes(run.start + 1.0)]
    run.resume(run.start + 2.0)
    run.tick(run.start + 4.0)
    resumed = [event.text for event in log.changes(run.start + 4.0)]

    assert paused == ["arrivals are paused"]
    assert "arrivals go on" in resumed


def test_the_feed_has_the_log_the_seconds_and_one_overview():
    run = Run(PLAN, 1)
    live = Live(run, described, "first")
    assert live.update(0.0)
    assert not live.update(0.1)

    (agent,) = started(run, ["a"])
    posted(run, agent, seconds(opened(0, 10)), run.start + 1.0)
    (entry,) = run.tick(run.start + 1.0)
    live.add_second(entry.row)
    live.add_scrape(Scrape(0, "server"))
    live.add_action("pause", run.start + 1.0)
    live.add_notice(Notice("hot", "a"), run.start + 1.0)
    live.add_notice(Notice("answered 403\n\nServer: x", "a", "http_403"), run.start + 1.0)
    assert live.update(run.start + 1.0)
    found, _ = read(live, live.feed.position_of(""))

    assert found[0] == ("run", None)
    assert [kind for kind, _ in found].count("now") == 1
    assert {"second", "watch", "log"} <= {kind for kind, _ in found}
    assert {"the operator said pause", "hot", "answered 403"} <= {text for _, text in found}


def test_the_verdict_comes_with_an_overview_of_its_own():
    live = Live(Run(PLAN, 1), described, "first")
    live.update(0.0)
    _, before = read(live, live.feed.position_of(""))
    live.outcome = "pass"
    assert live.update(0.1)
    found, _ = live.feed.after(before)

    assert b'"outcome":"pass"' in found


def test_the_overview_has_the_time_left_and_the_fault_of_each_end():
    run = Run(PLAN, 1)
    assert overview(run, described(run, 0.0), 0.0)["left_s"] is None

    (agent,) = started(run, ["a"])
    tally = Tally(launched=2, opened=1, failed={"refused": 1}, closed={"done": 1})
    posted(run, agent, seconds(Second(0, tally, Held())), run.start + 1.0)
    run.tick(run.start + 1.0)
    run.notices.sample("a", "refused", "sample")
    shown = overview(run, described(run, run.start + 1.0), run.start + 1.0, "run-1")

    assert shown["left_s"] == pytest.approx(run.progress.drain_after - 1.0, abs=0.05)
    assert shown["culprits"] == {"refused": "server", "done": "nobody"}
    assert shown["samples"] == {"refused": "/runs/run-1/errors/refused.txt"}
    assert overview(run, described(run, 0.0), 0.0)["samples"] == {}
    assert preamble(run)["wanted"] == 1
