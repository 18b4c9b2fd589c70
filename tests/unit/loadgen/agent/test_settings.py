"""An agent's settings: the command line first, then the plan, then the defaults."""

import pytest

from loadgen.agent.settings import AgentSettings
from loadgen.errors import PlanError
from loadgen.machine.facts import Machine
from loadgen.net.allowed import AllowedTargets
from loadgen.plan.clients import AgentSpec
from loadgen.plan.plan import Plan, Target
from loadgen.plan.transport import Transport

PLAN = Plan(
    clients=(AgentSpec(name="one", workers=3, max_connections=100_000, sources=("127.0.0.2-4",)),),
    transport=Transport(ports="2000-2999"),
)
SECURE = Plan(targets=(Target(url="wss://10.0.0.2/b"),))
NOTHING = AgentSettings(allowed_targets=AllowedTargets())


def test_without_options_and_plan_the_defaults_hold():
    assert NOTHING.with_plan(Plan(), "one") == NOTHING
    assert (NOTHING.capacity, NOTHING.port_range) == (64_000, range(1025, 65_536))


def test_the_plan_fills_in_what_the_command_line_leaves_out():
    settings = NOTHING.with_plan(PLAN, "one-2")

    assert (settings.workers, settings.capacity, settings.port_range) == (
        3,
        100_000,
        range(2000, 3000),
    )
    assert settings.sources == ("127.0.0.2", "127.0.0.3", "127.0.0.4")


def test_an_agent_that_the_plan_does_not_name_gets_its_ports_alone():
    settings = NOTHING.with_plan(PLAN, "other")

    assert (settings.workers, settings.capacity, settings.sources) == (None, 64_000, ())
    assert settings.port_range == range(2000, 3000)


def test_the_command_line_overrules_the_plan():
    given = AgentSettings(
        allowed_targets=AllowedTargets(),
        workers=1,
        max_connections=5,
        sources=("127.0.0.9",),
        ports=range(3000, 4000),
    )

    assert given.with_plan(PLAN, "one") == given


def test_a_source_that_this_machine_lacks_is_named():
    with pytest.raises(PlanError, match=r"source 192\.0\.2\.7 is no address of this machine"):
        NOTHING.with_plan(Plan(clients=(AgentSpec(name="one", sources=("192.0.2.7",)),)), "one")


def test_the_limits_follow_from_the_settings():
    holds = {
        limit.resource: limit.connections
        for limit in NOTHING.with_plan(PLAN, "one").limits(Machine(cpus=2))
    }

    assert holds["max_connections"] == 100_000
    assert holds["source_ports"] == 3 * 1000


def test_the_limits_follow_from_the_addresses_of_targets_too():
    limits = NOTHING.with_plan(PLAN, "one").limits(Machine(cpus=2), ways=6)
    assert {limit.resource: limit.connections for limit in limits}["source_ports"] == 6 * 1000


def test_a_plan_with_tls_takes_more_memory():
    machine = Machine(cpus=2, memory_available=1 << 30)
    plain, secure = (
        {limit.resource: limit.connections for limit in found.limits(machine)}
        for found in (NOTHING.with_plan(Plan(target=url), "one") for url in ("ws://a/", "wss://a/"))
    )

    assert secure["memory"] < plain["memory"] / 5


def test_a_plan_may_not_ask_for_any_number_of_workers():
    """The command line of the agent may."""
    plan = Plan(clients=(AgentSpec(name="here", workers=100_000),))

    with pytest.raises(
        PlanError, match="100,000 workers on here, and a plan may ask for 256 at most"
    ):
        AgentSettings(allowed_targets=AllowedTargets()).with_plan(plan, "here")
    assert (
        AgentSettings(allowed_targets=AllowedTargets(), workers=1000)
        .with_plan(plan, "here")
        .workers
        == 1000
    )


def test_the_number_of_workers_is_the_option_or_what_the_machine_needs():
    machine = Machine(cpus=2, nofile_hard=20_000)
    few = AgentSettings(allowed_targets=AllowedTargets(), workers=5)

    assert few.workers_for(1_000_000, machine) == (5, "as asked")
    assert NOTHING.workers_for(10, machine) == (2, "one a core")
    assert NOTHING.workers_for(64_000, machine).number == 4
    assert NOTHING.workers_for(1_000_000, machine) == NOTHING.workers_for(64_000, machine)


def test_connections_with_tls_leave_less_memory_for_workers():
    machine = Machine(cpus=64, nofile_hard=1 << 20, memory_available=3 << 30)

    plain, secure = (NOTHING.with_plan(plan, "one") for plan in (Plan(), SECURE))

    assert plain.workers_for(64_000, machine).number == 64
    assert secure.workers_for(64_000, machine).number < 64
