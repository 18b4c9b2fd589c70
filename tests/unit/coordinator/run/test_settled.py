"""The seconds of a run as they settle: complete, late, invalid, in their parts."""

from msgspec.structs import replace

from coordinator.run.run import Run
from loadgen.machine.host import HostState
from loadgen.plan.plan import Plan
from loadgen.stats.fanin import Second
from loadgen.stats.tally import Tally
from tests.unit.coordinator.fleet import (
    PLAN,
    beat,
    drained,
    hello,
    opened,
    posted,
    ready,
    seconds,
    started,
    warnings,
)


def test_a_second_settles_when_every_agent_has_reported_and_is_acknowledged():
    run = Run(PLAN, 2)
    a, b = started(run)
    now = run.start + 1.0
    assert posted(run, a, seconds(opened(0, 50)), now).acknowledged == 0
    assert run.tick(now) == []
    posted(run, b, seconds(opened(0, 50)), now)

    (entry,) = run.tick(now)

    assert entry.row.fleet.ledger.open == 100
    assert entry.row.agents["a"].ledger.open == 50
    assert entry.row.invalid == []
    assert entry.row.fleet.histograms["handshake"].count == 100


def test_a_second_without_a_silent_agent_names_it_and_is_corrected_when_it_posts():
    run = Run(PLAN, 2)
    a, b = started(run)
    rows = []
    for number in range(4):
        now = run.start + number + 1.0
        posted(run, a, seconds(opened(number, 10, held=10 * (number + 1))), now)
        rows += [entry.row for entry in run.tick(now)]
    assert [(row.second, row.missing) for row in rows] == [(0, ["b"])]
    assert rows[0].invalid == ["no report from b"]
    assert run.timeline.invalid == {0: ["no report from b"]}

    late = [opened(number, 10, held=10 * (number + 1)) for number in range(4)]
    posted(run, b, seconds(*late), run.start + 4.5)
    rows = [entry.row for entry in run.tick(run.start + 4.5)]

    assert [(row.second, row.corrects, row.fleet.ledger.open) for row in rows] == [
        (0, True, 20),
        (1, False, 40),
        (2, False, 60),
        (3, False, 80),
    ]
    assert all(row.invalid == [] for row in rows)
    assert run.timeline.invalid == {}


def test_a_ledger_that_differs_from_what_is_held_makes_the_second_invalid():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])

    _, (entry,) = beat(run, [a], run.start + 1.0, opened(0, 10, held=9))

    assert entry.row.invalid == ["the ledger does not add up: open is 10 but 9 are held"]


def test_a_stalled_generator_makes_the_second_invalid():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    second = opened(0, 10)
    second.delays.stalls[2] = 0.9

    _, (entry,) = beat(run, [a], run.start + 1.0, second)

    assert entry.row.invalid == ["worker 2 of agent a stood still for 0.9 s"]


def test_agents_on_one_host_are_one_host():
    run = Run(PLAN, 3)
    agents = []
    for name, boot in (("a", "one"), ("b", "one"), ("c", None)):
        machine = {"kernel.random.boot_id": boot} if boot else {}
        agents.append(run.join(replace(hello(name), machine=machine), 0.0).id)
    for agent in agents:
        posted(run, agent, ready(), 0.0)
    run.tick(0.0)
    full = opened(0, 10)
    full.host = HostState(busy=(100,))

    _, (entry,) = beat(run, agents, run.start + 1.0, full)

    assert entry.row.saturated == [
        "no core was idle on the host of a and 1 more",
        "no core was idle on the host of c",
    ]


def test_the_seconds_of_a_run_are_added_to_the_parts_that_they_lie_in():
    run = Run(Plan(max=20, rate=10.0, hold=1.0), 1)
    (agent,) = started(run, ["a"])
    for number in range(3):
        now = run.start + number + 1.0
        posted(run, agent, seconds(opened(number, 10 if number < 2 else 0, held=20)), now)
        run.tick(now)
    posted(run, agent, seconds(drained(3, 20), finished=True), run.start + 4.0)
    run.tick(run.start + 4.0)

    spans = {name: (part.begin, part.end) for name, part in run.parts.figures().items()}
    assert spans == {
        "run": (0, 3),
        "plateau": (1, 2),
        "phase.arrivals": (0, 1),
        "phase.hold": (2, 2),
        "phase.drain": (3, 3),
    }


def test_a_reason_that_all_connections_share_is_told_once():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    for number in (0, 1):
        second = Second(number, Tally(launched=10, failed={"http_404": 10}))
        beat(run, [agent], run.start + number + 1.0, second)

    (said,) = warnings(run)
    assert said.startswith("all 10 connections so far ended as http_404: the server answered")
