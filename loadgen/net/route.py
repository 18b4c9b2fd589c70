"""One of the plan's targets as a worker reaches it: who dials it, and what connections to it ask
for."""

from collections.abc import Iterable, Sequence

from loadgen.net.connection import Terms, Wrap
from loadgen.net.dialer import Dialer
from loadgen.net.handshake import Handshake

MAX_KEPT = 256
"""Prepared requests kept; sessions that ask for more different ones pay for each anew."""


def headers_of(
    headers: Iterable[tuple[str, str]], origin: str, subprotocols: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Headers of a request, with those two that have a name of their own."""
    found = tuple(headers)
    if origin:
        found += (("Origin", origin),)
    if subprotocols:
        found += (("Sec-WebSocket-Protocol", ", ".join(subprotocols)),)
    return found


class Route:
    """A dialer, and the terms of connections to its target, prepared once for each kind of
    request."""

    def __init__(
        self,
        url: str,
        host: str,
        resource: str,
        dialer: Dialer,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.url = url
        self.dialer = dialer
        self._host = host
        self._resource = resource
        self._headers = headers
        self._terms: dict[tuple[object, ...], Terms] = {}

    def terms(
        self,
        think: float = 0.0,
        resource: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        wrap: Wrap | None = None,
    ) -> Terms:
        """For connections with this think time, this path and query (empty: the target's), these
        headers besides."""
        key = think, resource, headers, wrap
        found = self._terms.get(key)
        if found is None:
            if len(self._terms) >= MAX_KEPT:
                self._terms.clear()
            own = {name.lower() for name, _ in headers}
            kept = tuple(pair for pair in self._headers if pair[0].lower() not in own)
            handshake = Handshake(self._host, resource or self._resource, kept + headers)
            found = self._terms[key] = Terms(handshake, think, wrap)
        return found
