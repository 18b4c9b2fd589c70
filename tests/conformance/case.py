"""A case of Autobahn: what the server plays, and what the client must do.

The numbers and the contents of the cases are those of its fuzzing server, so that a result can be
compared with Autobahn's own. No line of it is copied.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tests.conformance.frames import CLOSE, raw_frame

if TYPE_CHECKING:
    from tests.conformance.peer import Peer

NORMAL, PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1000, 1002, 1007, 1009
"""Codes of RFC 6455, section 7.4.1."""

TEXT_EVENT, BINARY_EVENT, PONG_EVENT, WAITED_EVENT = "text", "binary", "pong", "waited"


class Happened(NamedTuple):
    """A message or a pong of the client, or a wait in which it kept the connection."""

    kind: str
    payload: bytes = b""


Step = bytes | Callable[["Peer"], Awaitable[None]]
"""Bytes that are written at once, or something that the server does."""


class Deflate(NamedTuple):
    """The server's answer to an offer of permessage-deflate (RFC 7692)."""

    no_takeover: bool = False
    """True: it asks for `client_no_context_takeover`."""
    window_bits: int = 0
    """What it asks for as `client_max_window_bits`; 0: nothing."""

    @property
    def text(self) -> str:
        """The parameters, as in the header."""
        words = ["client_no_context_takeover"] * self.no_takeover
        words += [f"client_max_window_bits={self.window_bits}"] * bool(self.window_bits)
        return "; ".join(words) or "no parameters"


class Case(NamedTuple):
    """One connection of the fuzzing server."""

    name: str
    steps: Sequence[Step]
    expected: Sequence[Happened] = ()
    """What must have happened."""
    lenient: Sequence[Happened] | None = None
    """What may have happened instead; the case is then passed non-strictly."""
    client_ends: bool = False
    """True when the client must end the connection, for a fault of the server."""
    codes: Sequence[int] = (NORMAL,)
    """The codes that the client's CLOSE may have; one without a code is always allowed."""
    clean: bool = True
    """True when both sides must send a CLOSE."""
    informational: bool = False
    """True where RFC 6455 leaves open what happens."""
    deflate: Sequence[Deflate] = ()
    """The answers to the client's offer, of which the first that suits it is given."""

    @property
    def group(self) -> int:
        """The first part of its name."""
        return int(self.name.partition(".")[0])


def echo(name: str, steps: Sequence[Step], *expected: Happened) -> Case:
    """Returns a case without a fault: what is sent comes back, and the server closes."""
    return Case(name, steps, expected)


def fault(
    name: str, steps: Sequence[Step], *before: Happened, codes: Sequence[int] = (PROTOCOL_ERROR,)
) -> Case:
    """Returns a case that the client must end, with what may happen before the fault."""
    lenient = () if before else None
    return Case(name, steps, before, lenient, client_ends=True, codes=codes, clean=False)


def closing(name: str, *steps: Step, codes: Sequence[int] = (NORMAL,), clean: bool = True) -> Case:
    """Returns a case whose steps have the server's CLOSE."""
    return Case(name, steps, codes=codes, clean=clean)


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    """Returns a CLOSE frame, whatever its code and its length."""
    return raw_frame(CLOSE, (b"" if code is None else code.to_bytes(2, "big")) + reason)


def chops(data: bytes, size: int = 1) -> list[Step]:
    """Returns the same bytes in pieces."""
    return [data[at : at + size] for at in range(0, len(data), size)]
