"""A slow reader: takes at most so many bytes a second, so that TCP makes the server wait."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from loadgen.net.transport import Receiver


class Throttle:
    """Stands between a transport and its connection, and pauses the transport after each read.

    The pause is as long as the bytes of the read are worth. Bytes that were read are passed on at
    once: the others wait in the kernel, as with a slow client.
    """

    __slots__ = ("_rate", "_receiver", "_transport", "_wake")

    def __init__(
        self, receiver: Receiver, rate: float, wake: Callable[["Throttle", float], object]
    ) -> None:
        self._receiver = receiver
        self._rate = rate
        """Bytes a second."""
        self._wake = wake
        """Calls `resume` at the first tick after a time on the monotonic clock."""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Passes the transport on."""
        self._transport = transport
        self._receiver.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Passes the bytes on, and reads nothing more for as long as they are worth."""
        self._transport.pause_reading()
        self._wake(self, monotonic() + len(data) / self._rate)
        self._receiver.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Passes the end on."""
        self._transport = None
        self._receiver.connection_lost(exc)

    def resume(self, _: float) -> bool:
        """Reads again after a pause."""
        if self._transport is not None:
            self._transport.resume_reading()
        return False
