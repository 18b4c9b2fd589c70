"""The lines of a trace: short, printable, and without secrets."""

import pytest

from loadgen.trace.frames import TracedFrame
from loadgen.trace.text import escaped, shortened, shown_bytes, shown_frame, shown_head


def frame(opcode, payload, *, final=True, compressed=False):
    return TracedFrame(opcode, payload, len(payload), final, compressed)


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (frame(1, b"hello"), "text, 5 bytes: hello"),
        (frame(1, b"a\x1b[31m\n"), "text, 7 bytes: a\\x1b[31m\\n"),
        (frame(1, b"x", final=False), "text, to be continued, 1 byte: x"),
        (frame(1, b"\xffx"), "text, 2 bytes: \N{REPLACEMENT CHARACTER}x"),
        (frame(0, b"\xff"), "continuation, 1 byte: ff"),
        (frame(1, b"z", compressed=True), "text, compressed, 1 byte: z"),
        (frame(2, b"\x00\x01"), "binary, 2 bytes: 00 01"),
        (frame(1, b""), "text, 0 bytes"),
        (frame(9, b"\x00"), "ping 00"),
        (frame(10, b""), "pong"),
        (frame(8, b"\x03\xe8bye"), "close 1000: bye"),
        (frame(8, b"\x03\xe9"), "close 1001"),
        (frame(8, b""), "close without a code"),
    ],
)
def test_a_frame_in_words(one, shown):
    assert shown_frame(one) == shown


def test_long_payloads_are_shortened():
    assert shortened("a" * 300) == "a" * 200 + "… (300 characters)"
    assert shown_bytes(bytes(40)) == " ".join(["00"] * 32) + "…"


def test_what_can_be_printed_stays():
    assert escaped("grüße") == "grüße"


def test_a_head_has_no_secrets_and_no_endless_headers():
    head = b"GET /ws?token=abc HTTP/1.1\r\nCookie: sid=1\r\nbroken"

    assert [*shown_head(head)] == ["GET /ws?token=… HTTP/1.1", "  Cookie: sid=…", "  broken"]
    assert len([*shown_head(b"GET / HTTP/1.1" + b"\r\na: b" * 100)]) == 62
