"""Messages of permessage-deflate through zlib (RFC 7692 section 7).

A message is deflated into blocks that end on a byte; the last four bytes are always the same, and
are not sent. With context takeover a message may refer to those before it.
"""

import sys
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from loadgen.net.frames import BINARY, TEXT, Event, Parser
from loadgen.plan.compress import PERMESSAGE_DEFLATE
from loadgen.stats.recorder import Recorder

RSV1 = 0x40
"""The bit of a message's first frame that says it is compressed."""
MAX_INFLATED_BYTES = 16 * 2**20
"""The longest message, in bytes, that is inflated; a longer one closes the connection (RFC 6455
section 7.4.1, code 1009). A thousandth of it may be enough on the wire."""
_END = b"\0\0\xff\xff"
"""The end of each message, which is not sent (RFC 7692 section 7.2.1)."""


class Agreement:
    """The parameters of permessage-deflate that both sides agreed on.

    One server chooses the same for most connections of a worker; they share it.
    """

    __slots__ = (
        "_shared",
        "client_bits",
        "client_takeover",
        "level",
        "server_bits",
        "server_takeover",
    )

    def __init__(
        self,
        *,
        server_takeover: bool = True,
        client_takeover: bool = True,
        server_bits: int = 15,
        client_bits: int = 15,
        level: int = 6,
    ) -> None:
        """The bits are those of each side's window, of 2^bits bytes."""
        self.server_takeover = server_takeover
        self.client_takeover = client_takeover
        self.server_bits = server_bits
        self.client_bits = client_bits
        self.level = level
        self._shared: Any = None

    def __str__(self) -> str:
        """Returns it as in the server's header, without what is the default."""
        parts = {
            PERMESSAGE_DEFLATE: True,
            "server_no_context_takeover": not self.server_takeover,
            "client_no_context_takeover": not self.client_takeover,
            f"server_max_window_bits={self.server_bits}": self.server_bits < 15,
            f"client_max_window_bits={self.client_bits}": self.client_bits < 15,
        }
        return "; ".join(text for text, applies in parts.items() if applies)

    def deflater(self) -> Any:
        """Returns a zlib object for a connection's messages.

        Without context takeover all connections of the worker share one.
        """
        if self.client_takeover:
            return self._new_deflater()
        if self._shared is None:
            self._shared = self._new_deflater()
        return self._shared

    def _new_deflater(self) -> Any:
        # zlib takes 2^(bits+2) bytes and 2^(memory+9): 256 KiB for 15 and 8, its own default. A
        # smaller window needs no larger table.
        memory = max(1, min(8, self.client_bits - 7))
        return zlib.compressobj(self.level, zlib.DEFLATED, -self.client_bits, memory)

    def deflated(self, deflater: Any, parts: Sequence[bytes]) -> list[bytes]:
        """Returns the parts of one message, deflated.

        Subtle: after a full flush the next message can refer to nothing before it, so that a shared
        deflater gives each connection messages that stand alone (zlib.h, deflate).
        """
        mode = zlib.Z_SYNC_FLUSH if self.client_takeover else zlib.Z_FULL_FLUSH
        last = len(parts) - 1
        found = []
        for at, part in enumerate(parts):
            data = deflater.compress(part)
            found.append(data + deflater.flush(mode if at == last else zlib.Z_SYNC_FLUSH))
        found[-1] = found[-1][: -len(_END)]
        return found


class Inflater:
    """Inflates the messages of one connection; zlib's memory is taken at the first."""

    __slots__ = ("_agreement", "_stream")

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self._stream: Any = None

    def feed(self, data: bytes, most: int) -> bytes:
        """Returns what the next bytes of a message inflate to: at most `most` bytes.

        `most` is above 0. After that many bytes the rest is lost. Raises zlib.error.
        """
        if self._stream is None:
            self._stream = self._new_stream()
        found: bytes = self._stream.decompress(data, most)
        while self._stream.eof and self._stream.unused_data and len(found) < most:
            # A block may say that it is the last one, and yet others follow (section 7.2.3.4).
            rest = self._stream.unused_data
            self._stream = self._new_stream()
            found += self._stream.decompress(rest, most - len(found))
        return found

    def end(self, most: int) -> bytes:
        """Returns what was held back of a message, and ends it. Raises zlib.error."""
        found = self.feed(_END, most)
        if not self._agreement.server_takeover or self._stream.eof:
            self._stream = None
        return found

    def _new_stream(self) -> Any:
        return zlib.decompressobj(-self._agreement.server_bits)


class DeflateParser(Parser):
    """Parses a server's frames where permessage-deflate is agreed.

    A compressed message is inflated as it comes, and then kept and checked as any other. Without an
    inflater it is counted alone: it has the size that it has on the wire, and no payload. A message
    that can't be inflated is a FAULT, and so is one that becomes too long.
    """

    __slots__ = ("_compressed", "_inflater", "_recorder")

    def __init__(
        self,
        keep: int,
        inflater: Inflater | None,
        recorder: Recorder,
        limit: int = sys.maxsize,
    ) -> None:
        super().__init__(keep, limit)
        self._inflater = inflater
        self._recorder = recorder
        self._compressed = False
        """True while a message that is compressed is under way."""

    def _wrong(self, first: int, second: int) -> str | None:
        begins = first & 0x0F in (TEXT, BINARY)
        wrong = super()._wrong(first & ~RSV1 if begins else first, second)
        if begins and wrong is None:
            self._compressed = bool(first & RSV1)
        return wrong

    def _begin(self, opcode: int, final: bool, length: int) -> None:
        super()._begin(opcode, final, length)
        if self._compressed and self._inflater is None:
            self._decode = None

    def _payload(self, data: bytes, at: int, events: list[Event]) -> int | None:
        if not self._compressed:
            return super()._payload(data, at, events)
        chunk = data[at : at + self._need]
        if not chunk:
            return None
        self._need -= len(chunk)
        if self._inflater is None:
            self._size += len(chunk)
        elif not self._inflate(partial(self._inflater.feed, chunk), events):
            return 0
        at += len(chunk)
        return at if self._need else self._end(at, events)

    def _inflate(self, inflate: Callable[[int], bytes], events: list[Event]) -> bool:
        """Adds what an Inflater returns to the message; False after a FAULT."""
        room = MAX_INFLATED_BYTES - self._size
        try:
            chunk = inflate(room + 1)
        except zlib.error as error:
            self._fail(events, f"a message that can't be inflated ({error})", 1007)
            return False
        if len(chunk) > room:
            what = f"a message that inflates to more than {MAX_INFLATED_BYTES} bytes"
            self._fail(events, what, 1009)
            return False
        self._size += len(chunk)
        self._kept += chunk[: max(0, self.keep - len(self._kept))]
        if self._decode is not None and not self._valid(chunk, final=False):
            self._fail(events, "text that is not UTF-8", 1007)
            return False
        return True

    def _end(self, at: int, events: list[Event]) -> int | None:
        if self._final and self._compressed:
            if self._inflater is not None and not self._inflate(self._inflater.end, events):
                return 0
            self._recorder.tally.messages_compressed += 1
        return super()._end(at, events)
