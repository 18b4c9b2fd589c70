"""A tap between a transport and its connection: it shows what each sends.

It takes the place that a throttle takes, so that connections without one do not pay for it.
"""

from collections.abc import Callable
from typing import Any

from loadgen.net.transport import ByteTransport, Receiver
from loadgen.trace.frames import TracedFrames
from loadgen.trace.text import shortened, shown_frame, shown_head
from loadgen.trace.trace import Trace

SENT, RECEIVED = "→", "←"
MAX_HEAD = 65_536
"""Bytes of a head that a tap waits for; after them, it is shown as it is."""


class Direction:
    """The bytes of one direction: a head of HTTP, and frames after it."""

    def __init__(self, trace: Trace, arrow: str, write: Callable[[str], None]) -> None:
        """`write` takes a line about a frame."""
        self._trace = trace
        self._arrow = arrow
        self._write = write
        self._head: bytes | None = b""
        """The head so far; None once frames follow."""
        self._frames = TracedFrames()

    def feed(self, data: bytes) -> None:
        """Shows what is whole with these bytes."""
        if self._head is None:
            for frame in self._frames.feed(data):
                self._write(f"{self._arrow} {shown_frame(frame)}")
            return
        head, end, rest = (self._head + data).partition(b"\r\n\r\n")
        if not end and len(head) < MAX_HEAD:
            self._head = head
            return
        self._trace.lines(self._arrow, shown_head(head))
        status = head[9:12]
        if self._arrow == SENT or status == b"101":
            self._head = None
            if rest:
                self.feed(rest)
        elif status.startswith(b"1"):  # another head follows
            self._head = b""
            if rest:
                self.feed(rest)
        else:
            self._head = b""
            if rest:
                self._trace.line(f"  {shortened(rest.decode(errors='replace'))}")


class TappedTransport:
    """A transport that shows what is written to it."""

    def __init__(self, transport: ByteTransport, sent: Direction) -> None:
        self._transport = transport
        self._sent = sent

    @property
    def waiting(self) -> int:
        """Bytes that the kernel has not taken."""
        return self._transport.waiting

    def write(self, data: bytes, message: bool = False) -> bool:
        """Shows the bytes and sends them; True when too many wait now."""
        self._sent.feed(data)
        return self._transport.write(data, message)

    def pause_reading(self) -> None:
        """Reads nothing more until `resume_reading`."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Takes one pause back."""
        self._transport.resume_reading()

    def abort(self) -> None:
        """Ends at once."""
        self._transport.abort()


class Tap:
    """The protocol between a transport and its connection."""

    def __init__(self, trace: Trace, receiver: Receiver) -> None:
        self._trace = trace
        self._receiver = receiver
        self._sent = Direction(trace, SENT, trace.step)
        self._received = Direction(trace, RECEIVED, trace.line)

    def connection_made(self, transport: Any) -> None:
        """Passes the transport on, tapped."""
        self._trace.line("connected")
        self._receiver.connection_made(TappedTransport(transport, self._sent))

    def data_received(self, data: bytes) -> None:
        """Shows the bytes and passes them on."""
        self._received.feed(data)
        self._receiver.data_received(data)

    def resume_writing(self) -> None:
        """Passes it on that few bytes wait."""
        self._receiver.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Passes the end on."""
        self._trace.line("disconnected" if exc is None else f"disconnected: {exc}")
        self._receiver.connection_lost(exc)
