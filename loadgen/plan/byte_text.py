"""Bytes as text: hexadecimal digits and base64."""

import base64
import binascii
from typing import Literal

Form = Literal["text", "hex", "base64"]
"""How a message is read as text: as UTF-8, or its bytes as digits of either kind."""


def bytes_of_hex(text: str) -> bytes:
    """Returns the bytes that hexadecimal digits write; raises ValueError.

    Blanks and line breaks may stand between bytes.
    """
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(
            "it is not hexadecimal; write two of the digits 0-9 and a-f for each byte"
        ) from None


def bytes_of_base64(text: str) -> bytes:
    """Returns the bytes that base64 writes (RFC 4648); raises ValueError.

    Blanks and line breaks are passed over.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"it is not base64 ({error}); write A-Z, a-z, 0-9, + and /") from None


def text_of_message(message: str | bytes, form: Form) -> str:
    """Returns a message as text in a form.

    Bytes that are not UTF-8 are replaced in the form `text`, and digits are in lower case.
    """
    if form == "text":
        return message if isinstance(message, str) else message.decode(errors="replace")
    data = message.encode() if isinstance(message, str) else message
    return data.hex() if form == "hex" else base64.b64encode(data).decode()


def length_prefix(length: int, form: str) -> bytes:
    """Returns a length as it stands before a part of a binary message.

    The form is `u8`, `u16` or `u32` (big-endian), `varint` (groups of seven bits, the lowest
    first), or empty: nothing. Raises OverflowError for a length that the form can't hold.
    """
    if not form:
        return b""
    if form != "varint":
        return length.to_bytes(int(form[1:]) // 8, "big")
    groups = bytearray()
    while length > 0x7F:
        groups.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*groups, length])
