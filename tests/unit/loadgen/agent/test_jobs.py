"""The jobs of an agent's workers together are the agent's orders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loadgen.agent.jobs import (
    AgentPart,
    connections_in,
    destination_of,
    jobs_of,
    numbered_as,
)
from loadgen.agent.settings import AgentSettings
from loadgen.agent.targets import ReachedAddress, ResolvedTarget
from loadgen.machine.facts import Machine
from loadgen.net.allowed import AllowedTargets
from loadgen.net.url import TargetUrl
from loadgen.plan.plan import Plan, Target
from loadgen.plan.reassign import Reassignment, Unfinished
from loadgen.plan.shares import Share
from loadgen.plan.steer import PlanChange
from loadgen.wire import Orders, Start, Welcome

SOURCES = ("10.0.1.1", "10.0.1.2")
URLS = ("ws://10.0.0.1:9505/a", "wss://10.0.0.2/b")
TARGETS = [
    ResolvedTarget(url, TargetUrl.parse(url), (ReachedAddress(f"10.0.0.{place}", SOURCES),))
    for place, url in enumerate(URLS, 1)
]
MACHINE = Machine(cpus=2, nofile_hard=20_000, reserved_ports="2000")
WHOLE = Share()


def part_of(plan, *, workers=3, capacity=100, index=0, agents=1):
    settings = AgentSettings(
        allowed_targets=AllowedTargets(),
        workers=workers,
        max_connections=capacity,
        ports=range(2000, 3000),
    )
    welcome = Welcome(id="a", name="agent", index=index, plan=plan, agents=agents)
    return AgentPart(welcome, settings, MACHINE, TARGETS)


def lost(first, below):
    """A reassignment of all numbers from `first` on.

    Those under `below` are to be launched again.
    """
    return Reassignment(Unfinished(WHOLE, first, below), at=1.0, pace=10.0)


@given(st.integers(1, 12), st.integers(1, 500))
def test_the_workers_have_disjoint_parts_that_are_the_whole_share(workers, total):
    share = Share(3, (0, 2))
    part = part_of(Plan(max=total), workers=workers)

    jobs = jobs_of(part, Orders(0), Start(share, 0.0), begin=7.0)

    numbers = [number for job in jobs for number in job.share.numbers(total)]
    assert sorted(numbers) == list(share.numbers(total))
    counts = [job.share.count(total) for job in jobs]
    assert len(jobs) == min(workers, share.count(total))
    assert max(counts) - min(counts) <= 1


def test_a_job_says_what_the_orders_say():
    plan = Plan(max=10)
    orders = Orders(0, delay=4.0)

    jobs = jobs_of(part_of(plan), orders, Start(WHOLE, 0.0, first=5), begin=7.0)

    assert len(jobs) == 3
    for job in jobs:
        assert job.plan is plan
        assert (job.start, job.agent, job.first, job.delay) == (7.0, "agent", 5, 4.0)


def test_workers_hear_whether_they_are_more_than_the_cores():
    def crowded(part):
        return {job.crowded for job in jobs_of(part, Orders(0), Start(WHOLE, 0.0), begin=7.0)}

    lone = part_of(Plan(max=10), workers=2)
    shared = lone._replace(settings=replace(lone.settings, crowded=True))

    assert crowded(lone) == {False}
    assert crowded(part_of(Plan(max=10), workers=3)) == {True}
    assert crowded(shared) == {True}


def test_the_capacity_is_split_to_the_last_connection():
    jobs = jobs_of(part_of(Plan(max=1000)), Orders(0), Start(WHOLE, 0.0), begin=0.0)

    assert [job.most_open for job in jobs] == [34, 33, 33]


def test_each_worker_gets_its_part_of_what_is_reassigned():
    plan = Plan(max=90)
    reassigned = (lost(30, 60), lost(80, 80))
    orders = Orders(0, reassignments=reassigned)

    jobs = jobs_of(part_of(plan), orders, Start(Share(1, ()), 0.0), begin=0.0)

    parts = [[job.reassignments[place] for job in jobs] for place in range(2)]
    for whole, pieces in zip(reassigned, parts, strict=True):
        assert sum(piece.unfinished.wanted(90) for piece in pieces) == whole.unfinished.wanted(90)
        assert {(piece.at, piece.pace) for piece in pieces} == {(1.0, 10.0)}


def test_without_reassignments_a_job_has_none():
    jobs = jobs_of(part_of(Plan(max=10)), Orders(0), Start(WHOLE, 0.0), begin=0.0)

    assert {job.reassignments for job in jobs} == {()}


def test_every_worker_has_its_own_ports_towards_every_target():
    jobs = jobs_of(part_of(Plan(max=10)), Orders(0), Start(WHOLE, 0.0), begin=0.0)

    for number, job in enumerate(jobs):
        assert [destination.url for destination in job.destinations] == list(URLS)
        for destination in job.destinations:
            (way,) = destination.ways
            sources = way.sources
            assert (sources.worker, sources.workers) == (number, 3)
            assert sources.addresses == ("10.0.1.1", "10.0.1.2")
            assert (sources.low, sources.high, sources.left_out) == (2000, 2999, (2000,))


@pytest.mark.parametrize(("index", "start"), [(0, 0), (1, 999), (2, 0)])
def test_agents_of_one_host_begin_at_different_pairs(index, start):
    part = part_of(Plan(max=10), index=index, agents=2)

    jobs = jobs_of(part, Orders(0), Start(WHOLE, 0.0), begin=0.0)

    assert {job.destinations[0].ways[0].sources.start for job in jobs} == {start}


def test_connections_are_those_of_the_share_and_of_what_is_reassigned():
    assert connections_in(WHOLE, (), 90) == 90
    assert connections_in(Share(2, (0,)), (lost(30, 60), lost(80, 80)), 90) == 45 + 60 + 10


def test_a_place_of_a_redirect_gets_the_pairs_of_its_worker():
    plan = Plan(max=90, rate=10.0, targets=(Target(url=URLS[0]),))
    part = part_of(plan)
    for number, job in enumerate(jobs_of(part, Orders(0), Start(WHOLE, 0.0), begin=0.0)):
        to = numbered_as(job, destination_of(TARGETS[1], part))
        own = to.ways[0].sources
        assert (own.worker, own.workers) == (number, 3)


def test_workers_that_begin_after_a_change_have_it_and_its_number_of_users():
    changes = (PlanChange(1.0, 2, max=4),)
    orders = Orders(0, changes=changes)

    jobs = jobs_of(part_of(Plan(max=2, rate=10.0)), orders, Start(WHOLE, 0.0), begin=0.0)

    assert [job.changes for job in jobs] == [changes] * 3
    assert sum(job.share.count(4) for job in jobs) == 4
