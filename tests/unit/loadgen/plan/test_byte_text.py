"""Bytes that plans write as digits, and messages that are read as digits."""

import pytest

from loadgen.plan.byte_text import (
    bytes_of_base64,
    bytes_of_hex,
    length_prefix,
    text_of_message,
)


@pytest.mark.parametrize("text", ["c000ff", "C0 00\nFF", " c000 ff "])
def test_hexadecimal_digits_are_bytes_with_blanks_or_without(text):
    assert bytes_of_hex(text) == b"\xc0\x00\xff"


@pytest.mark.parametrize("text", ["c", "c0x0", "0xc0"])
def test_other_texts_are_not_hexadecimal(text):
    with pytest.raises(ValueError, match="not hexadecimal; write two of the digits"):
        bytes_of_hex(text)


def test_base64_is_bytes():
    assert bytes_of_base64("wA\nD/") == b"\xc0\x00\xff"
    assert bytes_of_base64("") == b""


@pytest.mark.parametrize("text", ["wA", "wA=!", "ä==="])
def test_other_texts_are_not_base64(text):
    with pytest.raises(ValueError, match="not base64"):
        bytes_of_base64(text)


@pytest.mark.parametrize(
    ("message", "texts"),
    [
        (b"\xc3\x84", ("Ä", "c384", "w4Q=")),
        ("Ä", ("Ä", "c384", "w4Q=")),
        (b"\xc0\x00", ("\ufffd\x00", "c000", "wAA=")),
    ],
)
def test_a_message_is_read_as_text_or_as_its_bytes(message, texts):
    assert tuple(text_of_message(message, form) for form in ("text", "hex", "base64")) == texts


@pytest.mark.parametrize(
    ("length", "form", "digits"),
    [
        (5, "", ""),
        (5, "u8", "05"),
        (300, "u16", "012c"),
        (5, "u32", "00000005"),
        (0, "varint", "00"),
        (127, "varint", "7f"),
        (128, "varint", "8001"),
        (2_097_151, "varint", "ffff7f"),
    ],
)
def test_a_length_stands_before_a_part_of_a_message(length, form, digits):
    assert length_prefix(length, form).hex() == digits


def test_a_length_that_does_not_fit_is_an_error():
    with pytest.raises(OverflowError):
        length_prefix(256, "u8")
