"""What a run would do, without doing it."""

import pytest

from coordinator.conduct import Settings
from coordinator.dryrun import dry_run, shares_of
from loadgen.client import Client
from loadgen.errors import PlanError
from loadgen.params import Endpoint
from loadgen.plan import Plan


def test_shares_add_up():
    assert sum(share for _, share in shares_of(Plan(max=1_000_003), 16)) == 1_000_003


def test_clients_get_shares_by_their_weights_and_others_as_of_weight_one():
    plan = Plan(max=1000, clients=(Client(name="big", weight=2.0), Client(name="small", weight=0.5)))

    assert shares_of(plan, 3) == [("big", 571), ("small", 143), ("agent 3", 286)]
    assert shares_of(plan, 1) == [("big", 1000)]
    assert [name for name, _ in shares_of(plan, 3, local=2)] == ["local-1", "local-2", "big"]


def test_an_agent_that_would_get_nothing_is_named():
    plan = Plan(max=9, clients=(Client(name="big", weight=100.0), Client(name="small")))

    with pytest.raises(PlanError, match=r"--max 9 over 2 agents leaves nothing for small: .* its weight in the plan"):
        shares_of(plan, 2)


def test_plan_schedule_shares_and_preflight_are_told():
    plan = Plan(max=1001, rate=100.0, hold=60.0)

    text = dry_run(Settings(plan=plan, agents=2, local=2, listen=Endpoint("127.0.0.1", 0)))

    assert "max = 1001" in text
    assert "last arrival after 10 s, drained after 1:10 min" in text
    assert "agent 1          501" in text
    assert "preflight: this machine holds a local agent's share of 501" in text
