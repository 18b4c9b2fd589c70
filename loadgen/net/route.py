"""The way from a worker to one of the plan's targets."""

from collections.abc import Callable
from typing import Any

from loadgen.net.connection import Follower, Terms, Wrap
from loadgen.net.dialer import Dialer
from loadgen.net.handshake import Handshake
from loadgen.plan.request import Headers
from loadgen.timers import Deadlines

MAX_KEPT = 256
"""Prepared requests kept; sessions with more different ones pay for each request anew."""


class Route:
    """A dialer, and the terms of connections, prepared once per kind of request."""

    def __init__(
        self,
        url: str,
        host: str,
        resource: str,
        dialer: Dialer,
        closing: Deadlines[Any],
        headers: Headers = (),
        subprotocols: tuple[str, ...] = (),
    ) -> None:
        """`closing` holds the worker's connections that wait for the server to end them."""
        self.url = url
        self.dialer = dialer
        self._host = host
        self._resource = resource
        self._closing = closing
        self._headers = headers
        self._subprotocols = subprotocols
        self._terms: dict[tuple[object, ...], Terms] = {}
        self.follow: Callable[..., Follower] | None = None
        """Makes what follows the redirects of connections of one kind, from the same arguments as
        `terms` and this route before them; None: redirects are refusals."""

    def terms(
        self,
        think: float = 0.0,
        resource: str = "",
        headers: Headers = (),
        wrap: Wrap | None = None,
        subprotocols: tuple[str, ...] = (),
        redirects: int = 0,
    ) -> Terms:
        """Returns the terms of connections of one kind, that many redirects away.

        `think` is the seconds between two pings; `resource` is the path and query, empty for the
        target's own. A header replaces the target's own of the same name, and subprotocols replace
        the target's own. Raises RequestError when the request can't be sent.
        """
        key = think, resource, headers, wrap, subprotocols, redirects
        found = self._terms.get(key)
        if found is None:
            if len(self._terms) >= MAX_KEPT:
                self._terms.clear()
            own = {name.lower() for name, _ in headers}
            kept = tuple(pair for pair in self._headers if pair[0].lower() not in own)
            handshake = Handshake(
                self._host,
                resource or self._resource,
                kept + headers,
                subprotocols or self._subprotocols,
            )
            found = self._terms[key] = Terms(handshake, think, self._closing, wrap)
            if self.follow is not None:
                found.follower = self.follow(self, *key)
        return found
