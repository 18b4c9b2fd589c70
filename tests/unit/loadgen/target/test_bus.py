"""A publication of one worker reaches all of them.

Their receipts are added up.
"""

import asyncio
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial

import pytest

from loadgen.target import bus as bus_module
from loadgen.target.bus import MAX_BODY, Bus, Mailbox, Reached, mailboxes
from loadgen.target.modes import Publication, event_frame


@asynccontextmanager
async def buses(reach, idle=0):
    """One bus per number in `reach`, and mailboxes of workers that have not started.

    A number is how many connections the deliveries of that bus reach.
    """
    recorded = []

    def deliver(at, channels, frame):
        recorded.append((at, channels, frame))
        return at[1]

    with ExitStack() as stack:
        boxes = mailboxes(len(reach) + idle)
        made = []
        for number, count in enumerate(reach):
            # Each in a process of its own has its own descriptors; a loop knows one writer for
            # each.
            own = [Mailbox(inward, stack.enter_context(outward.dup())) for inward, outward in boxes]
            deliver_here = partial(deliver, (number, count))
            made.append(Bus(number, own, deliver_here, lambda: len(reach)))
        for inward, outward in boxes:
            stack.enter_context(inward)
            stack.enter_context(outward)
            stack.callback(asyncio.get_running_loop().remove_reader, inward)
        yield made, recorded


async def test_alone_it_delivers_itself():
    async with buses([3]) as (made, recorded):
        assert await made[0].publish(["files"], b"frame") == Reached(3, 0)
        assert recorded == [((0, 3), ["files"], b"frame")]


async def test_all_deliver_and_are_counted():
    async with buses([1, 20, 300]) as (made, recorded):
        for bus in made:
            bus.listen()

        assert await made[1].publish(["files", "é"], b"\x81\x00") == Reached(321, 0)
        assert sorted(recorded) == [
            ((n, count), ["files", "é"], b"\x81\x00") for n, count in enumerate([1, 20, 300])
        ]


async def test_workers_that_have_not_started_are_not_waited_for():
    async with buses([1, 20], idle=3) as (made, _):
        for bus in made:
            bus.listen()

        assert await made[0].publish(["files"], b"frame") == Reached(21, 0)


async def test_many_at_once_wait_for_room():
    """A mailbox has room for one or two of the largest letters."""
    async with buses([1] * 4) as (made, recorded):
        for bus in made:
            bus.listen()
        frame = bytes(MAX_BODY)
        reached = await asyncio.gather(
            *(made[turn % 4].publish(["files"], frame) for turn in range(40))
        )

        assert reached == [Reached(4, 0)] * 40
        assert len(recorded) == 160


async def test_a_silent_worker_is_reported(monkeypatch):
    monkeypatch.setattr(bus_module, "DELIVERY_TIMEOUT", 0.05)
    async with buses([1, 20, 300]) as (made, _):
        made[0].listen()
        made[2].listen()

        assert await made[0].publish(["files"], b"frame") == Reached(301, 1)

        made[1].listen()  # it wakes up: its late receipt is nobody's any more
        assert await made[0].publish(["files"], b"frame") == Reached(321, 0)


async def test_a_full_mailbox_does_not_hold_back_the_receipts_of_others(monkeypatch):
    monkeypatch.setattr(bus_module, "DELIVERY_TIMEOUT", 0.2)
    async with buses([1, 20, 300]) as (made, _):
        made[0].listen()
        made[2].listen()
        with suppress(BlockingIOError):
            while True:
                made[0]._boxes[1].outward.send(bytes(1000))

        assert await made[0].publish(["files"], b"frame") == Reached(301, 1)


@pytest.mark.parametrize("channels", [["x" * MAX_BODY], ["x"] * (MAX_BODY // 4)])
async def test_the_largest_publication_fits_into_a_letter(channels):
    async with buses([1, 2]) as (made, _):
        for bus in made:
            bus.listen()
        frame = event_frame(Publication(channels), datetime.now(UTC))

        assert await made[0].publish(channels, frame) == Reached(3, 0)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_mailbox_is_a_pair_of_ends(workers):
    boxes = mailboxes(workers)
    for inward, outward in boxes:
        outward.send(b"letter")
        assert inward.recv(100) == b"letter"
        inward.close()
        outward.close()
