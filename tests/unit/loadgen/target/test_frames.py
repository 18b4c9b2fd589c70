"""Server-side frames, with the websockets library as the client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol

from loadgen.target.frames import (
    BINARY,
    CLOSE,
    FAULT,
    MAX_MESSAGE,
    PING,
    PONG,
    TEXT,
    ClientFrame,
    FrameReader,
    close_frame,
    frame,
    is_whole_ping,
    pong_to,
)

MASK = b"\x12\x34\x56\x78"


def sent(opcode: int, payload: bytes, fin: bool = True) -> bytes:
    """A client's frame, as the library serializes it."""
    return Frame(Opcode(opcode), payload, fin).serialize(mask=True)


def header(first: int, second: int, length: bytes = b"") -> bytes:
    """A frame's beginning, byte by byte."""
    return bytes((first, second)) + length + MASK


def read(data: bytes) -> list[ClientFrame]:
    return FrameReader().feed(data)


def received(data: bytes) -> list[Frame]:
    """The frames that the library's client reads from a server's bytes."""
    client = Protocol(CLIENT)
    client.receive_data(data)
    assert client.parser_exc is None
    return client.events_received()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_client_reads_our_frames(opcode, size):
    assert received(frame(opcode, b"x" * size)) == [Frame(Opcode(opcode), b"x" * size)]


def test_a_client_reads_our_close():
    assert received(close_frame(1009)) == [Frame(Opcode.CLOSE, b"\x03\xf1")]


@given(st.binary(max_size=125))
def test_a_whole_ping_is_known_and_answered(payload):
    ping = sent(PING, payload)

    assert is_whole_ping(ping)
    assert received(pong_to(ping)) == [Frame(Opcode.PONG, payload)]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x89", id="one byte"),
        pytest.param(sent(PING, b"abcd")[:-1], id="not whole"),
        pytest.param(sent(PING, b"abcd") + b"\x89", id="and more"),
        pytest.param(sent(PONG, b"abcd"), id="a pong"),
        pytest.param(sent(TEXT, b"abcd"), id="text"),
        pytest.param(b"\x09" + sent(PING, b"abcd")[1:], id="not final"),
        pytest.param(b"\xc9" + sent(PING, b"abcd")[1:], id="a reserved bit"),
        pytest.param(b"\x89\x04abcdef", id="unmasked"),
        pytest.param(header(0x89, 0xFE, b"\x00\x7c") + b"x" * 124, id="an extended length"),
    ],
)
def test_nothing_else_is_taken_for_a_whole_ping(data):
    assert not is_whole_ping(data)


MESSAGES = st.one_of(
    st.tuples(st.just(TEXT), st.text(max_size=300).map(str.encode)),
    st.tuples(st.just(BINARY), st.binary(max_size=300)),
    st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)),
)


@given(st.lists(MESSAGES, max_size=8), st.data())
def test_any_split_of_the_bytes_reads_the_same(messages, data):
    stream = b"".join(sent(opcode, payload) for opcode, payload in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader, events = FrameReader(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += reader.feed(stream[begin:end])

    assert [(event.opcode, event.payload) for event in events] == messages
    assert reader.clean


def test_a_reader_is_not_clean_until_the_last_byte():
    reader = FrameReader()
    stream = sent(TEXT, "é".encode())
    for byte in stream[:-1]:
        assert reader.feed(bytes((byte,))) == []
        assert not reader.clean

    assert reader.feed(stream[-1:]) == [ClientFrame(TEXT, "é".encode())]
    assert reader.clean


def test_fragments_become_one_message_and_controls_come_between():
    """Text is judged whole (RFC 6455 section 5.6).

    A character may be cut by fragments.
    """
    reader = FrameReader()
    first, second = b"\xc3", b"\xa9!"

    assert reader.feed(sent(TEXT, first, fin=False)) == []
    assert not reader.clean
    assert reader.feed(sent(PING, b"p")) == [ClientFrame(PING, b"p")]
    assert reader.feed(sent(0, b"", fin=False) + sent(0, second)) == [
        ClientFrame(TEXT, b"\xc3\xa9!")
    ]
    assert reader.clean


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\x81\x01x", 1002, id="unmasked"),
        pytest.param(header(0xC1, 0x80), 1002, id="a reserved bit"),
        pytest.param(header(0x83, 0x80), 1002, id="an unknown data opcode"),
        pytest.param(header(0x8B, 0x80), 1002, id="an unknown control opcode"),
        pytest.param(header(0x09, 0x80), 1002, id="a fragmented ping"),
        pytest.param(header(0x89, 0xFE, b"\x00\x7e"), 1002, id="a long ping"),
        pytest.param(header(0x80, 0x80), 1002, id="a continuation of nothing"),
        pytest.param(
            sent(TEXT, b"", fin=False) + sent(TEXT, b""), 1002, id="a message in a message"
        ),
        pytest.param(sent(CLOSE, b"\x03"), 1002, id="half a close code"),
        pytest.param(sent(CLOSE, b"\x03\xed"), 1002, id="close code 1005"),
        pytest.param(sent(CLOSE, b"\x07\xd0"), 1002, id="close code 2000"),
        pytest.param(sent(CLOSE, b"\x03\xe8\xff"), 1007, id="a close reason not UTF-8"),
        pytest.param(sent(TEXT, b"\xff"), 1007, id="text not UTF-8"),
        pytest.param(
            sent(TEXT, b"a", fin=False) + sent(0, b"\xc3"),
            1007,
            id="text that stops in a character",
        ),
        pytest.param(
            header(0x82, 0xFE, (MAX_MESSAGE + 1).to_bytes(2, "big")), 1009, id="a byte too many"
        ),
        pytest.param(header(0x82, 0xFF, b"\xff" * 8), 1009, id="far too many"),
        pytest.param(
            sent(BINARY, b"x" * MAX_MESSAGE, fin=False) + sent(0, b"x"),
            1009,
            id="too many in fragments",
        ),
    ],
)
def test_a_fault_has_its_code_and_ends_the_reading(data, code):
    reader = FrameReader()
    *before, fault = reader.feed(data)

    assert before == []
    assert (fault.opcode, fault.code) == (FAULT, code)
    assert reader.feed(sent(TEXT, b"more")) == []
    assert not reader.clean


def test_takes_the_longest_message_and_a_ping_inside_it():
    events = read(sent(BINARY, b"x" * MAX_MESSAGE, fin=False) + sent(PING, b"p") + sent(0, b""))

    assert events == [ClientFrame(PING, b"p"), ClientFrame(BINARY, b"x" * MAX_MESSAGE)]


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (b"", ClientFrame(CLOSE, b"", 1000)),
        (b"\x03\xe9", ClientFrame(CLOSE, b"", 1001)),
        (b"\x0f\xa0bye", ClientFrame(CLOSE, b"bye", 4000)),
    ],
)
def test_nothing_counts_after_a_close(payload, event):
    assert read(sent(CLOSE, payload) + sent(PING, b"")) == [event]


@given(st.binary(max_size=200), st.integers(0, 200))
def test_it_never_raises_and_the_split_never_matters(data, cut):
    parts = FrameReader()

    assert parts.feed(data[:cut]) + parts.feed(data[cut:]) == read(data)
