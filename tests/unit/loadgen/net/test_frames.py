"""Frames out and in, against the protocol of the websockets library."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

from loadgen.net.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FAULT,
    MAX_KEPT_BYTES,
    PING,
    PONG,
    TEXT,
    Event,
    Parser,
    close_code,
    close_frame,
    closing_payload,
    fragmented,
    frame,
    masked,
    ping_frame,
    whole_message,
)
from tests.unit.strategies import cuts, pieces

EDGES = (0, 1, 4, 125, 126, 127, 65535, 65536, 65537)
"""Payload sizes around the changes of the length's encoding (RFC 6455 section 5.2)."""
masks = st.integers(0, 2**32 - 1)
PING_FROM_SERVER = b"\x89\x02hi"


def by_a_server(data: bytes) -> list[Frame]:
    """Returns the frames that the websockets library reads; raises on a fault."""
    server = Protocol(SERVER, state=OPEN, max_size=None)
    server.receive_data(data)
    if server.parser_exc is not None:
        raise server.parser_exc
    return server.events_received()


def from_a_server(opcode: int, payload: bytes = b"", fin: bool = True) -> bytes:
    """Returns a frame as the websockets library writes it."""
    return Frame(Opcode(opcode), payload, fin).serialize(mask=False)


def parsed(data: bytes, cuts: list[int] | None = None, keep: int = 10**6) -> list[Event]:
    parser = Parser(keep)
    return [event for piece in pieces(data, cuts or []) for event in parser.feed(piece)]


def bytewise(parser: Parser, data: bytes) -> list[Event]:
    return [event for at in range(len(data)) for event in parser.feed(data[at : at + 1])]


@st.composite
def control_frames(draw):
    opcode = draw(st.sampled_from((PING, PONG)))
    payload = draw(st.binary(max_size=125))
    return from_a_server(opcode, payload), [Event(opcode, payload, len(payload))]


@st.composite
def messages(draw):
    """A message in fragments, control frames between them: its bytes and events."""
    text = draw(st.booleans())
    opcode = TEXT if text else BINARY
    payload = draw(st.text(max_size=80)).encode() if text else draw(st.binary(max_size=300))
    fragments = pieces(payload, draw(st.lists(st.integers(0, 300), max_size=4))) or [b""]
    if draw(st.booleans()):
        fragments.append(b"")
    data = b""
    events = []
    for turn, fragment in enumerate(fragments):
        last = turn == len(fragments) - 1
        data += from_a_server(CONTINUATION if turn else opcode, fragment, last)
        if not last and draw(st.booleans()):
            control, event = draw(control_frames())
            data += control
            events += event
    return data, [*events, Event(opcode, payload, len(payload))]


streams = st.lists(messages() | control_frames(), max_size=5)


# Frames out


@given(st.sampled_from((TEXT, BINARY, PING, PONG)), st.binary(max_size=125), masks)
def test_a_server_reads_the_frames_we_write(opcode, payload, mask):
    assert by_a_server(frame(opcode, payload, mask)) == [Frame(Opcode(opcode), payload)]


@pytest.mark.parametrize("size", EDGES)
def test_a_server_reads_frames_of_every_size(size):
    payload = bytes(at * 7 % 256 for at in range(size))

    assert by_a_server(frame(BINARY, payload, 0xDEADBEEF)) == [Frame(Opcode.BINARY, payload)]


@pytest.mark.parametrize("size", EDGES)
def test_the_length_is_written_in_as_few_bytes_as_it_goes(size):
    """RFC 6455 section 5.2; beside the length, a header has 2 bytes and a mask 4."""
    header = len(frame(BINARY, bytes(size), 1)) - size

    assert header == 6 + (0 if size <= 125 else 2 if size <= 65535 else 8)


@given(st.binary(max_size=40), masks)
def test_masking_twice_gives_the_payload_back(payload, mask):
    assert masked(masked(payload, mask), mask) == payload


@example(7, 0xDEADBEEF)
@given(masks, masks)
def test_a_ping_carries_its_turn_as_four_bytes(turn, mask):
    assert ping_frame(turn, mask) == frame(PING, turn.to_bytes(4, "big"), mask)
    assert by_a_server(ping_frame(turn, mask)) == [Frame(Opcode.PING, turn.to_bytes(4, "big"))]


@example(1001, 0xDEADBEEF, "going – away")
@given(st.sampled_from((1000, 1001, 1002, 1007, 3000, 4999)), masks, st.text(max_size=30))
def test_a_server_reads_the_close_we_write(code, mask, reason):
    (closing,) = by_a_server(close_frame(code, mask, reason.encode()))

    assert Close.parse(closing.data) == Close(code, reason)


def test_the_code_of_a_close():
    assert close_code(Close(4001, "why").serialize()) == 4001
    assert close_code(b"") == 1005


# Frames in


@given(streams, cuts)
def test_any_split_of_the_bytes_gives_the_same_events(stream, cuts):
    data = b"".join(data for data, _ in stream)

    assert parsed(data, cuts) == [event for _, events in stream for event in events]


@given(streams)
def test_single_bytes_give_the_same_events(stream):
    data = b"".join(data for data, _ in stream)

    assert bytewise(Parser(), data) == [event for _, events in stream for event in events]


@pytest.mark.parametrize("size", EDGES)
def test_messages_of_every_size_are_read(size):
    payload = bytes(at * 7 % 256 for at in range(size))
    data = from_a_server(BINARY, payload) + PING_FROM_SERVER

    assert parsed(data, [1, 2, 3, 9, 10, 11, 70_000]) == [
        Event(BINARY, payload, size),
        Event(PING, b"hi", 2),
    ]


def test_a_control_frame_between_fragments_comes_out_at_once():
    parser = Parser()

    assert parser.feed(from_a_server(TEXT, b"one ", fin=False)) == []
    assert parser.feed(PING_FROM_SERVER) == [Event(PING, b"hi", 2)]
    assert parser.feed(from_a_server(CONTINUATION, b"two")) == [Event(TEXT, b"one two", 7)]


def test_a_close_with_a_reason_and_one_without_anything():
    for payload in (b"", Close(1000, "").serialize(), Close(1001, "going – away").serialize()):
        assert parsed(from_a_server(CLOSE, payload)) == [Event(CLOSE, payload, len(payload))]


@given(messages(), st.integers(0, 300), cuts)
def test_only_the_first_bytes_are_kept_but_all_are_counted(message, keep, cuts):
    data, events = message
    *_, whole = events

    assert parsed(data, cuts, keep)[-1] == Event(whole.opcode, whole.payload[:keep], whole.size)


def test_what_is_not_kept_is_counted_in_a_message_larger_than_any_buffer():
    parser = Parser()
    fragment = b"x" * 1_000_000
    events = parser.feed(from_a_server(TEXT, fragment, fin=False))
    for _ in range(3):
        events += parser.feed(from_a_server(CONTINUATION, fragment, fin=False))
    events += parser.feed(from_a_server(CONTINUATION, b"end"))

    assert events == [Event(TEXT, b"x" * MAX_KEPT_BYTES, 4_000_003)]


def test_a_message_does_not_inherit_from_the_one_before():
    """Neither its kept bytes nor its size nor its type."""
    data = (
        from_a_server(TEXT, b"abc")
        + from_a_server(BINARY, b"\xff\xfe")
        + from_a_server(TEXT, "é".encode())
    )

    assert parsed(data) == [
        Event(TEXT, b"abc", 3),
        Event(BINARY, b"\xff\xfe", 2),
        Event(TEXT, "é".encode(), 2),
    ]


@given(streams)
def test_clean_exactly_between_messages(stream):
    """This is after a message, or after a control frame outside of one."""
    parser = Parser()
    boundaries = {0}
    end = 0
    for data, _ in stream:
        end += len(data)
        boundaries.add(end)
    whole = b"".join(data for data, _ in stream)

    assert parser.clean
    for at in range(len(whole)):
        parser.feed(whole[at : at + 1])
        assert parser.clean == (at + 1 in boundaries)


def test_the_parts_of_a_message_are_the_frames_of_one():
    data = fragmented(TEXT, [b"one ", b"", b"two"], 7)
    one, none, two = frame(TEXT, b"one ", 7, 0), frame(0, b"", 7, 0), frame(0, b"two", 7)

    assert data == one + none + two
    assert [part[0] for part in (one, none, two)] == [0x01, 0x00, 0x80]
    assert fragmented(BINARY, [b"whole"], 7) == frame(BINARY, b"whole", 7)
    assert fragmented(BINARY, [], 7) == b""


def test_after_a_close_there_is_no_event():
    parser = Parser()
    data = from_a_server(CLOSE, b"") + from_a_server(TEXT, b"too late")

    assert [event.opcode for event in parser.feed(data)] == [CLOSE]
    assert parser.feed(PING_FROM_SERVER) == []
    assert not parser.clean


@pytest.mark.parametrize("before", [b"", from_a_server(BINARY, b"12345", fin=False)])
def test_a_message_over_the_limit_fails_at_the_header_that_says_so(before):
    opcode = CONTINUATION if before else BINARY
    parser = Parser(10, 10)
    size = 10 - 5 * bool(before)

    assert Parser(10, 10).feed(before + from_a_server(opcode, bytes(size)))
    assert parser.feed(before) == []
    (fault,) = parser.feed(bytes((0x80 | opcode, size + 1)))
    assert (fault.opcode, fault.size) == (FAULT, 1009)
    assert parser.feed(bytes(size + 1)) == []


def test_it_goes_on_where_it_left_off():
    parser = Parser()
    data = PING_FROM_SERVER + from_a_server(TEXT, b"hello") + from_a_server(TEXT, b"")
    turns = [parser.feed(data, 1)]
    while parser.more:
        turns.append(parser.feed(b"", 1))

    assert [[event.payload for event in turn] for turn in turns] == [[b"hi"], [], [b"hello"], [b""]]
    assert parser.clean
    assert parser.feed(PING_FROM_SERVER[:1], 0) == []
    assert parser.more
    assert parser.feed(PING_FROM_SERVER[1:]) == [Event(PING, b"hi", 2)]
    assert not parser.more


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1011, 1014, 3000, 4999])
def test_a_close_has_a_code_that_may_be_sent_and_a_reason(code):
    assert closing_payload(code, "bye – bye") == "bye – bye".encode()
    assert len(closing_payload(code, "ü" * 61)) == 122


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, "1000"])
def test_other_codes_are_refused(code):
    with pytest.raises(ValueError, match=f"close code {code!r} may not be sent"):
        closing_payload(code, "")


def test_a_reason_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="has 124 bytes in UTF-8; 123 may be sent"):
        closing_payload(1000, "ü" * 62)


# Faults


def text(*fragments: bytes) -> bytes:
    """Returns a text message in these fragments."""
    last = len(fragments) - 1
    return b"".join(
        from_a_server(CONTINUATION if turn else TEXT, fragment, turn == last)
        for turn, fragment in enumerate(fragments)
    )


FAULTS = {
    "a masked frame": (frame(TEXT, b"hi", 7), 1002),
    "a masked ping": (frame(PING, b"hi", 7), 1002),
    "reserved bit 1": (b"\xc1\x02hi", 1002),
    "reserved bit 2": (b"\xa1\x02hi", 1002),
    "reserved bit 3": (b"\x91\x02hi", 1002),
    "a reserved bit in a control frame": (b"\xc9\x02hi", 1002),
    **{
        f"opcode {opcode}": (bytes((0x80 | opcode, 0)), 1002)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    "a fragmented ping": (b"\x09\x02hi", 1002),
    "a fragmented close": (b"\x08\x00", 1002),
    "a ping of 126 bytes": (b"\x89\x7e\x00\x7e" + bytes(126), 1002),
    "a ping with a 64-bit length": (b"\x89\x7f" + (2).to_bytes(8, "big") + b"hi", 1002),
    "a continuation of nothing": (b"\x80\x02hi", 1002),
    "a text inside a message": (b"\x01\x02hi\x81\x02ho", 1002),
    "a binary inside an empty fragment's message": (b"\x01\x00\x82\x02ho", 1002),
    "a length with the highest bit": (b"\x82\x7f\x80" + bytes(7), 1002),
    "a close of one byte": (b"\x88\x01\x03", 1002),
    "a close reason that is not UTF-8": (b"\x88\x04\x03\xe8\xff\xfe", 1007),
    "a close reason cut within a character": (b"\x88\x03\x03\xe8\xc3", 1007),
    "a text of a wrong byte": (text(b"ab\xffcd"), 1007),
    "a text that ends within a character": (text(b"ab\xc3"), 1007),
    "a text that ends within a character, with an empty last fragment": (
        text(b"ab\xc3", b""),
        1007,
    ),
    "a text of a surrogate": (text(b"\xed\xa0\x80"), 1007),
    "a text of an overlong character": (text(b"\xc0\x80"), 1007),
    "a character spoilt at the edge of a fragment": (text(b"ab\xe2\x82", b"xy"), 1007),
    "a character spoilt two fragments on": (text(b"\xe2", b"\x82", b"\x28"), 1007),
}


@pytest.mark.parametrize(("data", "code"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_the_last_event_and_has_the_code_to_answer(data, code):
    """In one piece, byte by byte, after good frames, and before good frames."""
    for events in (
        parsed(data),
        bytewise(Parser(), data),
        parsed(PING_FROM_SERVER + data, [1, 5])[1:],
        parsed(data + PING_FROM_SERVER),
        bytewise(Parser(), data + PING_FROM_SERVER),
    ):
        (fault,) = events
        assert fault.opcode == FAULT
        assert fault.size == code
        assert fault.payload


@pytest.mark.parametrize(("data", "_code"), FAULTS.values(), ids=FAULTS)
def test_after_a_fault_there_is_no_event_and_the_parser_stays(data, _code):
    parser = Parser()
    parser.feed(data)

    assert parser.failed
    assert not parser.clean
    assert parser.feed(PING_FROM_SERVER) == []
    assert bytewise(parser, from_a_server(TEXT, b"hi")) == []


def test_a_continuation_after_a_messages_end_is_a_fault():
    message, fault = parsed(text(b"a", b"b") + b"\x80\x00")

    assert message == Event(TEXT, b"ab", 2)
    assert (fault.opcode, fault.size) == (FAULT, 1002)


def test_a_wrong_byte_is_a_fault_before_its_message_ends():
    """A long message that is not UTF-8 is not read to its end."""
    assert parsed(b"\x81\x7e\xff\xff" + b"\xff")[-1].opcode == FAULT


@given(st.text(min_size=1, max_size=40), cuts, cuts)
def test_characters_may_be_cut_by_fragments_and_by_reads(characters, fragments, reads):
    payload = characters.encode()

    assert parsed(text(*pieces(payload, fragments)), reads) == [Event(TEXT, payload, len(payload))]


@given(st.binary(max_size=12), cuts, cuts)
def test_text_is_a_fault_exactly_when_it_is_not_utf8(payload, fragments, reads):
    try:
        payload.decode()
    except UnicodeDecodeError:
        expected = FAULT
    else:
        expected = TEXT

    assert parsed(text(*pieces(payload, fragments) or [b""]), reads)[-1].opcode == expected


def test_a_close_code_is_a_fault_exactly_when_the_library_refuses_it():
    def refused(code: int) -> bool:
        try:
            Close.parse(code.to_bytes(2, "big"))
        except ProtocolError:
            return True
        return False

    codes = [*range(5100), 9999, 65535]
    ours = [
        parsed(from_a_server(CLOSE, code.to_bytes(2, "big")))[0].opcode == FAULT for code in codes
    ]

    assert ours == [refused(code) for code in codes]


@given(st.binary(max_size=60), cuts)
def test_no_bytes_raise_and_cuts_make_no_difference(data, cuts):
    assert parsed(data, cuts) == parsed(data)


@given(streams, st.binary(max_size=8), cuts)
def test_good_frames_are_events_also_when_rubbish_follows(stream, rubbish, cuts):
    """The rubbish after them may add events, and one fault at most."""
    data = b"".join(data for data, _ in stream)
    good = [event for _, events in stream for event in events]
    events = parsed(data + rubbish, cuts)

    assert events[: len(good)] == good
    assert [event.opcode for event in events].count(FAULT) <= 1
    assert all(event.opcode != FAULT for event, _ in pairwise(events))


# Whole messages.

BEFORE = b"\x81\x02ab"


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [2, 4, 125, 126, 127, MAX_KEPT_BYTES])
def test_a_whole_message_is_what_the_parser_makes_of_it(opcode, size):
    data = from_a_server(opcode, b"x" * size)

    assert whole_message(data) == (opcode, data[-size:], len(data))
    assert [Event(opcode, data[-size:], size)] == Parser().feed(data)


def test_whole_messages_follow_one_another():
    texts = [b"first", b"y" * 200, b"last"]
    data = b"".join(from_a_server(TEXT, text) for text in texts)
    at, read = 0, []
    while at < len(data):
        _, payload, at = whole_message(data, at)
        read.append(payload)

    assert read == texts


@given(st.binary(max_size=300), st.sampled_from([0x81, 0x82, 0x01, 0x88, 0xC1]))
def test_any_bytes_are_a_whole_message_only_where_the_parser_says_so(data, first):
    data = bytes((first,)) + data
    found = whole_message(data)

    if found is not None:
        opcode, payload, end = found
        parser = Parser()
        assert parser.feed(data[:end]) == [Event(opcode, payload, len(payload))]
        assert parser.clean


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x02\xff\xff",  # no UTF-8
        b"\x81\x85" + b"x" * 133,  # masked
        b"\x81\x05abc",  # more is to come
        from_a_server(TEXT, b"x" * (MAX_KEPT_BYTES + 1)),
        from_a_server(TEXT, b"x" * 65536),
        from_a_server(TEXT, b"xx", fin=False),
        from_a_server(PONG, b"xx"),
    ],
)
def test_all_other_bytes_are_left_to_the_parser(data):
    assert whole_message(data) is None
    assert whole_message(BEFORE + data, len(BEFORE)) is None


def test_a_whole_text_may_have_any_letters():
    _, payload, _ = whole_message(from_a_server(TEXT, "ä€𝄞".encode()))

    assert payload.decode() == "ä€𝄞"
