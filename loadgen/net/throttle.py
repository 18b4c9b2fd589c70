"""A slow reader: TCP makes the server wait until its bytes are read."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from loadgen.net.transport import Receiver


class Throttle:
    """A protocol between a transport and its connection that pauses each read.

    The pause is as long as the bytes of the last read take at the rate. Those bytes are passed on
    at once; further bytes wait in the kernel, as with a slow client.
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
        """Passes the bytes on, and pauses for the time that they take at the rate."""
        self._transport.pause_reading()
        self._wake(self, monotonic() + len(data) / self._rate)
        self._receiver.data_received(data)

    def resume_writing(self) -> None:
        """Passes it on that few bytes wait."""
        self._receiver.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Passes the end on."""
        self._transport = None
        self._receiver.connection_lost(exc)

    def resume(self, _: float) -> bool:
        """Reads again after a pause; returns False: the wheel keeps no place for it."""
        if self._transport is not None:
            self._transport.resume_reading()
        return False
