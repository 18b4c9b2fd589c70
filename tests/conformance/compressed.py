"""Autobahn's groups 12 and 13, under permessage-deflate, and one from RFC 7692.

Autobahn sends a thousand messages in each case, parts of five files of its own: JSON, a bitmap,
prose, HTML and a PDF. Here a case sends up to a thousand, but no more than VOLUME, of data of the
same kinds that is made from a seed.
"""

import json
import random
from collections.abc import Callable, Iterator
from functools import cache, partial

from tests.conformance.case import (
    INVALID_DATA,
    PONG_EVENT,
    PROTOCOL_ERROR,
    TEXT_EVENT,
    TOO_BIG,
    Case,
    Deflate,
    Happened,
    echo,
    fault,
)
from tests.conformance.deflating import MAX_WINDOW_BITS, Deflater
from tests.conformance.frames import BINARY, CONTINUATION, PING, RSV1, TEXT, raw_frame
from tests.conformance.peer import Peer

MESSAGES = 1000
VOLUME = 2**20
"""Bytes of the messages that one case sends, before their compression."""
LENGTHS = [(2**bits, 0) for bits in (4, 6, 8, 10, 12, 13, 14, 15, 16, 17)]
LENGTHS += [(2**bits, 256) for bits in (13, 14, 15, 16, 17)]
LENGTHS += [(2**17, size) for size in (1024, 4096, 32768)]
"""The bytes of a message and of its fragments; 0: it is in one frame."""
WORDS = (
    "Habe",
    "nun",
    "ach",
    "Philosophie",
    "Juristerei",
    "und",
    "Medizin",
    "mit",
    "heißem",
    "Bemühn",
)
DATA_SIZE = 2**18


def json_data(source: random.Random) -> str:
    """Returns records as an interface of HTTP gives them, in ASCII."""
    return json.dumps(
        [
            {
                "id": number,
                "name": source.choice(WORDS),
                "score": source.random(),
                "tags": WORDS[:3],
            }
            for number in range(DATA_SIZE // 90)
        ]
    )


def bitmap(source: random.Random) -> bytes:
    """Returns a picture's grey values: slopes with some noise."""
    return bytes(
        (at // 512 + at % 512) // 8 + source.randrange(4) & 0xFF for at in range(DATA_SIZE)
    )


def prose(source: random.Random) -> str:
    """Returns words in lines."""
    lines = (" ".join(source.choices(WORDS, k=9)) for _ in range(DATA_SIZE // 50))
    return "\n".join(lines)


def html(source: random.Random) -> str:
    """Returns a long page, in ASCII."""
    rows = (
        f'<tr class="row"><td>{number}</td><td>{source.random():.6f}</td></tr>\n'
        for number in range(DATA_SIZE // 50)
    )
    return f"<html><table>\n{''.join(rows)}</table></html>"


def noise(source: random.Random) -> bytes:
    """Returns bytes that can't be compressed, as the streams of a PDF are."""
    return source.randbytes(DATA_SIZE)


DATA: tuple[tuple[int, Callable[[random.Random], str | bytes]], ...] = (
    (TEXT, json_data),
    (BINARY, bitmap),
    (BINARY, prose),
    (TEXT, html),
    (BINARY, noise),
)
ASKED = (
    (Deflate(),),
    (Deflate(no_takeover=True),),
    (Deflate(window_bits=9),),
    (Deflate(window_bits=15),),
    (Deflate(no_takeover=True, window_bits=9),),
    (Deflate(no_takeover=True, window_bits=15),),
    (Deflate(no_takeover=True, window_bits=9), Deflate(no_takeover=True), Deflate()),
)
"""What the server answers in the parts of group 13."""


@cache
def data_of(part: int) -> bytes:
    """Returns the data of a part of group 12, always the same."""
    made = DATA[part][1](random.Random(part))
    return made.encode() if isinstance(made, str) else made


def kinds_of_data() -> Iterator[Case]:
    """Group 12: each kind of data, under what the client offers."""
    for part, (opcode, _) in enumerate(DATA):
        yield from _all_lengths(f"12.{part + 1}", opcode, part, (Deflate(),))


def parameters() -> Iterator[Case]:
    """Group 13: JSON, under each set of parameters."""
    for part, asked in enumerate(ASKED, start=1):
        yield from _all_lengths(f"13.{part}", TEXT, 0, asked)


def _all_lengths(name: str, opcode: int, part: int, asked: tuple[Deflate, ...]) -> Iterator[Case]:
    for number, (length, fragment) in enumerate(LENGTHS, start=1):
        count = max(2, min(MESSAGES, VOLUME // length))
        turns = [
            partial(
                _turn,
                opcode=opcode,
                part=part,
                start=turn * length,
                length=length,
                fragment=fragment,
            )
            for turn in range(count)
        ]
        yield Case(f"{name}.{number}", turns, deflate=asked)


async def _turn(peer: Peer, opcode: int, part: int, start: int, length: int, fragment: int) -> None:
    """Sends a part of the data, which begins anew at its end, and waits for its echo."""
    data = data_of(part)
    start %= len(data)
    payload = (
        (data[start:] + data)[:length]
        if start + length > len(data)
        else data[start : start + length]
    )
    await peer.echoes(opcode, payload, fragment)


HELLO = bytes.fromhex("f248cdc9c90700")
"""The text "Hello", as section 7.2.3.1 compresses it."""
BOMB_SIZE = 64 * 2**20
"""Bytes that are more than loadgen takes as one message; compressed, they are 64 KiB."""


def by_the_standard() -> Iterator[Case]:
    """Group 14, which Autobahn lacks: the examples of RFC 7692, and faults."""
    yield from (case._replace(deflate=(Deflate(),)) for case in (*_examples(), *_faults()))


def _examples() -> Iterator[Case]:
    text = partial(raw_frame, TEXT, rsv=RSV1)
    hello, ping = Happened(TEXT_EVENT, b"Hello"), raw_frame(PING, b"between")
    fragments = [text(HELLO[:3], fin=False), raw_frame(CONTINUATION, HELLO[3:])]
    stored = bytes.fromhex("000500faff48656c6c6f00")
    final = bytes.fromhex("f348cdc9c9070000")
    two_blocks = bytes.fromhex("f248050000 00ffffcac9c90700")
    yield echo("14.1", [text(HELLO)], hello)
    yield echo("14.2", fragments, hello)
    yield echo("14.3", [text(HELLO), text(bytes.fromhex("f200110000"))], hello, hello)
    yield echo("14.4", [text(stored)], hello)
    yield echo("14.5", [text(final)], hello)
    yield echo("14.6", [text(two_blocks)], hello)
    yield echo("14.7", [text(b"\0")], Happened(TEXT_EVENT))
    yield echo("14.8", [text(HELLO), raw_frame(TEXT, b"Hello")], hello, hello)
    between = [fragments[0], ping, fragments[1]]
    yield echo("14.9", between, Happened(PONG_EVENT, b"between"), hello)


def _faults() -> Iterator[Case]:
    text = partial(raw_frame, TEXT, rsv=RSV1)
    deflated = Deflater(MAX_WINDOW_BITS, takeover=False).deflated
    middle = raw_frame(CONTINUATION, HELLO[3:], rsv=RSV1)
    yield fault("14.10", [raw_frame(PING, b"Hello", rsv=RSV1)])
    yield fault("14.11", [text(HELLO[:3], fin=False) + middle])
    yield fault("14.12", [raw_frame(TEXT, HELLO, rsv=RSV1 | 2)])
    yield fault("14.13", [text(b"\xff" * 9)], codes=(PROTOCOL_ERROR, INVALID_DATA))
    yield fault("14.14", [text(deflated(b"\xff\xfe"))], codes=(INVALID_DATA,))
    yield fault("14.15", [text(deflated(bytes(BOMB_SIZE)))], codes=(TOO_BIG,))
