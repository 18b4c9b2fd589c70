"""A tap shows what a connection and its server send, and passes it on unchanged."""

from websockets.frames import Frame, Opcode

from loadgen.trace.tap import Tap
from loadgen.trace.trace import Trace


class Ends:
    """Both ends of a tap: they keep what they get."""

    def __init__(self):
        self.made = None
        self.received = b""
        self.written = b""
        self.calls = []
        self.waiting = 7

    def connection_made(self, transport):
        self.made = transport

    def data_received(self, data):
        self.received += data

    def resume_writing(self):
        self.calls.append("resume_writing")

    def connection_lost(self, exc):
        self.calls.append(exc)

    def write(self, data, message=False):
        self.written += data
        return message

    def pause_reading(self):
        self.calls.append("pause")

    def resume_reading(self):
        self.calls.append("resume")

    def abort(self):
        self.calls.append("abort")


def tapped():
    lines = []
    ends = Ends()
    tap = Tap(Trace(lambda line: lines.append(line[12:].partition("  (")[0])), ends)
    tap.connection_made(ends)
    return tap, ends, lines


def test_the_handshake_and_frames_of_both_directions_are_shown():
    tap, ends, lines = tapped()
    request = b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n"
    ends.made.write(request)
    sent = Frame(Opcode.TEXT, b"hi").serialize(mask=True)
    assert ends.made.write(sent, True)
    reply = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 101 Switching\r\nA: b\r\n\r\n"
    received = reply + Frame(Opcode.TEXT, b"welcome").serialize(mask=False)
    tap.data_received(received[:30])
    tap.data_received(received[30:])

    assert lines == [
        "connected",
        "→ GET /ws HTTP/1.1",
        "  Host: a",
        "→ text, 2 bytes: hi",
        "← HTTP/1.1 103 Early",
        "← HTTP/1.1 101 Switching",
        "  A: b",
        "← text, 7 bytes: welcome",
    ]
    assert (ends.received, ends.written) == (received, request + sent)


def test_a_refusal_is_shown_with_its_body():
    tap, _, lines = tapped()
    tap.data_received(b"HTTP/1.1 403 Forbidden\r\nA: b\r\n\r\nno entry")

    assert lines[1:] == ["← HTTP/1.1 403 Forbidden", "  A: b", "  no entry"]


def test_all_else_is_passed_on():
    tap, ends, lines = tapped()
    ends.made.pause_reading()
    ends.made.resume_reading()
    ends.made.abort()
    tap.resume_writing()
    error = ConnectionResetError("gone")
    tap.connection_lost(None)
    tap.connection_lost(error)

    assert ends.calls == ["pause", "resume", "abort", "resume_writing", None, error]
    assert ends.made.waiting == 7
    assert lines[1:] == ["disconnected", "disconnected: gone"]
