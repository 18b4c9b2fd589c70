"""A fuzzing server: it plays Autobahn's cases, one each user, and judges.

`python -m tests.conformance.fuzzer GROUPS [CERTIFICATE]` listens on a free port of 127.0.0.1, which
it prints, plays each case of the groups (`1,2,3`) once, prints its verdict as a line of JSON, and
ends after the last one. With the PEM file of a certificate and its key it speaks TLS. The
resources are Autobahn's: `/runCase?case=1&agent=loadgen` asks for the first case.
"""

import asyncio
import base64
import hashlib
import json
import re
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence

from tests.conformance import compressed, fuzzed, utf8
from tests.conformance.case import Case, Deflate
from tests.conformance.deflating import MAX_WINDOW_BITS, Deflater, Inflater, offers
from tests.conformance.peer import Peer
from tests.conformance.verdict import SKIPPED, Verdict, judge

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""
LIMIT = 1 << 26
"""Bytes that asyncio may hold of a connection."""

GROUPS: dict[int, Callable[[], Iterator[Case]]] = {
    1: fuzzed.framing,
    2: fuzzed.pings,
    3: fuzzed.reserved_bits,
    4: fuzzed.opcodes,
    5: fuzzed.fragmentation,
    6: utf8.utf8,
    7: fuzzed.closes,
    9: fuzzed.limits,
    10: fuzzed.automatic_fragments,
    12: compressed.kinds_of_data,
    13: compressed.parameters,
    14: compressed.by_the_standard,
}


def cases_of(groups: Sequence[int]) -> list[Case]:
    """Returns all cases of some groups."""
    return [case for group in groups for case in GROUPS[group]()]


class Fuzzer:
    """The cases, and the connections that play them."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = cases
        self._left = len(cases)
        self.done = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        found = re.match(r"GET /runCase\?case=(\d+)&", head)
        assert found, head
        case = self._cases[int(found[1]) - 1]
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
        }
        verdict = await self._played(case, headers, reader, writer)
        print(json.dumps(verdict), flush=True)
        self._left -= 1
        if not self._left:
            self.done.set()

    async def _played(
        self,
        case: Case,
        headers: dict[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> Verdict:
        digest = hashlib.sha1(headers["sec-websocket-key"].encode() + GUID).digest()
        reply = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
        ]
        deflater = inflater = None
        if case.deflate:
            agreed = negotiated(case.deflate, headers.get("sec-websocket-extensions", ""))
            if isinstance(agreed, str):
                writer.close()
                return Verdict(case.name, SKIPPED, "", agreed)
            parameters, deflater, inflater = agreed
            reply.append(f"Sec-WebSocket-Extensions: {'; '.join(parameters)}")
        writer.write("\r\n".join([*reply, "", ""]).encode())
        peer = Peer(reader, writer, deflater, inflater)
        await peer.play(case)
        return judge(case, peer)


def negotiated(
    answers: Sequence[Deflate], header: str
) -> tuple[list[str], Deflater, Inflater] | str:
    """Returns the extension of the reply with both its ends, or why there is none.

    A window may be asked for only where the client offers it (RFC 7692, section 7.1.2.2).
    """
    found = offers(header)
    if not found:
        return "the client offers no permessage-deflate"
    for answer in answers:
        for offer in found:
            if not answer.window_bits or "client_max_window_bits" in offer:
                return _agreed(answer, offer)
    return "the client offers no client_max_window_bits"


def _agreed(answer: Deflate, offer: dict[str, str]) -> tuple[list[str], Deflater, Inflater]:
    parameters = ["permessage-deflate"]
    server_bits = int(offer.get("server_max_window_bits") or MAX_WINDOW_BITS)
    if "server_max_window_bits" in offer:
        parameters.append(f"server_max_window_bits={server_bits}")
    if server_alone := "server_no_context_takeover" in offer:
        parameters.append("server_no_context_takeover")
    if client_alone := answer.no_takeover or "client_no_context_takeover" in offer:
        parameters.append("client_no_context_takeover")
    client_bits = answer.window_bits or MAX_WINDOW_BITS
    if hint := offer.get("client_max_window_bits"):
        client_bits = min(client_bits, int(hint))
    if client_bits != MAX_WINDOW_BITS or answer.window_bits:
        parameters.append(f"client_max_window_bits={client_bits}")
    return (
        parameters,
        Deflater(server_bits, takeover=not server_alone),
        Inflater(client_bits, takeover=not client_alone),
    )


async def main(groups: str, certificate: str = "") -> None:
    """Plays all cases."""
    fuzzer = Fuzzer(cases_of([int(group) for group in groups.split(",")]))
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await asyncio.start_server(
        fuzzer.serve, "127.0.0.1", 0, limit=LIMIT, backlog=4096, ssl=context
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await fuzzer.done.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
