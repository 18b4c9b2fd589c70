"""The routes of a worker to the targets of its job, and to where redirects lead."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from weakref import WeakValueDictionary

from msgspec.structs import replace

from loadgen.net.connection import Connection, Follower
from loadgen.net.dialer import Dialer, Failed, end
from loadgen.net.dialers import Dialers
from loadgen.net.ports import SourcePorts
from loadgen.net.proxy_protocol import header_of
from loadgen.net.redirects import elsewhere
from loadgen.net.route import AnyDialer, Route
from loadgen.net.tls import Contexts
from loadgen.net.tunnel import Tunnel
from loadgen.net.unix import UnixDialer
from loadgen.net.url import is_address
from loadgen.plan.credentials import Credentials
from loadgen.plan.request import Headers, with_origin
from loadgen.stats.recorder import Recorder
from loadgen.timers import Deadlines
from loadgen.wire import Destination, Job, Sources

UNKNOWN = "0.0.0.0"  # noqa: S104 -- it is no place to listen at
"""The target's address in the PROXY protocol, where only a proxy knows it or there is none."""


class Routes:
    """Makes the routes to destinations.

    Routes to one server share its dialer. Dialers to one address, such as a proxy's, share its
    source ports.
    """

    def __init__(
        self,
        job: Job,
        recorder: Recorder,
        loop: asyncio.AbstractEventLoop,
        closing: Deadlines[Connection],
    ) -> None:
        """`closing` holds the connections that wait for the server to end them."""
        self.follow: Callable[..., Follower] | None = None
        """Follows the redirects of the routes made from now on."""
        self._transport = transport = job.plan.transport
        self._recorder = recorder
        self._loop = loop
        self._closing = closing
        self._credentials = job.credentials
        self._proxy = transport.via
        self._headers = with_origin(transport.headers.items(), transport.origin)
        self._buffers = transport.receive_buffer, transport.send_buffer
        self._routes: dict[str, Route] = {}
        """Those to the destinations of the plan, by URL."""
        self._destinations: dict[str, Destination] = {}
        """By URL, with the addresses that they have now."""
        self._dialers: dict[tuple[object, ...], AnyDialer] = {}
        self._ports: WeakValueDictionary[tuple[str, int], SourcePorts] = WeakValueDictionary()
        """Those that a dialer has, by address and port."""

    def to(self, to: Destination) -> Route:
        """Returns the route to a destination of the plan."""
        asked = self._transport.tls_server_name
        name = asked if isinstance(asked, str) else to.name if asked else ""
        route = self._routes[to.url] = self._route(to, self._headers, name, self._credentials)
        return route

    def to_place(self, to: Destination) -> Route:
        """Returns the route to a place that a redirect leads to.

        What the plan says for its own servers alone is not for it: their credentials and
        certificates of clients, their Host and their name in certificates.
        """
        name = to.name if self._transport.tls_server_name else ""
        return self._route(to, elsewhere(self._headers), name, replace(self._credentials, pairs=()))

    def destinations(self) -> Iterable[Destination]:
        """Returns all destinations, with the addresses that they have now."""
        return self._destinations.values()

    def use(self, destinations: Iterable[Destination]) -> None:
        """Connects from now on to the addresses that names have now.

        It is for plans that resolve names again.
        """
        for to in destinations:
            self._destinations[to.url] = to
            dialer = self._routes[to.url].dialer
            if isinstance(dialer, Dialers):
                dialer.use(to.addresses)

    def _route(
        self, to: Destination, headers: Headers, name: str, credentials: Credentials
    ) -> Route:
        own = headers, self._transport.subprotocols, self._transport.offer
        self._destinations.setdefault(to.url, to)
        dialer = self._dialer(to, name, credentials)
        route = Route(to.url, to.host, to.resource, dialer, self._recorder, self._closing, *own)
        route.follow = self.follow
        return route

    def _dialer(self, to: Destination, name: str, credentials: Credentials) -> AnyDialer:
        secured = (name, credentials) if to.secure else None
        key = to.addresses, to.port, to.asked, to.asked_port, secured
        if key not in self._dialers:
            self._dialers[key] = self._new_dialer(to, name, credentials)
        return self._dialers[key]

    def _new_dialer(self, to: Destination, name: str, credentials: Credentials) -> AnyDialer:
        transport, loop, recorder = self._transport, self._loop, self._recorder
        version = transport.proxy_protocol
        if to.is_unix:
            preamble = preamble_of(version, UNKNOWN, to)
            return UnixDialer(loop, to.addresses[0], recorder, self._buffers, preamble)
        tls = Contexts(transport, credentials) if to.secure else None

        def make(address: str, failed: Failed = end) -> Dialer:
            return Dialer(
                loop,
                (address, to.port),
                self._ports_towards((address, to.port)),
                recorder,
                tls,
                name,
                self._buffers,
                Tunnel(loop, self._proxy, to.asked, to.asked_port) if self._proxy else None,
                preamble_of(version, address, to),
                failed,
            )

        if len(to.ways) == 1 and transport.resolve_every is None:
            return make(to.addresses[0])
        return Dialers(loop, transport.connect_timeout, make, to.addresses)

    def _ports_towards(self, place: tuple[str, int]) -> SourcePorts:
        found = self._ports.get(place)
        if found is None:
            found = self._ports[place] = _ports(self._sources_towards(*place))
        return found

    def _sources_towards(self, address: str, port: int) -> Sources:
        return next(
            way.sources
            for to in self._destinations.values()
            for way in to.ways
            if (way.address, to.port) == (address, port)
        )


def preamble_of(version: int, address: str, to: Destination) -> Callable[[int], bytes] | None:
    """Returns the header of the PROXY protocol by a user's number; None without one.

    It is for the target's own address, which is not known where a proxy resolves it; `address` is
    the one that is dialed.
    """
    if not version:
        return None
    if not to.asked:
        return partial(header_of, version, address, to.port)
    own = to.asked if is_address(to.asked) else UNKNOWN
    return partial(header_of, version, own, to.asked_port)


def _ports(sources: Sources) -> SourcePorts:
    return SourcePorts(
        sources.addresses,
        range(sources.low, sources.high + 1),
        worker=sources.worker,
        workers=sources.workers,
        start=sources.start,
        reserved=frozenset(sources.left_out),
    )
