"""Transports with TLS under the worker's epoll set, in place of uvloop's.

Compared with uvloop's: 22 KiB of memory for each instead of 39, nearly all of it OpenSSL's own.
OpenSSL reads and writes memory, and it empties what it reads before it asks for more: so all
transports towards one address share one pair of memories.
"""

import os
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from loadgen.net.tls import Contexts
from loadgen.net.transport import (
    CHUNK,
    ENDED,
    HIGH_WATER,
    PlainTransport,
    Receiver,
    Transports,
    Unsent,
)
from loadgen.stats.recorder import microseconds
from loadgen.stats.tally import Tally

END_TIMEOUT = 1.0
"""Seconds that a server has to end TCP after TLS. It should be the first to do so: the end that is
the first keeps the pair of address and port for a minute."""
RECORD = 16_384
"""The most bytes of a record, before they are encrypted; RFC 8446 section 5.1."""


class Memories(NamedTuple):
    """The memories between OpenSSL and the kernel; they are empty between two calls."""

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    buffer: memoryview
    """The place of one read. A buffer of its own for each would leave holes between what OpenSSL
    keeps of each connection."""

    @classmethod
    def empty(cls) -> "Memories":
        """Returns two memories without bytes, and a buffer."""
        return cls(ssl.MemoryBIO(), ssl.MemoryBIO(), memoryview(bytearray(CHUNK)))

    def receive(self, fd: int) -> int:
        """Reads encrypted bytes from a descriptor once, and returns their number."""
        size = os.readv(fd, (self.buffer,))
        self.incoming.write(self.buffer[:size])
        return size


class UnsentRecords(Unsent):
    """Encrypted bytes for which the kernel had no room yet, and what they carry."""

    __slots__ = ("_carried",)

    def __init__(self) -> None:
        super().__init__()
        self._carried: deque[tuple[int, int]] = deque()
        """The numbers of the bytes that end what was written at once, and its plain bytes."""

    def carry(self, encrypted: bytes, size: int, *, message: bool) -> None:
        """Adds encrypted bytes that carry a number of plain ones."""
        self.add(encrypted, message=message)
        self._carried.append((self._taken + self.size, size))

    def take(self, size: int, tally: Tally) -> None:
        """Counts the plain bytes and the messages that the kernel has whole."""
        self.advance(size, tally)
        carried = self._carried
        while carried and carried[0][0] <= self._taken:
            tally.bytes_sent += carried.popleft()[1]


class SecureTransport(PlainTransport):
    """One connected socket with TLS; bytes count as they are before it."""

    __slots__ = ("_began", "_memories", "_over", "_secured", "_sessions", "_tls")

    def __init__(
        self,
        transports: Transports,
        fd: int,
        opening: Receiver,
        tls: ssl.SSLObject,
        memories: Memories,
        secured: Callable[[ssl.SSLObject], Receiver],
        sessions: Contexts | None = None,
    ) -> None:
        """`opening` hears of an end before the TLS handshake is over.

        `secured` takes the TLS state once it is, and returns the receiver of the connection. `tls`
        uses the `memories`. `sessions` keep its TLS session, for the next connections to resume.
        """
        super().__init__(transports, fd, opening)
        self._tls = tls
        self._memories = memories
        self._sessions = sessions
        self._secured: Callable[[ssl.SSLObject], Receiver] | None = secured
        """None once the handshake is over."""
        self._began = 0.0
        """The time at which it was; 0: the server has sent something since."""
        self._over = False
        """True once the server has ended TLS: nothing can be sent from then on."""

    def begin(self) -> None:
        """Sends the first message of the handshake."""
        try:
            self._shake()
        except ssl.SSLError as error:
            self._break(error)

    def write(self, data: bytes, message: bool = False) -> bool:
        """Sends what the kernel takes now, and the rest later; nothing after the end.

        With `message` the last byte is the end of a message, as in PlainTransport. Returns True
        when more than HIGH_WATER bytes wait now, as they are after TLS.
        """
        if self._fd == ENDED or self._over:
            self._transports.recorder.tally.messages_unsent += message
            return False
        try:
            left = memoryview(data)
            while left:  # OpenSSL takes a record at a time
                left = left[self._tls.write(left) :]
        except ssl.SSLError as error:
            self._transports.recorder.tally.messages_unsent += message
            self._break(error)
            return False
        return self._send(self._memories.outgoing.read(), len(data), message=message)

    def read(self) -> None:
        """Reads once, and passes the decrypted bytes on."""
        try:
            size = self._memories.receive(self._fd)
        except BlockingIOError:  # an event of the descriptor's former owner, from the same batch
            return
        except OSError as error:
            self._end(error)
            return
        if not size:
            self._end(None)
            return
        try:
            plain = self._decrypt()
        except ssl.SSLError as error:
            self._break(error)
            return
        if plain:
            if self._began:
                self._take_reply()
            self._protocol.data_received(plain)

    def _decrypt(self) -> bytes:
        """Returns the plain bytes of what came.

        Subtle: nothing is passed on before the memory is empty. What a receiver does with bytes may
        begin another connection, which reads the same memory.
        """
        receiver = self._shake() if self._secured is not None else None
        incoming, _, buffer = self._memories
        parts = []
        while incoming.pending and self._secured is None and not self._over:
            try:
                size = self._read_record(buffer)
            except ssl.SSLWantReadError:  # the rest of a record is still to come
                break
            if size:
                parts.append(bytes(buffer[:size]))
            else:
                self._answer_end()
        incoming.read()  # nothing of value: bytes after the end of TLS
        if self._memories.outgoing.pending:  # an answer to this end, or to a new key
            self._send(self._memories.outgoing.read(), 0)
        if receiver is not None:
            receiver.connection_made(self)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_record(self, buffer: memoryview) -> int:
        """Decrypts a record into the buffer; returns its size, 0 at the end of TLS."""
        return self._tls.read(RECORD, buffer)  # type: ignore[return-value]  # a size, with a buffer

    def _answer_end(self) -> None:
        """Ends TLS as the server did; RFC 8446 section 6.1. TCP ends soon after it."""
        self._over = True
        self._tls.unwrap()
        self._transports.loop.call_later(END_TIMEOUT, self._end, None)

    def _shake(self) -> Receiver | None:
        """Goes on with the handshake; returns the receiver once it is over."""
        assert self._secured is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send(self._memories.outgoing.read(), 0)
            return None
        self._send(self._memories.outgoing.read(), 0)
        self._began = monotonic()
        self._protocol = receiver = self._secured(self._tls)
        self._secured = None
        return receiver

    def _break(self, error: ssl.SSLError) -> None:
        """Ends the transport for an error of TLS, after the alert about it."""
        self._memories.incoming.read()
        alert = self._memories.outgoing.read()
        if alert and self._unsent is None:
            with suppress(OSError):  # TCP has ended as well: the error of TLS says why
                os.write(self._fd, alert)
        self._end(error)

    def _cause_of(self, error: OSError) -> OSError:
        """Returns the alert that came before a write failed, or the error of the write."""
        try:
            self._memories.receive(self._fd)
            self._tls.read(RECORD)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as alert:
            error = alert
        except OSError:  # nothing came
            pass
        self._memories.incoming.read()
        return error

    def _take_reply(self) -> None:
        """Times the first bytes of the reply to the upgrade, and keeps the TLS session."""
        tally = self._transports.recorder.tally
        tally.upgrade.record(microseconds(monotonic() - self._began))
        self._began = 0.0
        # Subtle: the server's session tickets made OpenSSL take 16 KiB for an answer that TLS does
        # not have. It gives them back after a write, and one of no bytes sends nothing.
        if not self._over:
            self._tls.write(b"")
        if self._sessions is not None:
            self._sessions.keep_session(self._tls)

    def _send(self, encrypted: bytes, size: int, *, message: bool = False) -> bool:
        """Sends encrypted bytes that carry a number of plain ones; as `write`."""
        tally = self._transports.recorder.tally
        unsent = self._unsent
        if unsent is None:
            try:
                sent = os.write(self._fd, encrypted)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                tally.messages_unsent += message
                self._end(self._cause_of(error))
                return False
            if sent == len(encrypted):
                tally.bytes_sent += size
                tally.messages_sent += message
                return False
            encrypted = encrypted[sent:]
            self._unsent = unsent = UnsentRecords()
            self._transports.watch(self._fd, writable=True)
        assert isinstance(unsent, UnsentRecords)
        unsent.carry(encrypted, size, message=message)
        return unsent.size > HIGH_WATER
