"""The routes of a worker to the targets of its job."""

import asyncio
from collections.abc import Iterable
from weakref import WeakValueDictionary

from loadgen.net.connection import Connection
from loadgen.net.dialer import Dialer, Failed, end
from loadgen.net.dialers import Dialers
from loadgen.net.ports import SourcePorts
from loadgen.net.route import AnyDialer, Route
from loadgen.net.tls import Contexts
from loadgen.net.unix import UnixDialer
from loadgen.plan.request import with_origin
from loadgen.stats.recorder import Recorder
from loadgen.timers import Deadlines
from loadgen.wire import Destination, Job, Sources


class Routes:
    """One route per destination.

    Routes to one server share its dialer, and dialers to one address its source ports.
    """

    def __init__(
        self,
        job: Job,
        recorder: Recorder,
        loop: asyncio.AbstractEventLoop,
        closing: Deadlines[Connection],
    ) -> None:
        """`closing` holds the connections that wait for the server to end them."""
        self._recorder = recorder
        self._loop = loop
        self._transport = transport = job.plan.transport
        self._credentials = job.credentials
        self._buffers = transport.receive_buffer, transport.send_buffer
        self._destinations = {to.url: to for to in job.destinations}
        """By URL, with the addresses that they have now."""
        self._ports: WeakValueDictionary[tuple[str, int], SourcePorts] = WeakValueDictionary()
        """Those that a dialer has, by address and port."""
        headers = with_origin(transport.headers.items(), transport.origin)
        dialers: dict[tuple[object, ...], AnyDialer] = {}
        self.all: list[Route] = []
        """In the order of the destinations."""
        for to in job.destinations:
            key = to.addresses, to.port, to.name if to.secure else ""
            if key not in dialers:
                dialers[key] = self._dialer(to)
            own = headers, transport.subprotocols
            self.all.append(Route(to.url, to.host, to.resource, dialers[key], closing, *own))

    def use(self, destinations: Iterable[Destination]) -> None:
        """Connects from now on to the addresses that names have now.

        It is for plans that resolve names again.
        """
        found = {to.url: to for to in destinations}
        self._destinations |= found
        for route in self.all:
            if route.url in found and isinstance(route.dialer, Dialers):
                route.dialer.use(found[route.url].addresses)

    def _dialer(self, to: Destination) -> AnyDialer:
        transport, loop, recorder = self._transport, self._loop, self._recorder
        if to.is_unix:
            return UnixDialer(loop, to.addresses[0], recorder, self._buffers)
        tls = Contexts(transport, self._credentials) if to.secure else None
        asked = transport.tls_server_name
        name = asked if isinstance(asked, str) else to.name if asked else ""

        def make(address: str, failed: Failed = end) -> Dialer:
            place = address, to.port
            ports = self._ports_towards(place)
            return Dialer(loop, place, ports, recorder, tls, name, self._buffers, failed)

        if len(to.ways) == 1 and transport.resolve_every is None:
            return make(to.addresses[0])
        return Dialers(loop, recorder, transport.connect_timeout, make, to.addresses)

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


def _ports(sources: Sources) -> SourcePorts:
    return SourcePorts(
        sources.addresses,
        range(sources.low, sources.high + 1),
        worker=sources.worker,
        workers=sources.workers,
        start=sources.start,
        reserved=frozenset(sources.left_out),
    )
