"""A slow reader on a real TCP pair."""

import asyncio
import socket
from time import monotonic

from loadgen.net.throttle import Throttle
from loadgen.net.transport import Transports
from loadgen.stats.recorder import Recorder
from tests.unit.loadgen.net.test_transport import Listener
from tests.unit.wire_ends import tcp_pair, until

RATE = 1_000_000.0


async def test_reading_pauses_for_as_long_as_the_bytes_take_at_the_rate():
    wakes = []
    receiver = Listener()
    throttle = Throttle(receiver, RATE, lambda throttle, at: wakes.append(at))
    recorder = Recorder(seed=1)
    loop = asyncio.get_running_loop()
    transports = Transports(loop, socket.AF_INET, lambda name: None, recorder)
    near, far = tcp_pair()
    try:
        with far:
            transports.open(near, throttle)
            before = monotonic()
            far.send(b"x" * 1000)
            await until(lambda: receiver.received)
            (wake,) = wakes
            assert before + 1000 / RATE <= wake <= monotonic() + 1000 / RATE
            assert receiver.received == b"x" * 1000
            throttle.resume_writing()
            assert receiver.rooms == 1

            far.send(b"more")
            await asyncio.sleep(0.02)
            assert receiver.received == b"x" * 1000  # it waits in the kernel
            assert throttle.resume(wake) is False
            await until(lambda: receiver.received == b"x" * 1000 + b"more")

            far.close()
            throttle.resume(wake)
            await until(lambda: receiver.ends == [None])
            assert throttle.resume(wake) is False  # harmless after the end
    finally:
        transports.close()
