"""Answers that many ask for at the same time."""

import asyncio

import pytest

from loadgen.http.shared import SharedAnswer


class Made:
    """Answers that are counted as they are made."""

    def __init__(self, takes=0.0):
        self.count = 0
        self._takes = takes

    async def __call__(self):
        self.count += 1
        await asyncio.sleep(self._takes)
        return self.count


async def test_an_answer_is_made_once_while_it_is_fresh():
    made = Made()
    shared = SharedAnswer(made, 3600.0)

    assert [await shared.get() for _ in range(100)] == [1] * 100


async def test_all_who_ask_while_it_is_made_get_the_same_one():
    made = Made(takes=0.05)
    shared = SharedAnswer(made)

    assert await asyncio.gather(*(shared.get() for _ in range(100))) == [1] * 100


async def test_an_answer_that_is_old_is_made_anew():
    made = Made()
    shared = SharedAnswer(made)
    async with asyncio.timeout(20):
        for _ in range(10_000):
            if await shared.get() == 2:
                break
            await asyncio.sleep(0.001)

    assert made.count == 2


async def test_one_that_goes_away_takes_the_answer_from_no_other():
    made = Made(takes=0.05)
    shared = SharedAnswer(made)
    first, second = (asyncio.create_task(shared.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()

    assert await second == 1


async def test_an_answer_that_takes_long_is_kept_for_longer():
    """Its making takes a tenth of the time at most, so some asking sees it made once."""
    made = Made(takes=0.3)
    shared = SharedAnswer(made)
    await shared.get()
    for _ in range(3):
        await asyncio.sleep(0.01)
        assert await shared.get() == 1


async def test_an_error_reaches_all_who_ask():
    async def fail():
        raise OSError("no disk")

    shared = SharedAnswer(fail)
    results = await asyncio.gather(shared.get(), shared.get(), return_exceptions=True)

    assert [str(error) for error in results] == ["no disk"] * 2
    with pytest.raises(OSError, match="no disk"):
        await shared.get()
