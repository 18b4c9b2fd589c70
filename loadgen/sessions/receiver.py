"""Connections that subscribe to publications.

What they receive is matched with what was sent. They take the place of Connection and WebSocket in
runs with a `[publish]` table, so that all other runs do not pay for it.
"""

from math import inf
from time import monotonic

from loadgen.net.connection import Connection, Owner, Terms
from loadgen.net.frames import Parser
from loadgen.net.handshake import Reply
from loadgen.net.states import CLOSING
from loadgen.sessions.waits import Holder
from loadgen.sessions.websocket import WebSocket
from loadgen.stats.deliveries import Deliveries
from loadgen.stats.heard import Heard
from loadgen.stats.recorder import Recorder

MAX_STAMPED_BYTES = 65_536
"""Bytes of a message in which its stamp is looked for."""


class Subscription(Connection):
    """The part of a connection that makes it a subscriber.

    It is one from its 101 until it closes. This class has no slots of its own, so that it fits on
    a WebSocket too.
    """

    __slots__ = ()

    receipts: Heard
    opened_at: float
    group: int

    @property
    def _deliveries(self) -> Deliveries:
        deliveries = self.recorder.deliveries
        assert deliveries is not None  # only runs with publications have subscribers
        return deliveries

    def _upgraded(self, reply: Reply) -> None:
        super()._upgraded(reply)
        self._deliveries.join(self, self.terms.handshake.resource, monotonic())

    def begin_close(self, reason: str, code: int = 1000, text: bytes = b"") -> None:
        """Begins the closing handshake, and is no subscriber any more."""
        super().begin_close(reason, code, text)
        if self.state == CLOSING:
            self._deliveries.leave(self, monotonic())

    def end(self, reason: str) -> None:
        """Enters the last state, and is no subscriber any more."""
        self._deliveries.leave(self, monotonic())
        super().end(reason)


class ReceiverConnection(Subscription):
    """A connection of the built-in loop that is a subscriber."""

    __slots__ = ("group", "opened_at", "receipts")

    def __init__(self, recorder: Recorder, terms: Terms, owner: Owner) -> None:
        super().__init__(recorder, terms, owner)
        self.opened_at = inf

    def _new_parser(self) -> Parser:
        return Parser(MAX_STAMPED_BYTES)

    def _message(self, opcode: int, payload: bytes, size: int) -> None:
        deliveries = self.recorder.deliveries
        assert deliveries is not None
        if deliveries.receive(self, payload, monotonic()):
            self.recorder.tally.messages_received += 1
            self.rejected = 0  # what was published is no error, so that it names no later close
        else:
            super()._message(opcode, payload, size)


class ReceiverWebSocket(Subscription, WebSocket):
    """A connection of a session that is a subscriber.

    The session receives the same messages.
    """

    __slots__ = ("group", "opened_at", "receipts")

    owner: Holder

    def __init__(self, recorder: Recorder, terms: Terms, owner: Holder, due: float) -> None:
        WebSocket.__init__(self, recorder, terms, owner, due)
        self.opened_at = inf

    def _message(self, opcode: int, payload: bytes, size: int) -> None:
        self._deliveries.receive(self, payload, monotonic())
        super()._message(opcode, payload, size)
