"""Connections that offer permessage-deflate.

They take the place of the others in runs with `compress`, so that all other runs do not pay for it.
zlib's memory is taken by the first compressed message of each direction.
"""

from collections.abc import Iterable
from typing import Any

from loadgen.net.connection import Connection, Terms
from loadgen.net.deflate import RSV1, Agreement, DeflateParser, Inflater
from loadgen.net.frames import Parser, fragmented
from loadgen.net.handshake import Reply
from loadgen.sessions.parts import Part, parts_of
from loadgen.sessions.receiver import ReceiverConnection, ReceiverWebSocket
from loadgen.sessions.replies import answering
from loadgen.sessions.websocket import WebSocket

NOT_CHOSEN = "none"
"""Instead of an agreement, where a server chose no compression."""


class Offering(Connection):
    """The part of a connection that offers permessage-deflate.

    It has no slots of its own, so that it fits on a WebSocket too. The classes at the end have the
    slots.
    """

    __slots__ = ()

    agreement: Agreement | None

    def _upgraded(self, reply: Reply) -> None:
        super()._upgraded(reply)
        self.agreement = reply.agreement  # type: ignore[misc]  # see above
        counts = self.recorder.tally.compression
        chosen = NOT_CHOSEN if reply.agreement is None else str(reply.agreement)
        counts[chosen] = counts.get(chosen, 0) + 1

    def _inflater(self) -> Inflater | None:
        """Returns None: its compressed messages are counted, and not read."""
        return None

    def _new_parser(self) -> Parser:
        parser = super()._new_parser()
        if self.agreement is None:
            return parser
        return DeflateParser(parser.keep, self._inflater(), self.recorder, parser.limit)


class Compressing(Offering):
    """The part of a connection that reads and sends compressed messages."""

    __slots__ = ()

    deflater: Any
    inflater: Inflater | None

    def _upgraded(self, reply: Reply) -> None:
        self.deflater = self.inflater = None  # type: ignore[misc]  # see above
        super()._upgraded(reply)

    def _inflater(self) -> Inflater:
        assert self.agreement is not None
        if self.inflater is None:
            self.inflater = Inflater(self.agreement)  # type: ignore[misc]  # see above
        return self.inflater

    def _framed(self, opcode: int, payload: bytes) -> bytes:
        return self._deflated(opcode, [payload])

    def _deflated(self, opcode: int, parts: list[bytes]) -> bytes:
        """Returns the frames of a message, one for each part."""
        agreement = self.agreement
        if agreement is not None and any(parts):
            if self.deflater is None:
                self.deflater = agreement.deflater()
            opcode |= RSV1
            parts = agreement.deflated(self.deflater, parts)
        return fragmented(opcode, parts, self.recorder.bits(32))

    def end(self, reason: str) -> None:
        """Enters the last state, and frees zlib's memory."""
        super().end(reason)
        self.deflater = self.inflater = None  # type: ignore[misc]  # see above


class Talking(Compressing, WebSocket):
    """The part of a session's connection that sends compressed messages."""

    __slots__ = ()

    def _frames_of(self, message: Part | Iterable[Part]) -> bytes:
        return self._deflated(*parts_of(message))


class CountingConnection(Offering):
    """A connection of a loop that only pings: its compressed messages are counted."""

    __slots__ = ("agreement",)


class CompressedConnection(Compressing):
    """A connection of a loop whose pings are messages."""

    __slots__ = ("agreement", "deflater", "inflater")


class CompressedReceiver(Compressing, ReceiverConnection):
    """A connection of a loop that is a subscriber."""

    __slots__ = ("agreement", "deflater", "inflater")


class CompressedWebSocket(Talking):
    """A connection of a session."""

    __slots__ = ("agreement", "deflater", "inflater")


class CompressedReceiverWebSocket(Talking, ReceiverWebSocket):
    """A connection of a session that is a subscriber."""

    __slots__ = ("agreement", "deflater", "inflater")


def loop_kind(terms: Terms, *, receives: bool, reads: bool, answers: bool) -> type[Connection]:
    """Returns the class of a loop's connections.

    `receives`: they are subscribers; `reads`: their pings are answered by messages; `answers`: they
    have automatic replies.
    """
    kind: type[Connection]
    if terms.handshake.compress is None:
        kind = ReceiverConnection if receives else Connection
    elif receives:
        kind = CompressedReceiver
    else:
        kind = CompressedConnection if reads or answers else CountingConnection
    return answering(kind) if answers else kind


def session_kind(terms: Terms, *, receives: bool, answers: bool) -> type[WebSocket]:
    """Returns the class of a session's connections.

    `receives`: they are subscribers; `answers`: they have automatic replies.
    """
    kind: type[WebSocket]
    if terms.handshake.compress is None:
        kind = ReceiverWebSocket if receives else WebSocket
    else:
        kind = CompressedReceiverWebSocket if receives else CompressedWebSocket
    return answering(kind) if answers else kind
