"""The faults of deliveries: every nth goes wrong, and each in its own way."""

import asyncio

from loadgen.target.delivery import FaultyDelivery
from loadgen.target.settings import Faults


class Subscriber:
    """A connection that records what is written to it."""

    def __init__(self):
        self.written = []

    def write(self, data):
        """Records bytes."""
        self.written.append(data)


def delivered(faults, frames, subscribers=1):
    """Delivers frames; returns what each subscriber got, and how many were sent."""
    faulty = FaultyDelivery(faults)
    all_of_them = [Subscriber() for _ in range(subscribers)]
    sent = sum(faulty.write(one, frame) for frame in frames for one in all_of_them)
    return [b"".join(one.written) for one in all_of_them], sent


def test_every_nth_delivery_is_lost_over_all_subscribers():
    assert delivered(Faults(lose_deliveries=3), [b"a", b"b"], 4) == (
        [b"ab", b"a", b"b", b"ab"],
        6,
    )


def test_every_nth_delivery_is_sent_twice():
    assert delivered(Faults(double_deliveries=2), [b"a", b"b", b"c"]) == ([b"abbc"], 4)


def test_every_nth_delivery_follows_the_next_one():
    assert delivered(Faults(swap_deliveries=3), [b"a", b"b", b"c", b"d", b"e"]) == (
        [b"abdce"],
        5,
    )


def test_a_subscriber_has_at_most_one_delivery_held_back():
    assert delivered(Faults(swap_deliveries=1), [b"a", b"b", b"c"]) == ([b"ba"], 2)


async def test_a_delivery_may_be_late():
    faulty, subscriber = FaultyDelivery(Faults(delay_deliveries=0.001)), Subscriber()

    assert faulty.write(subscriber, b"a") == 1
    assert subscriber.written == []
    async with asyncio.timeout(10):
        while not subscriber.written:  # noqa: ASYNC110 -- a timer sets no event
            await asyncio.sleep(0.001)
