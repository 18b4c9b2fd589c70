"""The way from a worker to one of the plan's targets."""

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from loadgen.net.connection import Follower, Terms, Wrap
from loadgen.net.dialer import Dialer
from loadgen.net.dialers import Dialers
from loadgen.net.handshake import Handshake
from loadgen.net.unix import UnixDialer
from loadgen.plan.compress import Compress
from loadgen.plan.request import Headers
from loadgen.plan.template import Template
from loadgen.stats.recorder import Recorder
from loadgen.timers import Deadlines

AnyDialer = Dialer | Dialers | UnixDialer
"""Of one address, of all addresses of a name, or of a Unix socket."""
MAX_KEPT = 256
"""Prepared requests kept; sessions with more different ones pay for each request anew."""


class Route:
    """A dialer, and the terms of connections, prepared once per kind of request."""

    def __init__(
        self,
        url: str,
        host: str,
        resource: str,
        dialer: AnyDialer,
        recorder: Recorder,
        closing: Deadlines[Any],
        headers: Headers = (),
        subprotocols: tuple[str, ...] = (),
        compress: Compress | None = None,
    ) -> None:
        """`closing` holds the worker's connections that wait for the server to end them."""
        self.url = url
        self.dialer = dialer
        self.recorder = recorder
        """Counts its connections."""
        self._host = host
        self._resource = resource
        self._closing = closing
        self._headers = headers
        self._subprotocols = subprotocols
        self._compress = compress
        self._terms: dict[tuple[object, ...], Terms] = {}
        self._variable = (
            Template(resource),
            {name: template for name, value in headers if (template := Template(value)).names},
        )
        """The parts of the request that have variables, as templates."""
        self.follow: Callable[..., Follower] | None = None
        """Makes what follows the redirects of connections of one kind, from the same arguments as
        `terms` and this route before them; None: redirects are refusals."""

    def counted_by(self, recorder: Recorder) -> "Route":
        """Returns the same route, with another recorder for its connections."""
        route = copy(self)
        route.recorder = recorder
        return route

    def filled(self, row: Mapping[str, Any]) -> "Route":
        """Returns the route with a user's values in its resource and headers."""
        resource, headers = self._variable
        if not (resource.names or headers):
            return self
        route = copy(self)
        route._resource = resource.fill(row)
        route._headers = tuple(
            (name, headers[name].fill(row) if name in headers else value)
            for name, value in self._headers
        )
        route._terms = {}
        return route

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
                self._compress,
            )
            found = self._terms[key] = Terms(handshake, think, self._closing, wrap)
            if self.follow is not None:
                found.follower = self.follow(self, *key)
        return found
