"""permessage-deflate (RFC 7692) as the fuzzing server speaks it."""

import zlib

TAIL = b"\x00\x00\xff\xff"
"""The end of a flushed block, which is not sent; section 7.2.1."""
MAX_WINDOW_BITS = 15


class Deflater:
    """Compresses the server's messages."""

    def __init__(self, window_bits: int, *, takeover: bool) -> None:
        self._window_bits = window_bits
        self._takeover = takeover
        self._context = self._new()

    def _new(self) -> "zlib._Compress":
        return zlib.compressobj(wbits=-self._window_bits)

    def deflated(self, message: bytes) -> bytes:
        """Returns the payload of a message."""
        if not self._takeover:
            self._context = self._new()
        data = self._context.compress(message) + self._context.flush(zlib.Z_SYNC_FLUSH)
        return data.removesuffix(TAIL)


class Inflater:
    """Reads the client's messages; a wider window or context than agreed fails."""

    def __init__(self, window_bits: int, *, takeover: bool) -> None:
        self._window_bits = window_bits
        self._takeover = takeover
        self._context = self._new()

    def _new(self) -> "zlib._Decompress":
        return zlib.decompressobj(-self._window_bits)

    def inflated(self, payload: bytes) -> bytes:
        """Returns the message.

        Raises zlib.error.
        """
        if not self._takeover:
            self._context = self._new()
        return self._context.decompress(payload + TAIL)


def offers(header: str) -> list[dict[str, str]]:
    """Returns the parameters of each offer of permessage-deflate in a header."""
    found = []
    for offer in header.split(","):
        name, *parameters = (word.strip() for word in offer.split(";"))
        if name == "permessage-deflate":
            pairs = (parameter.partition("=") for parameter in parameters)
            found.append({key.strip(): value.strip(' "') for key, _, value in pairs})
    return found
