"""Frames of a trace, beside those that the websockets library writes."""

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from loadgen.trace.frames import KEPT, TracedFrames


def read(*data):
    reader = TracedFrames()
    return [frame for part in data for frame in reader.feed(part)]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("mask", [True, False])
def test_frames_of_all_lengths_are_unmasked(size, mask):
    payload = bytes(at % 251 for at in range(size))
    data = Frame(Opcode.BINARY, payload).serialize(mask=mask)

    (frame,) = read(data)

    assert (frame.payload, frame.size, frame.name) == (payload, size, "binary")


def test_a_frame_may_come_byte_by_byte_and_two_at_once():
    data = Frame(Opcode.TEXT, b"x" * 200).serialize(mask=True)
    ping = Frame(Opcode.PING, b"p").serialize(mask=False)

    assert [frame.name for frame in read(*(bytes([byte]) for byte in data + ping))] == [
        "text",
        "ping",
    ]
    assert [frame.size for frame in read(data + ping)] == [200, 1]


def test_compressed_messages_are_inflated_with_their_context():
    deflate = PerMessageDeflate(False, False, 15, 15)
    parts = [b"hello hello", b"hello hello again", b"y" * (KEPT + 10)]
    frames = [Frame(Opcode.TEXT, part) for part in parts]
    data = b"".join(frame.serialize(mask=True, extensions=[deflate]) for frame in frames)

    found = read(data)

    assert [frame.size for frame in found] == [len(part) for part in parts]
    assert found[1].payload == parts[1]
    assert all(frame.compressed for frame in found)


def test_a_fragmented_and_compressed_message_is_inflated_frame_by_frame():
    deflate = PerMessageDeflate(False, False, 15, 15)
    frames = Frame(Opcode.TEXT, b"abc" * 25, fin=False), Frame(Opcode.CONT, b"abc" * 25)

    found = read(*(frame.serialize(mask=False, extensions=[deflate]) for frame in frames))

    assert b"".join(frame.payload for frame in found) == b"abc" * 50
    assert [frame.name for frame in found] == ["text, to be continued", "continuation"]


def test_what_can_not_be_inflated_is_shown_as_it_is():
    (frame,) = read(b"\xc1\x03\xff\xff\xff")

    assert frame.payload == b"\xff\xff\xff"


def test_an_unknown_opcode_has_its_number():
    (frame,) = read(b"\x8b\x00")

    assert frame.name == "opcode 11"
