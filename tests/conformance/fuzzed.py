"""Autobahn's groups 1 to 5, 7, 9 and 10."""

from collections.abc import Iterator
from functools import partial

from tests.conformance.case import (
    BINARY_EVENT,
    INVALID_DATA,
    PONG_EVENT,
    PROTOCOL_ERROR,
    TEXT_EVENT,
    Case,
    Happened,
    Step,
    chops,
    close,
    closing,
    echo,
    fault,
)
from tests.conformance.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    fragments,
    raw_frame,
)
from tests.conformance.peer import Peer

HELLO = b"Hello, world!"
FRAGMENTS = (b"fragment1", b"fragment2", b"fragment3", b"fragment4", b"fragment5")
PINGS = (b"pongme 1!", b"pongme 2!")
SIZES = (0, 125, 126, 127, 128, 65535, 65536)
NOT_UTF8 = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
KINDS = ((TEXT, TEXT_EVENT), (BINARY, BINARY_EVENT))
VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
INVALID_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
UNDEFINED_CODES = (5000, 65535)
KIB, MIB = 2**10, 2**20


def framing() -> Iterator[Case]:
    """Group 1: texts and binary messages of all lengths of a header."""
    for part, (opcode, kind) in enumerate(KINDS, start=1):
        fill = b"*" if opcode == TEXT else b"\xfe"
        for number, size in enumerate(SIZES, start=1):
            data = fill * size
            yield echo(f"1.{part}.{number}", [raw_frame(opcode, data)], Happened(kind, data))
        whole = raw_frame(opcode, data)
        yield echo(f"1.{part}.8", chops(whole, 997), Happened(kind, data))


def pings() -> Iterator[Case]:
    """Group 2: pings and pongs."""
    full = b"\xfe" * 125
    ping = partial(raw_frame, PING)
    answered = partial(Happened, PONG_EVENT)
    unsolicited = raw_frame(PONG, b"unsolicited pong payload")
    yield echo("2.1", [ping()], answered())
    yield echo("2.2", [ping(HELLO)], answered(HELLO))
    yield echo("2.3", [ping(NOT_UTF8)], answered(NOT_UTF8))
    yield echo("2.4", [ping(full)], answered(full))
    yield fault("2.5", [ping(full + b"\xfe")])
    yield echo("2.6", chops(ping(full)), answered(full))
    yield closing("2.7", raw_frame(PONG), close(1000))
    yield closing("2.8", unsolicited, close(1000))
    yield echo("2.9", [unsolicited, ping(b"ping payload")], answered(b"ping payload"))
    ten = [b"payload-%d" % number for number in range(10)]
    together = b"".join(map(ping, ten))
    yield echo("2.10", [together], *map(answered, ten))
    yield echo("2.11", chops(together), *map(answered, ten))


def reserved_bits() -> Iterator[Case]:
    """Group 3: bits that no extension has given a meaning."""
    text, ping = partial(raw_frame, TEXT, HELLO), raw_frame(PING)
    echoed = Happened(TEXT_EVENT, HELLO)
    yield fault("3.1", [text(rsv=1)])
    yield fault("3.2", [text() + text(rsv=2) + ping], echoed)
    yield fault("3.3", [text(), text(rsv=3), ping], echoed)
    yield fault("3.4", chops(text() + text(rsv=4) + ping), echoed)
    yield fault("3.5", [raw_frame(BINARY, NOT_UTF8, rsv=5)])
    yield fault("3.6", [raw_frame(PING, HELLO, rsv=6)])
    yield fault("3.7", [raw_frame(CLOSE, rsv=7)])


def opcodes() -> Iterator[Case]:
    """Group 4: opcodes without a meaning."""
    text, ping = raw_frame(TEXT, HELLO), raw_frame(PING)
    echoed = Happened(TEXT_EVENT, HELLO)
    for part, first in ((1, 3), (2, 11)):
        yield fault(f"4.{part}.1", [raw_frame(first)])
        yield fault(f"4.{part}.2", [raw_frame(first + 1, b"reserved opcode payload")])
        yield fault(f"4.{part}.3", [text + raw_frame(first + 2) + ping], echoed)
        yield fault(f"4.{part}.4", [text + raw_frame(first + 3, HELLO) + ping], echoed)
        yield fault(f"4.{part}.5", chops(text + raw_frame(first + 4, HELLO) + ping), echoed)


def three_ways(frames: list[bytes]) -> list[list[Step]]:
    """Returns frames sent at once, each alone, and in single bytes."""
    whole = b"".join(frames)
    return [[whole], [*frames], chops(whole)]


def fragmentation() -> Iterator[Case]:
    """Group 5: messages in fragments, and fragments out of order."""
    one, two, three, four, _ = FRAGMENTS
    begin = partial(raw_frame, TEXT, fin=False)
    middle = partial(raw_frame, CONTINUATION, fin=False)
    end = partial(raw_frame, CONTINUATION)
    ping, text = raw_frame(PING, b"ping payload"), raw_frame(TEXT, HELLO)
    both, ponged = Happened(TEXT_EVENT, one + two), Happened(PONG_EVENT, b"ping payload")
    yield fault("5.1", [raw_frame(PING, one, fin=False) + end(two)])
    yield fault("5.2", [raw_frame(PONG, one, fin=False) + end(two)])
    for number, steps in enumerate(three_ways([begin(one), end(two)]), start=3):
        yield echo(f"5.{number}", steps, both)
    for number, steps in enumerate(three_ways([begin(one), ping, end(two)]), start=6):
        yield echo(f"5.{number}", steps, ponged, both)
    lonely = b"non-continuation payload"
    for number, steps in enumerate(three_ways([end(lonely), text]), start=9):
        yield fault(f"5.{number}", steps)
    for number, steps in enumerate(three_ways([middle(lonely), text]), start=12):
        yield fault(f"5.{number}", steps)
    yield fault("5.15", [begin(one) + end(two) + middle(three) + raw_frame(TEXT, four)], both)
    message = begin(two) + end(three)
    yield fault("5.16", [(middle(one) + message) * 2])
    yield fault("5.17", [(end(one) + message) * 2])
    yield fault("5.18", [begin(one) + raw_frame(TEXT, two)])
    yield from _pings_between_fragments()


def _pings_between_fragments() -> Iterator[Case]:
    """Returns the cases in which a ping must be answered before the message is whole."""
    parts = fragments(TEXT, b"".join(FRAGMENTS), len(FRAGMENTS[0]))
    first = [*parts[:2], raw_frame(PING, PINGS[0])]
    second = [*parts[2:4], raw_frame(PING, PINGS[1]), parts[4]]
    expected = (
        *(Happened(PONG_EVENT, ping) for ping in PINGS),
        Happened(TEXT_EVENT, b"".join(FRAGMENTS)),
    )

    async def answered(peer: Peer) -> None:
        await peer.awaits(1)

    yield echo("5.19", [b"".join(first), answered, b"".join(second)], *expected)
    yield echo("5.20", [*first, answered, *second], *expected)


def closes() -> Iterator[Case]:
    """Group 7: the closing handshake."""
    hello, one = raw_frame(TEXT, b"Hello World!"), FRAGMENTS[0]
    normal = close(1000)
    bad_reason = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"
    wrong = partial(closing, codes=(PROTOCOL_ERROR,), clean=False)
    yield echo("7.1.1", [hello], Happened(TEXT_EVENT, b"Hello World!"))
    yield closing("7.1.2", normal, close())
    yield closing("7.1.3", normal, raw_frame(PING))
    yield closing("7.1.4", normal, hello)
    yield closing(
        "7.1.5",
        raw_frame(TEXT, one, fin=False),
        normal,
        raw_frame(CONTINUATION, FRAGMENTS[1]),
    )
    much = raw_frame(TEXT, _filled(b"BAsd7&jh23", 256 * KIB))
    yield closing("7.1.6", much + hello, normal, raw_frame(PING))._replace(informational=True)
    yield closing("7.3.1", close())
    yield wrong("7.3.2", close(reason=b"a"))
    yield closing("7.3.3", normal)
    yield closing("7.3.4", close(1000, b"Hello World!"))
    yield closing("7.3.5", close(1000, b"*" * 123))
    yield wrong("7.3.6", close(1000, b"*" * 124))
    yield wrong("7.5.1", close(1000, bad_reason), codes=(PROTOCOL_ERROR, INVALID_DATA))
    for number, code in enumerate(VALID_CODES, start=1):
        yield closing(f"7.7.{number}", close(code), codes=(1000, code))
    for number, code in enumerate(INVALID_CODES, start=1):
        yield wrong(f"7.9.{number}", close(code))
    for number, code in enumerate(UNDEFINED_CODES, start=1):
        yield wrong(f"7.13.{number}", close(code))._replace(informational=True)


def _filled(pattern: bytes, size: int) -> bytes:
    """Returns the pattern, repeated up to a size."""
    return (pattern * (size // len(pattern) + 1))[:size]


def limits() -> Iterator[Case]:
    """Group 9: messages up to 16 MiB, and many round trips."""
    for part, (opcode, kind) in enumerate(KINDS):
        pattern = b"BAsd7&jh23" if opcode == TEXT else b"\x00\xfe\x23\xfa\xf0"
        fill = b"*" if opcode == TEXT else b"\xfe"
        for number, size in enumerate((64, 256, KIB, 4 * KIB, 8 * KIB, 16 * KIB), start=1):
            data = _filled(pattern, size * KIB)
            yield echo(f"9.{1 + part}.{number}", [raw_frame(opcode, data)], Happened(kind, data))
        data = fill * 4 * MIB
        for number in range(1, 10):
            frames = b"".join(fragments(opcode, data, 16 * 4**number))
            yield echo(f"9.{3 + part}.{number}", [frames], Happened(kind, data))
        data = _filled(pattern, MIB)
        for number in range(1, 7):
            steps = chops(raw_frame(opcode, data), 32 * 2**number)
            yield echo(f"9.{5 + part}.{number}", steps, Happened(kind, data))
        for number, size in enumerate((0, 16, 64, 256, KIB, 4 * KIB), start=1):
            turn = partial(Peer.echoes, opcode=opcode, payload=fill * size, fragment=0)
            yield echo(f"9.{7 + part}.{number}", [turn] * 1000)


def automatic_fragments() -> Iterator[Case]:
    """Group 10: a message in frames of 1,300 bytes."""
    data = b"*" * 65536
    frames = fragments(TEXT, data, 1300)
    assert len(frames) == 51
    yield echo("10.1.1", [b"".join(frames)], Happened(TEXT_EVENT, data))
