"""The bus between workers for publications: one datagram socket pair per worker.

The pairs are made before the fork.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

DELIVERY_TIMEOUT = 5.0
"""Seconds that another worker has to take a publication and to answer with a receipt."""
MAX_BODY = 131_072
"""The largest body of a publication in bytes; a letter is at most twice that (a body of nothing
but channels) and its frame."""
_ROOM = 1 << 19
"""Bytes in which the largest letter fits."""


class Mailbox(NamedTuple):
    """The two ends of the socket pair to one worker."""

    inward: socket.socket
    """The end where that worker receives letters."""
    outward: socket.socket
    """The end where all other workers send letters."""


class Delivery(msgspec.Struct, frozen=True, array_like=True, tag="delivery"):
    """A frame to be written to every subscriber of some channels."""

    sender: int
    number: int
    """The sender's count of its publications."""
    channels: list[str]
    frame: bytes


class Receipt(msgspec.Struct, frozen=True, array_like=True, tag="receipt"):
    """The answer to a delivery: how many connections it reached at one worker."""

    number: int
    count: int


class Reached(NamedTuple):
    """The connections that a publication reached."""

    connections: int
    silent_workers: int
    """Workers that sent no receipt in time; their connections are not in the count."""


def mailboxes(workers: int) -> list[Mailbox]:
    """Returns one mailbox per worker."""
    boxes = []
    for _ in range(workers):
        inward, outward = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        # A datagram must fit into the send buffer; the kernel doubles this, and caps it at twice
        # net.core.wmem_max.
        outward.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM // 2)
        inward.setblocking(False)
        outward.setblocking(False)
        boxes.append(Mailbox(inward, outward))
    return boxes


class Bus:
    """One worker's end of the bus."""

    def __init__(
        self,
        number: int,
        boxes: Sequence[Mailbox],
        deliver: Callable[[list[str], bytes], int],
        running: Callable[[], int],
    ) -> None:
        """`running` returns how many workers have started: those with the lowest numbers."""
        self._number = number
        self._boxes = boxes
        self._deliver = deliver
        self._running = running
        self._published = 0
        self._receipts: dict[int, asyncio.Queue[int]] = {}
        self._turns = [asyncio.Lock() for _ in boxes]
        """One sender at a time for each mailbox: the loop waits for one writer per socket."""
        self._posted: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Opens this worker's mailbox."""
        asyncio.get_running_loop().add_reader(self._boxes[self._number].inward, self._receive)

    async def publish(self, channels: list[str], frame: bytes) -> Reached:
        """Delivers a frame to the subscribers of all workers.

        Returns how many it reached.
        """
        publication = self._published + 1  # the count goes on while this one waits
        receipts = self._receipts[publication] = asyncio.Queue[int]()
        awaited = self._running() - 1
        count = self.send(channels, frame)
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT):
                while awaited:
                    count += await receipts.get()
                    awaited -= 1
        except TimeoutError:
            pass  # workers that are still awaited are reported as silent
        finally:
            del self._receipts[publication]
        return Reached(count, awaited)

    def send(self, channels: list[str], frame: bytes) -> int:
        """Delivers a frame to the subscribers of all workers, and awaits no receipt.

        Returns how many this worker has.
        """
        self._published += 1
        delivery = Delivery(self._number, self._published, channels, frame)
        letter = msgspec.msgpack.encode(delivery)
        for number in range(self._running()):
            if number != self._number:
                self._post(number, letter)
        return self._deliver(channels, frame)

    def _receive(self) -> None:
        """Handles one letter."""
        try:
            data = self._boxes[self._number].inward.recv(_ROOM)
        except BlockingIOError:
            return
        letter = msgspec.msgpack.decode(data, type=Delivery | Receipt)
        if isinstance(letter, Delivery):
            count = self._deliver(letter.channels, letter.frame)
            self._post(letter.sender, msgspec.msgpack.encode(Receipt(letter.number, count)))
        elif letter.number in self._receipts:
            self._receipts[letter.number].put_nowait(letter.count)

    def _post(self, number: int, letter: bytes) -> None:
        """Sends a letter as soon as the mailbox's send buffer has room for it."""
        task = asyncio.get_running_loop().create_task(self._send(number, letter))
        self._posted.add(task)
        task.add_done_callback(self._posted.discard)

    async def _send(self, number: int, letter: bytes) -> None:
        with contextlib.suppress(TimeoutError):  # its receipt is no longer awaited
            async with asyncio.timeout(DELIVERY_TIMEOUT), self._turns[number]:
                await asyncio.get_running_loop().sock_sendall(self._boxes[number].outward, letter)
