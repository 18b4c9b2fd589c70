"""The status of a run in Tsung's form."""

import pytest

from coordinator.run.run import Run
from coordinator.tsung.status import tsung_status
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from tests.unit.coordinator.fleet import opened, posted, seconds, started

FIELDS = [
    "phase",
    "phase_total",
    "users",
    "connected_users",
    "request_rate",
    "active_beams",
    "cpu_controller",
]


def test_before_the_start_there_is_nothing():
    status = tsung_status(Run(Plan(max=10), 1), 0.0, 0.0)

    assert list(status) == FIELDS
    assert status == dict.fromkeys(FIELDS, 0) | {"phase": 1, "phase_total": 1}


def test_users_connections_agents_and_the_rate_of_the_last_second():
    run = Run(Plan(max=1000, rate=10.0), 2)
    first, second = started(run)
    for agent, requests in ((first, 10), (second, 4)):
        one = opened(0, requests)
        one.tally.sessions_started, one.tally.sessions_done = requests + 1, 1
        posted(run, agent, seconds(one), run.start + 1.0)
    run.tick(run.start + 1.0)

    status = tsung_status(run, run.start + 1.0, 12.3456)

    assert list(status.values()) == [1, 1, 14, 14, 14.0, 2, 12.35]


def test_the_request_rate_of_scripts_counts_their_requests():
    run = Run(Plan(max=10), 1)
    (agent,) = started(run, ["a"])
    one = Second(0, Tally(launched=2, opened=2), Held(open=2))
    for name in ("request", "request", "request", "page"):
        one.tally.time(name, 1000)
    one.tally.handshake.record(1000)
    posted(run, agent, seconds(one), run.start + 1.0)
    run.tick(run.start + 1.0)

    assert tsung_status(run, run.start + 1.0, 0.0)["request_rate"] == 3.0


@pytest.mark.parametrize(
    ("gates", "age", "phase"),
    [
        ((), 0.0, 1),
        ((), 4.9, 1),
        ((), 5.0, 2),
        ((), 90.0, 2),
        ((20.0,), 19.0, 2),
        ((20.0,), 20.0, 3),
        ((20.0,), 40.0, 4),
    ],
)
def test_the_phase_is_the_last_that_began_and_none_begins_behind_a_closed_gate(gates, age, phase):
    phases = (Phase(rate=1.0, duration=5.0), Phase(rate=2.0, duration=5.0, wait=True),
              Phase(rate=1.0, duration=5.0), Phase(rate=1.0, duration=5.0))  # fmt: skip
    run = Run(Plan(phases=phases, hold="sessions"), 1)
    started(run, ["a"])
    run.progress.gates = gates

    status = tsung_status(run, run.start + age, 0.0)
    assert (status["phase"], status["phase_total"]) == (phase, 4)
