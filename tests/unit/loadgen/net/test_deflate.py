"""Compressed messages both ways, against the extension of the websockets library."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from loadgen.net.deflate import (
    MAX_INFLATED_BYTES,
    RSV1,
    Agreement,
    DeflateParser,
    Inflater,
)
from loadgen.net.frames import BINARY, FAULT, PING, TEXT, Event
from loadgen.stats.recorder import Recorder
from tests.unit.strategies import cuts, pieces

agreements = st.builds(
    Agreement,
    server_takeover=st.booleans(),
    client_takeover=st.booleans(),
    server_bits=st.integers(8, 15),
    client_bits=st.integers(9, 15),
    level=st.integers(0, 9),
)
word = st.sampled_from(["", "a", "news " * 400, "häuser", "0123456789" * 7000])
texts = st.builds("".join, st.lists(word | st.text(max_size=40), max_size=4))
END = b"\0\0\xff\xff"


def library(agreement: Agreement) -> PerMessageDeflate:
    """Returns the other end of an agreement."""
    return PerMessageDeflate(
        not agreement.client_takeover,
        not agreement.server_takeover,
        agreement.client_bits,
        max(9, agreement.server_bits),  # zlib deflates with no smaller window
    )


def parser_of(agreement=None, *, keep=MAX_INFLATED_BYTES, reads=True):
    inflater = Inflater(agreement or Agreement()) if reads else None
    recorder = Recorder(seed=1)
    return DeflateParser(keep, inflater, recorder), recorder


def deflated(payload: bytes, *, bits=15, final=False) -> bytes:
    """Returns a whole message as a server compresses it, alone."""
    stream = zlib.compressobj(wbits=-bits)
    data = stream.compress(payload)
    return data + stream.flush() if final else (data + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def from_a_server(opcode: int, payload: bytes, *, fin=True, rsv1=True) -> bytes:
    first, *rest = Frame(Opcode(opcode), payload, fin).serialize(mask=False)
    return bytes((first | RSV1 * rsv1, *rest))


@given(agreements, st.lists(texts, max_size=5))
def test_the_library_inflates_what_is_deflated(agreement, messages):
    far, deflater = library(agreement), agreement.deflater()
    got = []
    for message in messages:
        (data,) = agreement.deflated(deflater, (message.encode() or b"x",))
        got.append(far.decode(Frame(Opcode.TEXT, data, True, True)).data)

    assert got == [message.encode() or b"x" for message in messages]


@given(agreements, st.lists(st.binary(min_size=1), min_size=1, max_size=4))
def test_the_fragments_of_a_message_are_deflated_together(agreement, parts):
    far, deflater = library(agreement), agreement.deflater()

    for _ in range(2):
        data = agreement.deflated(deflater, tuple(parts))
        last = len(data) - 1
        frames = [
            Frame(Opcode.CONT if at else Opcode.BINARY, part, at == last, not at)
            for at, part in enumerate(data)
        ]
        assert b"".join(bytes(far.decode(frame).data) for frame in frames) == b"".join(parts)


def test_without_takeover_one_deflater_serves_all_and_each_message_stands_alone():
    agreement = Agreement(client_takeover=False)
    deflater = agreement.deflater()

    first, second = (agreement.deflated(deflater, (b"the same news",)) for _ in range(2))

    assert agreement.deflater() is deflater
    assert first == second
    assert zlib.decompressobj(-15).decompress(second[0] + END) == b"the same news"


def test_with_takeover_each_connection_has_its_own_and_repetition_costs_less():
    agreement = Agreement()
    deflater = agreement.deflater()

    (first,), (second,) = (agreement.deflated(deflater, (b"the same news",)) for _ in range(2))

    assert agreement.deflater() is not deflater
    assert len(second) < len(first)


def test_zlibs_memory_follows_the_window():
    """A window of 2^9 bytes looks back 250 bytes: one of 2^8 inflates it."""
    agreement = Agreement(client_bits=9)
    (data,) = agreement.deflated(agreement.deflater(), (bytes(range(256)) * 64,))

    assert zlib.decompressobj(-8).decompress(data + END) == bytes(range(256)) * 64


@given(agreements, st.lists(st.tuples(texts, st.booleans(), cuts), max_size=4), cuts)
def test_what_the_library_deflates_is_inflated_however_it_is_cut(agreement, messages, where):
    far = library(agreement)
    if agreement.server_bits == 8:
        far = PerMessageDeflate(True, True, 15, 9)  # looks back 250 bytes at most
    data = b""
    for text, binary, parts in messages:
        payload = text.encode()
        split = pieces(payload, parts) or [b""]
        for at, part in enumerate(split):
            opcode = Opcode.CONT if at else (Opcode.BINARY if binary else Opcode.TEXT)
            frame = Frame(opcode, part, at == len(split) - 1)
            data += frame.serialize(mask=False, extensions=[far])
            data += Frame(Opcode.PING, b"x").serialize(mask=False)
    parser, recorder = parser_of(agreement)

    events = [event for piece in pieces(data, where) for event in parser.feed(piece)]

    assert [event for event in events if event.opcode != PING] == [
        Event(BINARY if binary else TEXT, text.encode(), len(text.encode()))
        for text, binary, _ in messages
    ]
    assert recorder.tally.messages_compressed == len(messages)
    assert parser.clean


def test_a_message_that_comes_byte_by_byte_is_inflated():
    parser, recorder = parser_of()
    data = from_a_server(TEXT, deflated(b"the news"))

    events = [event for at in range(len(data)) for event in parser.feed(data[at : at + 1])]

    assert events == [Event(TEXT, b"the news", 8)]
    assert recorder.tally.messages_compressed == 1


def test_messages_that_are_not_compressed_are_read_as_ever():
    parser, recorder = parser_of()
    data = from_a_server(TEXT, b"plain", rsv1=False) + from_a_server(TEXT, deflated(b"packed"))

    events = parser.feed(data + from_a_server(BINARY, b"\xff", rsv1=False))

    assert [event.payload for event in events] == [b"plain", b"packed", b"\xff"]
    assert recorder.tally.messages_compressed == 1


def test_without_an_inflater_compressed_messages_are_counted_alone():
    parser, recorder = parser_of(reads=False)
    fragment = from_a_server(TEXT, b"\xff\xfe", fin=False)
    rest = from_a_server(0, b"\xfd", rsv1=False)

    events = parser.feed(fragment + from_a_server(PING, b"", rsv1=False) + rest)
    events += parser.feed(from_a_server(TEXT, b"plain", rsv1=False))

    assert events == [Event(PING, b"", 0), Event(TEXT, b"", 3), Event(TEXT, b"plain", 5)]
    assert recorder.tally.messages_compressed == 1
    assert parser.clean


def test_a_message_keeps_as_much_as_is_asked_for():
    parser, _ = parser_of(keep=3)

    assert parser.feed(from_a_server(TEXT, deflated(b"longer"))) == [Event(TEXT, b"lon", 6)]


@pytest.mark.parametrize("takeover", [False, True])
def test_a_block_may_say_that_it_is_the_last(takeover):
    """RFC 7692 section 7.2.3.4, and once more in the middle of a message."""
    parser, _ = parser_of(Agreement(server_takeover=takeover))
    last = deflated(b"first, ", final=True)
    data = from_a_server(TEXT, last + b"\0")
    data += from_a_server(TEXT, last + deflated(b"second")) + from_a_server(TEXT, deflated(b"end"))

    assert [event.payload for event in parser.feed(data)] == [b"first, ", b"first, second", b"end"]


def test_a_bomb_ends_at_the_longest_message():
    """16 KiB that inflate to 16 MiB and one byte; not one byte more is inflated."""
    whole = deflated(bytes(MAX_INFLATED_BYTES))
    bomb = deflated(bytes(MAX_INFLATED_BYTES + 1))
    parser, recorder = parser_of(keep=1)

    assert parser.feed(from_a_server(BINARY, whole)) == [Event(BINARY, b"\0", MAX_INFLATED_BYTES)]
    (fault,) = parser.feed(from_a_server(BINARY, bomb))

    assert (fault.opcode, fault.size) == (FAULT, 1009)
    assert b"inflates to more than 16777216 bytes" in fault.payload
    assert recorder.tally.messages_compressed == 1
    assert parser.feed(from_a_server(TEXT, b"plain", rsv1=False)) == []


def test_a_bomb_of_many_last_blocks_ends_there_too():
    inflater = Inflater(Agreement())
    block = deflated(b"x" * 10, final=True)

    assert inflater.feed(block * 3, 25) == b"x" * 25
    assert Inflater(Agreement()).feed(block * 3, 20) == b"x" * 20


@pytest.mark.parametrize("at", [0, 1])
def test_what_cannot_be_inflated_is_a_fault(at):
    parser, _ = parser_of()
    good, bad = from_a_server(TEXT, deflated(b"good")), from_a_server(TEXT, b"\xff" * 9)

    *_, fault = parser.feed(good * at + bad)

    assert (fault.opcode, fault.size) == (FAULT, 1007)
    assert fault.payload.startswith(b"a message that can't be inflated (Error -3")
    assert parser.failed


def test_a_message_that_cannot_be_ended_is_a_fault():
    """The end is wrong in the middle of a block: a stored one has its length twice."""
    parser, _ = parser_of()
    (fault,) = parser.feed(from_a_server(TEXT, b"\0\x05"))

    assert (fault.opcode, fault.size) == (FAULT, 1007)


@pytest.mark.parametrize("cut", [False, True])
def test_text_is_utf8_once_it_is_inflated(cut):
    parser, _ = parser_of()
    payload = b"abc\xff" if not cut else "ä".encode()[:1]
    (fault,) = parser.feed(from_a_server(TEXT, deflated(payload)))

    assert (fault.opcode, fault.payload, fault.size) == (FAULT, b"text that is not UTF-8", 1007)


@pytest.mark.parametrize(
    "data",
    [
        from_a_server(PING, b"", rsv1=True),
        from_a_server(TEXT, deflated(b"a"), fin=False) + from_a_server(0, b"", rsv1=True),
        b"\xa1\x00",
        b"\x91\x00",
        from_a_server(TEXT, b"a", fin=False, rsv1=False) + from_a_server(TEXT, b"b"),
    ],
    ids=["control", "continuation", "RSV2", "RSV3", "inside another"],
)
def test_the_bit_has_its_place(data):
    """RFC 7692 section 6: the first frame of a message, and no other."""
    parser, _ = parser_of()
    *_, fault = parser.feed(data)

    assert (fault.opcode, fault.size) == (FAULT, 1002)


@given(agreements)
def test_an_agreement_reads_as_the_servers_header(agreement):
    text = str(agreement)

    assert text.startswith("permessage-deflate")
    assert ("server_no_context_takeover" in text) != agreement.server_takeover
    assert ("client_no_context_takeover" in text) != agreement.client_takeover
    assert (f"server_max_window_bits={agreement.server_bits}" in text) == (
        agreement.server_bits < 15
    )
    assert (f"client_max_window_bits={agreement.client_bits}" in text) == (
        agreement.client_bits < 15
    )


def test_an_agreement_names_what_is_not_the_default():
    agreement = Agreement(
        server_takeover=False, client_takeover=False, server_bits=10, client_bits=12
    )

    assert str(Agreement()) == "permessage-deflate"
    assert str(agreement) == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover;"
        " server_max_window_bits=10; client_max_window_bits=12"
    )


def test_the_bit_is_the_first_reserved_one():
    """RFC 7692 section 7.2."""
    assert from_a_server(TEXT, b"")[0] == 0x80 | RSV1 | TEXT
