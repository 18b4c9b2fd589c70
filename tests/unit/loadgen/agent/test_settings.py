"""An agent's options: its command line goes before the plan, the plan before what is usual."""

import pytest

from loadgen.agent.settings import AgentSettings
from loadgen.agent.targets import AllowedTargets
from loadgen.errors import PlanError
from loadgen.machine.facts import Machine
from loadgen.plan.clients import AgentSpec
from loadgen.plan.plan import Plan, Transport

PLAN = Plan(
    clients=(AgentSpec(name="one", workers=3, max_connections=100_000, sources=("127.0.0.2-4",)),),
    transport=Transport(ports="2000-2999"),
)
NOTHING = AgentSettings(allowed_targets=AllowedTargets())


def test_what_nobody_says_is_what_is_usual():
    assert NOTHING.under(Plan(), "one") == NOTHING
    assert (NOTHING.most, NOTHING.port_range) == (64_000, range(1025, 65_536))


def test_the_plan_says_what_the_command_line_does_not():
    settings = NOTHING.under(PLAN, "one-2")

    assert (settings.workers, settings.most, settings.port_range) == (3, 100_000, range(2000, 3000))
    assert settings.sources == ("127.0.0.2", "127.0.0.3", "127.0.0.4")


def test_of_an_agent_that_it_does_not_name_it_says_the_ports_alone():
    settings = NOTHING.under(PLAN, "other")

    assert (settings.workers, settings.most, settings.sources) == (None, 64_000, ())
    assert settings.port_range == range(2000, 3000)


def test_the_command_line_goes_before_the_plan():
    said = AgentSettings(
        allowed_targets=AllowedTargets(),
        workers=1,
        max_connections=5,
        sources=("127.0.0.9",),
        ports=range(3000, 4000),
    )

    assert said.under(PLAN, "one") == said


def test_a_source_that_this_machine_does_not_have_is_named():
    with pytest.raises(PlanError, match=r"source 192\.0\.2\.7 is no address of this machine"):
        NOTHING.under(Plan(clients=(AgentSpec(name="one", sources=("192.0.2.7",)),)), "one")


def test_limits_are_those_of_what_it_is_asked_for():
    holds = {
        limit.resource: limit.connections
        for limit in NOTHING.under(PLAN, "one").limits(Machine(cpus=2))
    }

    assert holds["max_connections"] == 100_000
    assert holds["source_ports"] == 3 * 1000


def test_a_plan_does_not_start_processes_without_end():
    """Its owner may have as many as it likes."""
    plan = Plan(clients=(AgentSpec(name="here", workers=100_000),))

    with pytest.raises(PlanError, match="100,000 workers of here, which starts 256 at most"):
        AgentSettings(allowed_targets=AllowedTargets()).under(plan, "here")
    assert (
        AgentSettings(allowed_targets=AllowedTargets(), workers=1000).under(plan, "here").workers
        == 1000
    )
