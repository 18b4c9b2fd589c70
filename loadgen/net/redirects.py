"""Follows the redirects of handshakes.

No browser does so for a WebSocket, so it is done only where the plan says so. The rules are curl's:
301, 302, 303, 307 and 308 with a Location, a few in a row, and credentials stay with the server
that they were written for.

A redirect within a server changes the resource alone. One to another place, by its scheme, host or
port, waits until the agent has resolved and allowed it, once for each place and worker.
"""

from collections.abc import Callable
from time import monotonic
from urllib.parse import urldefrag, urljoin

from loadgen.errors import PlanError
from loadgen.net.connection import Connection, Wrap
from loadgen.net.connections import Connections
from loadgen.net.handshake import Reply
from loadgen.net.refusal import header
from loadgen.net.route import Route
from loadgen.net.states import FAILED
from loadgen.net.url import TargetUrl
from loadgen.plan.request import Headers
from loadgen.stats.reasons import HTTP, REDIRECT_REFUSED
from loadgen.wire import Destination, Place

MAX_REDIRECTS = 5
"""Redirects that one connection follows in a row."""
MAX_PLACES = 64
"""Places that the redirects of a worker may lead to; each takes sockets of the worker's own."""
STATUSES = frozenset(f"{HTTP}{status}" for status in (301, 302, 303, 307, 308))
_FOR_ONE_PLACE = ("authorization", "cookie", "host", "proxy-authorization")
"""Headers that another place does not get."""


def next_url(url: str, head: bytes) -> str:
    """Returns the URL that the reply to a request of `url` redirects to.

    http:// stands for ws://, and https:// for wss://. Raises PlanError where there is none to go
    to.
    """
    location = header(head, b"location")
    if not location:
        raise PlanError("it has no Location")
    try:
        found = urldefrag(urljoin(url, location)).url
    except ValueError as error:  # a host in brackets that is no address
        raise PlanError(f"its Location is no URL ({error})") from error
    scheme, _, rest = found.partition("://")
    found = f"{ {'http': 'ws', 'https': 'wss'}.get(scheme, scheme) }://{rest}"
    if TargetUrl.parse(found).path:  # no server may choose a socket on the agent's machine
        raise PlanError("its Location is a Unix socket")
    return found


def elsewhere(headers: Headers) -> Headers:
    """Returns the headers that another place gets, too."""
    return tuple(pair for pair in headers if pair[0].lower() not in _FOR_ONE_PLACE)


class Leg:
    """One kind of request of a route, and how many redirects led to it."""

    def __init__(
        self,
        redirects: "Redirects",
        route: Route,
        think: float,
        resource: str,
        headers: Headers,
        wrap: Wrap | None,
        subprotocols: tuple[str, ...],
        followed: int,
    ) -> None:
        """`followed` is the number of redirects so far; the rest is as in Route.terms."""
        self._redirects = redirects
        self.route = route
        self.think = think
        self.headers = headers
        self.wrap = wrap
        self.subprotocols = subprotocols
        self.followed = followed
        self.url = urljoin(route.url, resource) if resource else route.url
        """The URL that is asked for."""

    def refusal(self, reply: Reply) -> str:
        """Returns why a redirect is not followed; "" when it is."""
        if self.followed >= MAX_REDIRECTS:
            return f"only {MAX_REDIRECTS} redirects in a row are followed"
        try:
            next_url(self.url, reply.head)
        except PlanError as error:
            return f"this redirect can't be followed: {error}"
        return ""

    def take(self, connection: Connection, reply: Reply) -> bool:
        """Returns True for a redirect that is followed; then the connection leaves."""
        if reply.failure not in STATUSES or self.refusal(reply):
            return False
        self._redirects.leave(connection, next_url(self.url, reply.head))
        return True

    def go_on(self, connection: Connection) -> bool:
        """Returns True for a connection that left, and goes to where the redirect leads."""
        return self._redirects.go_on(connection, self)


class Redirects:
    """The connections of a worker that are on their way to another place or resource."""

    def __init__(
        self,
        connections: Connections,
        want: Callable[[str], None],
        route_to: Callable[[Destination], Route],
    ) -> None:
        """`want` asks the agent for a place, which comes to `found`.

        `route_to` makes the route there.
        """
        self._connections = connections
        self._want = want
        self._route_to = route_to
        self._leaving: dict[Connection, str] = {}
        """The URL that a connection goes to as soon as its transport has ended."""
        self._places: dict[str, Route | str] = {}
        """The routes by the URL of their place, or why there is none."""
        self._waiting: dict[str, list[tuple[Connection, Leg, str]]] = {}
        """The connections that wait for a place."""

    def leave(self, connection: Connection, url: str) -> None:
        """Ends the transport of a connection, which then goes to a URL."""
        self._leaving.setdefault(connection, url)
        connection.abort()

    def go_on(self, connection: Connection, leg: Leg) -> bool:
        """Returns True for a connection that left, whose transport has ended now.

        It is dialed again, unless it had to end meanwhile.
        """
        url = self._leaving.pop(connection, None)
        if url is None or connection.reason is not None:
            return False
        connection.forget_transport()
        to, now_at = TargetUrl.parse(url), TargetUrl.parse(leg.route.url)
        if to.place == now_at.place:
            self._dial(connection, leg, leg.route, to.resource, leg.headers)
            return True
        place = to.place
        if place not in self._places and len(self._places) + len(self._waiting) >= MAX_PLACES:
            self._places[place] = f"has followed redirects to {MAX_PLACES} places already"
        if place in self._places:
            self._go(connection, leg, url, self._places[place])
        else:
            waiting = self._waiting.setdefault(place, [])
            waiting.append((connection, leg, url))
            if len(waiting) == 1:
                self._want(place)
        return True

    def found(self, place: Place) -> None:
        """Takes a place from the agent, and dials the connections that wait for it."""
        to = place.destination
        route = place.refusal if to is None else self._route_to(to)
        if isinstance(route, Route):
            self._connections.use(route.dialer)
        self._places[place.url] = route
        for connection, leg, url in self._waiting.pop(place.url, ()):
            if connection.state != FAILED:
                self._go(connection, leg, url, route)

    def _go(self, connection: Connection, leg: Leg, url: str, route: Route | str) -> None:
        if isinstance(route, Route):
            headers = elsewhere(leg.headers)
            self._dial(connection, leg, route, TargetUrl.parse(url).resource, headers)
            return
        why = f"{leg.url} redirects to {url}, and the agent {route}\n"
        connection.recorder.sample(REDIRECT_REFUSED, connection.owner.number, why)
        connection.end(REDIRECT_REFUSED)

    def _dial(
        self, connection: Connection, leg: Leg, route: Route, resource: str, headers: Headers
    ) -> None:
        connection.terms = route.terms(
            leg.think, resource, headers, leg.wrap, leg.subprotocols, leg.followed + 1
        )
        self._connections.redial(connection, route.dialer, monotonic())
