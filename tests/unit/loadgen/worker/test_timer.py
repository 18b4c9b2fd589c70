"""The exact timer of a worker."""

import asyncio
from time import monotonic

from loadgen.worker.timer import Timer


async def test_a_timer_goes_off_once_and_never_before_its_time():
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    calls = []

    def call(at: float) -> None:
        calls.append((at, monotonic()))
        loop.call_later(0.02, done.set_result, None)

    timer = Timer(loop, call)
    at = monotonic() + 0.0125
    timer.set(at)
    await done
    ((told, came),) = calls
    assert told == at
    assert came >= at


async def test_a_timer_keeps_only_the_time_that_was_set_last():
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    timer = Timer(loop, told.set_result)
    timer.set(monotonic() + 3600)
    sooner = monotonic() + 0.001
    timer.set(sooner)
    assert await told == sooner


async def test_a_time_that_has_passed_comes_at_once():
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    timer = Timer(loop, told.set_result)
    timer.set(0.0)
    assert await asyncio.wait_for(told, 60) == 0.0


async def test_a_timer_that_is_set_anew_while_it_is_ready_waits_for_the_new_time():
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    timer = Timer(loop, told.set_result)
    timer.set(monotonic())
    while monotonic() < timer.at:  # it is ready from here on, and the loop has not looked yet
        pass
    later = monotonic() + 0.01
    timer.set(later)
    assert await told == later
