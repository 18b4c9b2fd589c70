"""How the workers tell each other what was published: one datagram socket pair per worker, made
before the fork."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

BOUND = 5.0
"""Seconds that another worker has to take a publication and to say whom it reached."""
LARGEST = 131_072
"""The largest body of a publication in bytes; a letter is at most twice that, if it is all
channels, and its frame."""
_ROOM = 1 << 19
"""Bytes that hold the largest letter."""


class Mailbox(NamedTuple):
    """The two ends of the way to one worker."""

    inward: socket.socket
    """Where its letters come in; of use to that worker alone."""
    outward: socket.socket
    """Where all the others put theirs."""


class Delivery(msgspec.Struct, frozen=True, array_like=True, tag="delivery"):
    """A frame to be written to every subscriber of some channels."""

    sender: int
    number: int
    """The sender's count of its publications."""
    channels: list[str]
    frame: bytes


class Receipt(msgspec.Struct, frozen=True, array_like=True, tag="receipt"):
    """How many connections a delivery reached at one worker."""

    number: int
    count: int


class Reached(NamedTuple):
    """Whom a publication reached."""

    connections: int
    silent_workers: int
    """Workers that did not say in time; their connections are not in the count."""


def mailboxes(workers: int) -> list[Mailbox]:
    """One mailbox per worker."""
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
        self, number: int, boxes: Sequence[Mailbox], deliver: Callable[[list[str], bytes], int]
    ) -> None:
        self._number = number
        self._boxes = boxes
        self._deliver = deliver
        self._published = 0
        self._receipts: dict[int, asyncio.Queue[int]] = {}
        self._turns = [asyncio.Lock() for _ in boxes]
        """One sender at a time to each: the loop waits for one writer per socket."""
        self._posted: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Opens this worker's mailbox."""
        asyncio.get_running_loop().add_reader(self._boxes[self._number].inward, self._receive)

    async def publish(self, channels: list[str], frame: bytes) -> Reached:
        """Delivers a frame to every subscriber of every worker; says how many connections it
        went to."""
        others = [number for number in range(len(self._boxes)) if number != self._number]
        self._published += 1
        publication = self._published  # others may be published while this one waits
        receipts = self._receipts[publication] = asyncio.Queue[int]()
        letter = msgspec.msgpack.encode(Delivery(self._number, publication, channels, frame))
        for number in others:
            self._post(number, letter)
        count, awaited = self._deliver(channels, frame), len(others)
        try:
            async with asyncio.timeout(BOUND):
                while awaited:
                    count += await receipts.get()
                    awaited -= 1
        except TimeoutError:
            pass  # whoever is still awaited is told of as silent
        finally:
            del self._receipts[publication]
        return Reached(count, awaited)

    def _receive(self) -> None:
        """Takes one letter in."""
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
        """Sends a letter as soon as the mailbox has room, which is that of its socket's send
        buffer."""
        task = asyncio.get_running_loop().create_task(self._send(number, letter))
        self._posted.add(task)
        task.add_done_callback(self._posted.discard)

    async def _send(self, number: int, letter: bytes) -> None:
        with contextlib.suppress(TimeoutError):  # nobody waits for it any longer
            async with asyncio.timeout(BOUND), self._turns[number]:
                await asyncio.get_running_loop().sock_sendall(self._boxes[number].outward, letter)
