"""The messages that a session may send, as the payloads of their frames."""

import pytest

from loadgen.net.frames import BINARY, TEXT
from loadgen.sessions.parts import parts_of


@pytest.mark.parametrize(
    ("message", "opcode", "payloads"),
    [
        ("text – ü", TEXT, ["text – ü".encode()]),
        (b"bytes", BINARY, [b"bytes"]),
        (memoryview(b"view of it")[::2], BINARY, [b"ve fi"]),
        (["one ", "", "two"], TEXT, [b"one ", b"", b"two"]),
        (iter([b"one ", bytearray(b"two")]), BINARY, [b"one ", b"two"]),
        ([], BINARY, []),
    ],
)
def test_a_message_has_the_opcode_of_its_kind_and_a_payload_for_each_part(
    message, opcode, payloads
):
    assert parts_of(message) == (opcode, payloads)


@pytest.mark.parametrize("message", [5, None, {"a": "b"}, [1, 2], ["a", b"b"], object()])
def test_what_is_no_message_is_refused(message):
    with pytest.raises(TypeError):
        parts_of(message)
