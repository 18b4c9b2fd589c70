"""A slow reader: takes no more bytes a second than it should, so that TCP makes the server wait."""

from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol


class Receiver(Protocol):
    """Whoever the bytes are for."""

    def connection_made(self, transport: Any) -> None:
        """The stream is there."""

    def data_received(self, data: bytes) -> None:
        """Bytes came."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The stream is gone."""


class Throttle:
    """Stands between a stream and its connection, and pauses the stream after each read for as long
    as that was worth.

    What was read at once is handed on at once: bytes wait in the kernel, as with a client that is
    slow.
    """

    __slots__ = ("_rate", "_receiver", "_transport", "_wake")

    def __init__(
        self, receiver: Receiver, rate: float, wake: Callable[["Throttle", float], object]
    ) -> None:
        self._receiver = receiver
        self._rate = rate
        """Bytes a second."""
        self._wake = wake
        """Has `resume` called at the first tick after a time."""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Hands it on."""
        self._transport = transport
        self._receiver.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hands the bytes on, and reads nothing more for a while."""
        self._transport.pause_reading()
        self._wake(self, monotonic() + len(data) / self._rate)
        self._receiver.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hands it on."""
        self._transport = None
        self._receiver.connection_lost(exc)

    def resume(self, _: float) -> bool:
        """Reads again; the pause is over."""
        if self._transport is not None:
            self._transport.resume_reading()
        return False
