"""The targets of a plan as this machine resolves them."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from loadgen.errors import PlanError
from loadgen.machine.addresses import check_socket, source_for
from loadgen.net.allowed import AllowedTargets
from loadgen.net.url import TargetUrl, resolve
from loadgen.plan.proxy import ProxyUrl
from loadgen.plan.secrets import shown_url
from loadgen.wire import Destination, Sources, Way

Resolver = Callable[[str, int, str], tuple[str, ...]]
"""Returns the addresses of a host, for a port; the text says what it is of."""


class ReachedAddress(msgspec.Struct, frozen=True):
    """One address of a target, and the addresses of this machine for it."""

    address: str
    """An IP address, or the path of a Unix socket."""
    sources: tuple[str, ...]


class ResolvedTarget(msgspec.Struct, frozen=True):
    """A URL of the plan with the addresses at both ends of its connections."""

    url: str
    parts: TargetUrl
    reached: tuple[ReachedAddress, ...]
    """The addresses that are dialed; those of the proxy, if there is one on the way."""
    notes: tuple[str, ...] = ()
    """Notes on the addresses that are left out."""
    proxy: ProxyUrl | None = None
    """The proxy on the way to it, if any."""
    beyond: str = ""
    """The IP address that the proxy is asked for; empty where it resolves the name."""

    @classmethod
    def find(
        cls,
        url: str,
        sources: Sequence[str],
        proxy: ProxyUrl | None = None,
        addresses_of: Resolver = resolve,
    ) -> "ResolvedTarget":
        """Resolves the host of a URL; without sources the kernel chooses one.

        Addresses that no route leads to are left out. Raises PlanError when the URL is malformed,
        when its host has no address, when no route leads to any of them, and when there is no Unix
        socket at its path.
        """
        parts = TargetUrl.parse(url)
        if parts.path:  # no proxy leads there
            check_socket(parts.path)
            return cls(url, parts, (ReachedAddress(parts.path, ()),))
        if proxy is None:
            found = addresses_of(parts.host, parts.port, "target")
            reached, notes = _reach(f"target {shown_url(url)}", parts.host, found, sources)
            return cls(url, parts, reached, notes)
        found = addresses_of(proxy.host, proxy.port, "proxy")
        reached, notes = _reach(f"proxy {proxy.shown}", proxy.host, found, sources)
        beyond = parts.address
        if not proxy.resolves:
            beyond = addresses_of(parts.host, parts.port, "target")[0]
        return cls(url, parts, reached, notes, proxy, beyond)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that are dialed, in their order."""
        return tuple(one.address for one in self.reached)

    @property
    def dialed(self) -> str:
        """The host that they are the addresses of."""
        return self.parts.host if self.proxy is None else self.proxy.host

    @property
    def is_unix(self) -> bool:
        """True for a Unix socket, which takes no source ports."""
        return bool(self.parts.path)

    def refusal(self, allowed_targets: AllowedTargets) -> str:
        """Returns why this agent does not load it, with the fix; "" when it does.

        One address that is not allowed refuses all of them.
        """
        if self.is_unix:
            return allowed_targets.path_refusal(self.parts.path)
        host, proxy = self.parts.host, self.proxy
        if proxy is None:
            refusals = [allowed_targets.refusal(host, one) for one in self.addresses]
        else:
            refusals = [allowed_targets.proxy_refusal(proxy.host, one) for one in self.addresses]
            refusals.append(allowed_targets.refusal_beyond(host, self.beyond))
        return next(filter(None, refusals), "")

    def destination(self, sources_from: Callable[[tuple[str, ...]], Sources]) -> Destination:
        """Returns what a worker has to know of it.

        `sources_from` returns the pairs that begin at some addresses of this machine.
        """
        parts, proxy = self.parts, self.proxy
        return Destination(
            url=self.url,
            ways=tuple(Way(one.address, sources_from(one.sources)) for one in self.reached),
            port=parts.port if proxy is None else proxy.port,
            name=parts.host,
            host=parts.host_header,
            resource=parts.resource,
            secure=parts.secure,
            asked="" if proxy is None else self.beyond or parts.host,
            asked_port=0 if proxy is None else parts.port,
        )


def _reach(
    what: str, host: str, addresses: Sequence[str], sources: Sequence[str]
) -> tuple[tuple[ReachedAddress, ...], tuple[str, ...]]:
    """Returns the addresses that a route leads to, and notes on the others.

    Raises PlanError when there is none; `what` has the host.
    """
    reached, notes = [], []
    for address in addresses:
        fitting = tuple(source for source in sources if (":" in source) == (":" in address))
        try:
            if fitting or not sources:
                reached.append(ReachedAddress(address, fitting or (source_for(address),)))
        except PlanError as error:
            if len(addresses) == 1:
                raise
            notes.append(f"leaves out {address} of {host}: {error}")
    if not reached:
        raise PlanError(
            notes[-1]
            if notes
            else f"{what} is {' and '.join(addresses)}: none of the agent's --source addresses is"
            " of that family; add one"
        )
    return tuple(reached), tuple(notes)


def ways_of(targets: Iterable[ResolvedTarget]) -> int:
    """Returns the pairs of a source and a target address of the worst target.

    That is the one with the fewest; each pair has all source ports. 0: no target takes any.
    """
    counts = (
        sum(len(one.sources) for one in target.reached) for target in targets if not target.is_unix
    )
    return min(counts, default=0)
