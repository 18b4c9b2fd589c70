"""Churn, storms and returns, on invented ages and on a real engine."""

from contextlib import asynccontextmanager
from math import inf
from time import monotonic

import pytest
from websockets.asyncio.server import serve

from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.schedule import Span
from loadgen.plan.seeded import chance
from loadgen.sessions.churn import Churn
from loadgen.stats.reasons import CHURN, STORM
from tests.unit.loads import Load
from tests.unit.wire_ends import until

ALWAYS = Span(0, 0.0, 1000.0, 0)
LATER = Span(0, 10.0, 20.0, 0)


def churn(fraction=1.0, span=LATER, **phase):
    return Churn([(Phase(duration=10.0, **phase), span)], fraction, seed=7)


def test_chances_are_even_repeatable_and_of_each_salt_their_own():
    drawn = [chance(1, number) for number in range(10_000)]

    assert drawn == [chance(1, number) for number in range(10_000)]
    assert all(0 <= value < 1 for value in drawn)
    assert [
        sum(value < part for value in drawn) / 10_000 for part in (0.1, 0.5, 0.9)
    ] == pytest.approx([0.1, 0.5, 0.9], abs=0.02)
    both = sum(
        chance(1, number, 1) < 0.5 and chance(1, number, 2) < 0.5 for number in range(10_000)
    )
    assert both / 10_000 == pytest.approx(0.25, abs=0.02)


def test_churn_sends_away_its_rate_in_its_phase_and_rounding_loses_no_user():
    churning = churn(fraction=0.25, churn=30.0)

    assert sum(churning.churned(tenth / 10) for tenth in range(300)) == 10 * 30 * 0.25


def test_each_user_is_sent_away_when_its_turn_is_due():
    churning = churn(churn=4.0)
    turns = []
    while churning.next_end < inf:
        turns.append(churning.next_end)
        assert churning.churned(churning.next_end) == 1

    assert turns == [10.25 + turn / 4 for turn in range(40)]


def test_a_turn_that_is_looked_at_late_puts_off_no_other():
    churning = churn(churn=4.0)

    assert churning.churned(11.125) == 4
    assert churning.next_end == 11.25


def test_what_a_phase_owes_at_its_end_is_due_in_the_next_one():
    spans = (Span(0, 0.0, 10.0, 0), Span(0, 10.0, 20.0, 0))
    phases = (Phase(duration=10.0, churn=0.05), Phase(duration=10.0, churn=1.0))

    assert Churn(list(zip(phases, spans, strict=True)), 1.0, seed=7).next_end == 10.5


def test_a_storm_is_due_at_its_begin():
    stormy = churn(storm=0.25)
    assert stormy.next_end == 10.0
    stormy.storm(9.0)
    assert stormy.next_end == 10.0
    stormy.storm(10.0)
    assert stormy.next_end == inf


def test_a_plan_without_churn_sends_nobody_away():
    assert churn(keep=True).next_end == inf


def test_sessions_are_kept_in_their_phase_only():
    keeping = churn(keep=True)

    assert [keeping.keeps(age) for age in (0.0, 9.9, 10.0, 19.9, 20.0)] == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_a_storm_begins_once_hits_its_part_and_all_are_back_within_the_jitter():
    stormy = churn(storm=0.25, jitter=4.0)
    storms = [stormy.storm(age) for age in (9.0, 9.5, 10.0, 10.5, 11.0)]
    (storm,) = [storm for storm in storms if storm is not None]
    hit = [number for number in range(10_000) if storm.hits(number)]
    back = [storm.back_at(number) for number in hit]

    assert len(hit) == pytest.approx(2500, abs=200)
    assert (min(back), max(back)) == (pytest.approx(10.0, abs=0.05), pytest.approx(14.0, abs=0.05))


def test_phases_behind_a_gate_begin_with_its_opening():
    waiting = churn(keep=True, churn=1.0, span=Span(1, 10.0, 20.0, 0))

    assert not waiting.keeps(15.0)
    assert waiting.next_end == inf
    waiting.open_gate(1, 100.0)
    assert waiting.next_end == 111.0
    assert [waiting.keeps(age) for age in (15.0, 109.0, 111.0)] == [False, False, True]


@asynccontextmanager
async def load(session=None, *, phase, span=ALWAYS, **changes):
    async def hold(connection):
        async for _ in connection:
            pass

    async with serve(hold, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        plan = Plan(**{"rate": 1000.0, "max": 20, "hold": 0.0} | changes)
        port = server.sockets[0].getsockname()[1]
        phases = [(phase, span)]
        running = Load(
            plan,
            port,
            source="127.0.9.7",
            ports=range(26_000, 28_000),
            session=session,
            phases=phases,
        )
        try:
            yield running
        finally:
            await running.end()


async def test_a_user_that_ends_in_a_phase_that_keeps_comes_back_and_is_planned_anew():
    async with load(phase=Phase(keep=True), think=0.02, loops=2) as running:
        await until(lambda: running.tally.closed.get("done", 0) >= 60)
        assert running.engine.held().open + running.engine.held().connecting <= 20
        running.engine.drain(monotonic())
        ledger = await running.over()
        assert ledger.planned == ledger.launched == 20 + running.tally.relaunched
        assert running.tally.relaunched >= 40


async def test_sessions_in_python_are_kept_too():
    async def session(user):
        ws = await user.connect()
        await ws.close()

    async with load(session, phase=Phase(keep=True)) as running:
        await until(lambda: running.tally.closed.get("done", 0) >= 60)


async def test_churn_closes_and_opens_again_at_its_rate():
    async with load(phase=Phase(churn=200.0)) as running:
        await until(lambda: running.tally.closed.get("churn", 0) >= 40)
        await until(lambda: running.tally.relaunched >= 40)
        assert set(running.ledger.closed) == {"churn"}


@pytest.mark.parametrize("python", [False, True])
async def test_a_storm_cuts_its_part_and_all_are_back_afterwards(python):
    async def session(user):
        await user.connect()
        await user.think(60)

    span = Span(0, 0.3, 10.0, 0)
    async with load(
        session if python else None, phase=Phase(storm=0.5, jitter=0.2), span=span
    ) as running:
        await until(lambda: running.tally.closed.get("storm", 0) > 0)
        await until(lambda: running.engine.held().open == 20)
        cut = running.tally.closed["storm"]
        assert 0 < cut < 20
        assert running.ledger.planned == running.ledger.opened == 20 + cut


def test_users_who_leave_come_back_as_their_reason_and_phase_ask():
    stormy = churn(storm=1.0, jitter=0.0)
    stormy.storm(9.0)
    stormy.storm(10.0)
    backs = [
        stormy.user_ended(6, "done", 12.0, failed=False),
        stormy.user_ended(5, CHURN, 12.0, failed=True),
        stormy.user_ended(4, CHURN, 12.0, failed=False),
        stormy.user_ended(3, STORM, 11.0, failed=False),
    ]

    assert backs == [inf, 13.0, 12.0, 10.0]
    assert stormy.returning == 3
    assert stormy.next_return == 10.0
    assert [stormy.take_return() for _ in range(3)] == [3, 4, 5]
    assert stormy.next_return == inf

    stormy.bring_back(1.0, 7)
    stormy.forget_returns()
    assert stormy.returning == 0


def test_another_workers_part_adds_to_the_rate():
    churning = churn(fraction=0.25, churn=30.0)
    churning.take(0.25)

    assert churning.next_end == 10.0 + 1 / 15
    assert sum(churning.churned(tenth / 10) for tenth in range(300)) == 10 * 30 * 0.5


def test_phases_that_change_count_from_then_on():
    churning = churn(span=Span(0, 0.0, 4.0, 0), churn=3.0)
    assert churning.churned(2.0) == 6

    phase = Phase(duration=2.0, churn=1.0)
    churning.follow([(phase, Span(0, 4.0, 6.0, 0)), (Phase(rate=1, max=1), Span(0, 6.0, 7.0, 1))])

    assert churning.churned(8.0) == 2
    churning.follow([])
    assert not churning


def test_a_worker_that_takes_over_owes_nothing_of_the_time_before():
    successor = churn(fraction=0.0, churn=30.0)
    assert successor.next_end == inf
    successor.owe(15.0)
    successor.take(0.5)

    assert successor.next_end == 15.0 + 1 / 15
    assert successor.churned(20.0) == 5 * 30 * 0.5
