"""Autobahn's group 6: texts that are UTF-8, and texts that are not.

Its sequences are those of Markus Kuhn's "UTF-8 decoder capability and stress test", with the
limits of RFC 3629: nothing above U+10FFFF, no surrogates.
"""

from collections.abc import Iterator
from functools import partial

from tests.conformance.case import (
    INVALID_DATA,
    TEXT_EVENT,
    WAITED_EVENT,
    Case,
    Happened,
    Step,
    echo,
    fault,
)
from tests.conformance.frames import CONTINUATION, TEXT, fragments, raw_frame
from tests.conformance.peer import PATIENCE, Peer

GREEK = "κ\u1f79σμε".encode()
"""Kuhn's example; its second letter is U+1F79, of three bytes."""
UMLAUTS = "Hello-µ@ßöäüàá-UTF-8!!".encode()
BOUNDARY = len("Hello-µ@ßöä".encode())
EDITED = b"edited"
TOO_HIGH = b"\xf4\x90\x80\x80"
"""What would be U+110000; invalid from its second byte on."""
SURROGATE = b"\xed\xa0\x80"
INCOMPLETE = [
    bytes((lead,)) + bytes((rest,)) * more
    for rest, leads in (
        (0x80, (0xC0, 0xE0, 0xF0, 0xF8, 0xFC)),
        (0xBF, (0xDF, 0xEF, 0xF7, 0xFB, 0xFD)),
    )
    for more, lead in enumerate(leads)
]
"""Sequences whose last byte is missing."""
SURROGATES_HIGH = [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"]
SURROGATES_LOW = [b"\xed\xb0\x80", b"\xed\xbf\xbf"]

SEQUENCES: list[tuple[str, dict[bytes, bool]]] = []
"""What each part of the group from 6.5 on is about, and its texts, each true if valid."""


def _part(what: str, texts: dict[bytes, bool]) -> None:
    SEQUENCES.append((what, texts))


def _all(valid: bool, *texts: bytes) -> dict[bytes, bool]:
    return dict.fromkeys(texts, valid)


def _overlong(last: int, *firsts: bytes) -> dict[bytes, bool]:
    """Returns invalid texts that end with the same byte."""
    return {first + bytes((last,)): False for first in firsts}


_part(
    "valid text",
    _all(True, *(f"hello{char}world".encode() for char in "$¢€𤭢"), GREEK),
)
_part(
    "all prefixes of a valid text",
    {GREEK[:size]: size in {2, 5, 7, 9, 11} for size in range(1, len(GREEK) + 1)},
)
_part(
    "first sequence of each length",
    _all(True, *(chr(c).encode() for c in (0, 0x80, 0x800, 0x10000))),
)
_part(
    "first sequences of five and six bytes",
    _all(False, b"\xf8\x88\x80\x80\x80", b"\xfc\x84" + b"\x80" * 4),
)
_part(
    "last sequence of each length",
    _all(True, *(chr(c).encode() for c in (0x7F, 0x7FF, 0xFFFF, 0x10FFFF))),
)
_part(
    "last sequences of four to six bytes",
    _all(False, b"\xf7" + b"\xbf" * 3, b"\xfb" + b"\xbf" * 4, b"\xfd" + b"\xbf" * 5),
)
_part(
    "other boundaries",
    _all(True, *(chr(c).encode() for c in (0xD7FF, 0xE000, 0xFFFD, 0x10FFFF)))
    | _all(False, TOO_HIGH),
)
_part(
    "unexpected continuation bytes",
    _all(
        False,
        b"\x80",
        b"\xbf",
        *((b"\x80\xbf" * 3)[:size] for size in range(2, 7)),
        bytes(range(0x80, 0xBF)),
    ),
)
_part(
    "lonely start bytes",
    _all(
        False,
        *(
            b"".join(bytes((lead, 0x20)) for lead in range(first, last))
            for first, last in (
                (0xC0, 0xDF),
                (0xE0, 0xEF),
                (0xF0, 0xF7),
                (0xF8, 0xFB),
                (0xFC, 0xFD),
            )
        ),
    ),
)
_part("last byte missing", _all(False, *INCOMPLETE))
_part("incomplete sequences, one after the other", _all(False, b"".join(INCOMPLETE)))
_part("impossible bytes", _all(False, b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"))
_part(
    "overlong slash",
    _overlong(
        0xAF, b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc" + b"\x80" * 4
    ),
)
_part(
    "longest overlong sequences",
    _overlong(
        0xBF, b"\xc1", b"\xe0\x9f", b"\xf0\x8f\xbf", b"\xf8\x87\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf"
    ),
)
_part(
    "overlong NUL",
    _overlong(
        0x80, b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc" + b"\x80" * 4
    ),
)
_part(
    "single surrogates",
    _all(False, *SURROGATES_HIGH, b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf"),
)
_part(
    "pairs of surrogates",
    _all(False, *(high + low for high in SURROGATES_HIGH for low in SURROGATES_LOW)),
)
_part(
    "noncharacters, which are valid",
    _all(
        True,
        *(chr(plane << 16 | 0xFFFE | last).encode() for plane in range(17) for last in (0, 1)),
    ),
)
_part("specials, such as U+FFFD", _all(True, *(chr(c).encode() for c in range(0xFFF9, 0x10000))))


invalid = partial(fault, codes=(INVALID_DATA,))


def utf8() -> Iterator[Case]:
    """Group 6."""
    empty, more = partial(raw_frame, TEXT, fin=False), partial(raw_frame, CONTINUATION, fin=False)
    end = partial(raw_frame, CONTINUATION)
    middle = b"middle frame payload"
    text = partial(Happened, TEXT_EVENT)
    yield echo("6.1.1", [raw_frame(TEXT)], text())
    yield echo("6.1.2", [empty() + more() + end()], text())
    yield echo("6.1.3", [empty() + more(middle) + end()], text(middle))
    first, second = UMLAUTS[:BOUNDARY], UMLAUTS[BOUNDARY:]
    yield echo("6.2.1", [raw_frame(TEXT, UMLAUTS)], text(UMLAUTS))
    yield echo("6.2.2", [empty(first) + end(second)], text(UMLAUTS))
    yield echo("6.2.3", [b"".join(fragments(TEXT, UMLAUTS, 1))], text(UMLAUTS))
    yield echo("6.2.4", [b"".join(fragments(TEXT, GREEK, 1))], text(GREEK))
    wrong = GREEK + SURROGATE + EDITED
    yield invalid("6.3.1", [raw_frame(TEXT, wrong)])
    yield invalid("6.3.2", [b"".join(fragments(TEXT, wrong, 1))])
    yield from _failing_fast()
    for part, (_, texts) in enumerate(SEQUENCES, start=5):
        for number, (data, valid) in enumerate(texts.items(), start=1):
            name, steps = f"6.{part}.{number}", [raw_frame(TEXT, data)]
            yield echo(name, steps, text(data)) if valid else invalid(name, steps)


def _failing_fast() -> Iterator[Case]:
    """Returns the cases in which a text must fail as soon as it can't become valid.

    It comes in three frames, and in three parts of one frame. To wait for its end is not strict.
    """
    wrong = GREEK + TOO_HIGH + EDITED
    whole = raw_frame(TEXT, wrong)
    header = len(whole) - len(wrong)
    after_13 = (wrong[:12], wrong[12:13], wrong[13:])
    by_sequence = (GREEK, TOO_HIGH, EDITED)
    for number, parts in enumerate((by_sequence, after_13), start=1):
        frames = [raw_frame(TEXT, parts[0], fin=False)]
        frames += [raw_frame(CONTINUATION, parts[1], fin=False), raw_frame(CONTINUATION, parts[2])]
        yield _in_three(f"6.4.{number}", frames, b"still there?")
    for number, parts in enumerate((by_sequence, after_13), start=3):
        yield _in_three(f"6.4.{number}", [whole[:header] + parts[0], *parts[1:]], None)


def _in_three(name: str, parts: list[bytes], probe: bytes | None) -> Case:
    waited = Happened(WAITED_EVENT)
    steps: list[Step] = [
        parts[0],
        partial(Peer.stays, probe=probe),
        parts[1],
        partial(Peer.gives_up, seconds=PATIENCE / 4),
        parts[2],
    ]
    return invalid(name, steps, waited)._replace(lenient=(waited, waited))
