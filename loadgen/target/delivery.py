"""A target that delivers publications wrongly, for tests of those who measure it."""

import asyncio

from loadgen.target.channels import Subscriber
from loadgen.target.settings import Faults


class FaultyDelivery:
    """Delivers to one worker's subscribers, with faults.

    Every nth delivery goes wrong. Deliveries are counted over all publications and subscribers of
    the worker.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._count = 0
        self._held: dict[Subscriber, bytes] = {}
        """The frames that wait for the next one to the same subscriber, to follow it."""

    def write(self, subscriber: Subscriber, frame: bytes) -> int:
        """Delivers a frame to a subscriber; returns how many frames that sends."""
        self._count += 1
        if self._is_nth(self._faults.lose_deliveries):
            return 0
        if self._is_nth(self._faults.swap_deliveries) and subscriber not in self._held:
            self._held[subscriber] = frame
            return 0
        frames = [frame, *filter(None, [self._held.pop(subscriber, b"")])]
        if self._is_nth(self._faults.double_deliveries):
            frames.append(frame)
        self._send(subscriber, b"".join(frames))
        return len(frames)

    def _is_nth(self, nth: int | None) -> bool:
        return nth is not None and self._count % nth == 0

    def _send(self, subscriber: Subscriber, frames: bytes) -> None:
        delay = self._faults.delay_deliveries
        if delay is None:
            subscriber.write(frames)
        else:
            asyncio.get_running_loop().call_later(delay, subscriber.write, frames)
