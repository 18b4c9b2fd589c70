"""The users of one worker: ends, returns and meetings."""

from math import inf
from time import monotonic

import pytest

from loadgen.net.drain import Drain
from loadgen.plan.phases import Phase
from loadgen.plan.schedule import Span
from loadgen.sessions.churn import Churn
from loadgen.sessions.population import Population
from loadgen.sessions.trampoline import BaseUser
from loadgen.timers import TICK, Alarm
from tests.unit.loads import idle_population

KEEP = (Phase(duration=600.0, keep=True), Span(0, 0.0, 600.0, 0))


@pytest.mark.parametrize("failed", [False, True])
def test_a_user_that_ended_comes_back_where_a_phase_keeps_users(failed):
    population = idle_population()
    population.churn = Churn([KEEP], 1.0, 1, origin=monotonic())
    population.ended(BaseUser(3, 0.0), "done", failed=failed)

    assert population.recorder.tally.sessions_done == 1
    assert (population.churn.next_return >= 1.0) is failed
    assert population.churn.take_return() == 3


def test_the_worker_wakes_up_for_a_user_that_comes_back():
    wakes = []
    alarm = Alarm(wakes.append)
    population = idle_population()
    before = monotonic()
    population = Population(
        population.recorder, population.connections, Churn([KEEP], 1.0, 1, before), alarm
    )
    alarm.set(inf)
    population.ended(BaseUser(3, 0.0), "done", failed=True)
    population.ended(BaseUser(4, 0.0), "done", failed=False)
    population.ended(BaseUser(5, 0.0), "done", failed=False)

    later, at_once = wakes
    assert before + 1.0 <= later <= monotonic() + 1.0
    assert before + TICK <= at_once <= monotonic() + TICK


def test_a_session_that_raised_is_failed_and_not_done():
    population = idle_population()
    population.ended(BaseUser(3, 0.0), "error_KeyError", failed=False, raised=True)

    tally = population.recorder.tally
    assert (tally.sessions_done, tally.sessions_failed) == (0, 1)


def test_no_user_comes_back_during_a_drain():
    population = idle_population()
    population.churn = Churn([KEEP], 1.0, 1, origin=monotonic())
    population.connections.drain = Drain((), monotonic(), turn=0.02, within=10.0)
    population.ended(BaseUser(3, 0.0), "drained", failed=False)

    assert population.draining
    assert population.churn.returning == 0


async def test_a_meeting_ends_once_for_all_but_for_one_that_gave_it_up():
    population = idle_population()
    first, second = population.meeting(10), population.meeting(10)
    first.cancel()
    assert not second.done()

    population.met(10)
    population.met(10)
    assert second.done()
    assert population.meeting(10).done()
    assert not population.meeting(11).done()


async def test_a_meeting_may_end_before_a_user_of_this_worker_comes():
    population = idle_population()
    population.met(10)

    assert population.meeting(10).done()
