"""The server's end of one case: plays the steps, keeps what the client did."""

import asyncio
import zlib
from collections.abc import Callable

from tests.conformance.case import (
    BINARY_EVENT,
    NORMAL,
    PONG_EVENT,
    TEXT_EVENT,
    WAITED_EVENT,
    Case,
    Happened,
)
from tests.conformance.deflating import Deflater, Inflater
from tests.conformance.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MAX_CONTROL,
    PING,
    PONG,
    RSV1,
    TEXT,
    ClientFault,
    RawFrame,
    fragments,
    raw_frame,
    take_frame,
)

PATIENCE = 20.0
"""Seconds in which the client must do what is expected; a case lasts this long only if it fails.
The volume of a large case comes on top."""
QUIET = 0.2
"""Seconds in which a client that waits for the rest of a frame must not give up."""


class Peer:
    """One connection with the client."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        deflater: Deflater | None,
        inflater: Inflater | None,
    ) -> None:
        """Takes both a deflater and an inflater where permessage-deflate is used."""
        self._reader = reader
        self._writer = writer
        self._deflater = deflater
        self._inflater = inflater
        self._changed = asyncio.Event()
        self._opcode: int | None = None
        """That of a message in fragments, while its end is awaited."""
        self._message_compressed = False
        self._parts = b""
        self.happened: list[Happened] = []
        self.compressed = 0
        """The client's messages that were compressed."""
        self.close_sent = False
        self.closed_by_client = False
        self.code: int | None = None
        """That of the client's CLOSE."""
        self.clean = False
        """True once each side has sent its CLOSE."""
        self.fault = ""
        self.over = False

    async def write(self, data: bytes) -> None:
        """Sends bytes as a piece of their own, as far as TCP lets it."""
        if data[:1] == bytes((0x80 | CLOSE,)):
            self.close_sent = True
        if not self._writer.is_closing():
            self._writer.write(data)
            await self._writer.drain()
            await asyncio.sleep(0)

    async def send(self, opcode: int, payload: bytes, fragment: int) -> None:
        """Sends a message, in one frame with a fragment of 0."""
        rsv = 0
        if self._deflater is not None:
            payload, rsv = self._deflater.deflated(payload), RSV1
        if fragment:
            await self.write(b"".join(fragments(opcode, payload, fragment, rsv=rsv)))
        else:
            await self.write(raw_frame(opcode, payload, rsv=rsv))

    async def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """Returns True when the condition holds, False when it is over or the time is."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    if self.over:
                        return False
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def play(self, case: Case) -> None:
        """Plays a case to the end of the connection."""
        receiving = asyncio.create_task(self._receive())
        try:
            for step in case.steps:
                if self.over:
                    break
                await (self.write(step) if isinstance(step, bytes) else step(self))
            if not case.client_ends:
                if not self.close_sent:
                    await self.until(lambda: len(self.happened) >= len(case.expected))
                if not self.close_sent:
                    await self.write(raw_frame(CLOSE, NORMAL.to_bytes(2, "big")))
            await self.until(lambda: False)
        except (ConnectionError, zlib.error) as error:
            self.fault = self.fault or f"{type(error).__name__}: {error}"
        finally:
            receiving.cancel()
            self._writer.close()

    async def _receive(self) -> None:
        data = bytearray()
        try:
            while not self.over and (more := await self._reader.read(1 << 18)):
                data += more
                while not self.over and (frame := take_frame(data)) is not None:
                    self._take(frame)
        except (ClientFault, ConnectionError, UnicodeDecodeError, zlib.error) as error:
            self.fault = f"{type(error).__name__}: {error}"
        if not self.over and not self.close_sent:
            self.closed_by_client = True
        self._end()

    def _end(self) -> None:
        self.over = True
        self._changed.set()

    def _take(self, frame: RawFrame) -> None:
        fin, rsv, opcode, payload = frame
        if rsv & ~RSV1 or (rsv and (self._inflater is None or opcode not in {TEXT, BINARY})):
            raise ClientFault(f"RSV {rsv} in a frame with opcode {opcode}")
        if opcode in {CLOSE, PING, PONG}:
            if not fin or len(payload) > MAX_CONTROL:
                raise ClientFault("a control frame in fragments, or too long")
            self._take_control(opcode, payload)
        elif opcode in {CONTINUATION, TEXT, BINARY}:
            self._take_data(fin, bool(rsv), opcode, payload)
        else:
            raise ClientFault(f"opcode {opcode}")

    def _take_control(self, opcode: int, payload: bytes) -> None:
        if opcode == PONG:
            self._happens(PONG_EVENT, payload)
        elif opcode == PING:
            self._writer.write(raw_frame(PONG, payload))
        else:
            self._take_close(payload)

    def _take_close(self, payload: bytes) -> None:
        if len(payload) == 1:
            raise ClientFault("a CLOSE with half a code")
        self.code = int.from_bytes(payload[:2], "big") if payload else None
        payload[2:].decode()
        self.closed_by_client = not self.close_sent
        if self.closed_by_client:
            self._writer.write(raw_frame(CLOSE, payload))
        self.clean = True
        self._end()

    def _take_data(self, fin: bool, compressed: bool, opcode: int, payload: bytes) -> None:
        if (opcode == CONTINUATION) != (self._opcode is not None):
            raise ClientFault("a fragment out of order")
        if opcode != CONTINUATION:
            self._opcode, self._parts, self._message_compressed = opcode, b"", compressed
        self._parts += payload
        if not fin:
            return
        message, opcode = self._parts, self._opcode or 0
        self._opcode, self._parts = None, b""
        if self._message_compressed:
            self.compressed += 1
            assert self._inflater is not None
            message = self._inflater.inflated(message)
        if opcode == TEXT:
            message.decode()
        self._happens(TEXT_EVENT if opcode == TEXT else BINARY_EVENT, message)

    def _happens(self, kind: str, payload: bytes = b"") -> None:
        self.happened.append(Happened(kind, payload))
        self._changed.set()

    async def awaits(self, count: int) -> None:
        """Waits until a number of things have happened."""
        await self.until(lambda: len(self.happened) >= count)

    async def stays(self, probe: bytes | None) -> None:
        """Notes it when the client keeps the connection.

        It must answer a PING with this payload; without one it must be quiet for a while.
        """
        if probe is None:
            kept = not await self.until(lambda: self.over, QUIET) and not self.over
        else:
            await self.write(raw_frame(PING, probe))
            kept = await self.until(lambda: Happened(PONG_EVENT, probe) in self.happened)
            if kept:
                self.happened.remove(Happened(PONG_EVENT, probe))
        if kept:
            self._happens(WAITED_EVENT)

    async def gives_up(self, seconds: float) -> None:
        """Waits for the client's end; notes it when it does not come."""
        if not await self.until(lambda: self.over, seconds) and not self.over:
            self._happens(WAITED_EVENT)

    async def echoes(self, opcode: int, payload: bytes, fragment: int) -> None:
        """Sends a message and waits for the same; what is right is forgotten."""
        await self.send(opcode, payload, fragment)
        await self.awaits(1)
        if self.happened == [Happened(TEXT_EVENT if opcode == TEXT else BINARY_EVENT, payload)]:
            self.happened.clear()
        elif not self.over:
            self.fault = self.fault or f"an echo of {len(payload)} bytes is missing or wrong"
            self._end()
