"""What a run would do, without doing it."""

from coordinator.conduct import Settings
from coordinator.dryrun import dry_run, shares_of
from loadgen.params import Endpoint
from loadgen.plan import Plan


def test_shares_add_up():
    assert sum(share for _, share in shares_of(Plan(max=1_000_003), 16)) == 1_000_003


def test_plan_schedule_shares_and_preflight_are_told():
    plan = Plan(max=1001, rate=100.0, hold=60.0)

    text = dry_run(Settings(plan=plan, agents=2, local=2, listen=Endpoint("127.0.0.1", 0)))

    assert "max = 1001" in text
    assert "last arrival after 10 s, drained after 1:10 min" in text
    assert "agent 1          501" in text
    assert "preflight: this machine holds a local agent's share of 501" in text
