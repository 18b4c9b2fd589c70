"""The targets of a plan as this machine resolves them, and the allowed ones."""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

from loadgen.errors import PlanError
from loadgen.machine.addresses import check_socket, source_for
from loadgen.net.url import TargetUrl, resolve
from loadgen.wire import Destination, Sources, Way

Resolver = Callable[[str, int], tuple[str, ...]]
"""Returns the addresses of a host, for a port."""


class AllowedTargets:
    """The networks, host names and paths of Unix sockets of `--allow-target`.

    A name is compared with the host as the target's URL writes it, and so is a path.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._hosts: set[str] = set()
        self._paths: set[str] = set()
        for text in allowed:
            self._add(text.strip())

    def _add(self, text: str) -> None:
        try:
            self._networks.append(ip_network(text, strict=False))
        except ValueError:
            if text.startswith("/"):
                self._paths.add(text)
                return
            if "/" in text or not text:
                raise PlanError(
                    f"--allow-target {text!r} is neither a network nor a host name nor the path of"
                    " a Unix socket; write for example 10.0.0.0/8"
                ) from None
            self._hosts.add(text.lower())

    def path_refusal(self, path: str) -> str:
        """Returns why this Unix socket may not be loaded, with the fix; "" when it may.

        No path is allowed as loopback is: services such as a container engine obey everybody
        who can open their socket.
        """
        if path in self._paths:
            return ""
        return f"refuses the Unix socket {path}: start the agent with --allow-target {path}"

    def refusal(self, host: str, address: str) -> str:
        """Returns why this target may not be loaded, with the fix; "" when it may."""
        ip = _plain(address)
        if (
            ip.is_loopback
            or host.lower() in self._hosts
            or any(ip in network for network in self._networks)
        ):
            return ""
        shown = host if host == address else f"{host} ({address})"
        return f"refuses target {shown}: start the agent with --allow-target {host}"


def _plain(address: str) -> IPv4Address | IPv6Address:
    """Returns an address, as IPv4 where IPv6 only wraps it.

    ::ffff:10.0.0.1 is 10.0.0.1.
    """
    ip = ip_address(address)
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


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
    notes: tuple[str, ...] = ()
    """What is to be said about addresses that are left out."""

    @classmethod
    def find(
        cls, url: str, sources: Sequence[str], addresses_of: Resolver = resolve
    ) -> "ResolvedTarget":
        """Resolves the host of a URL; without sources the kernel chooses one.

        Addresses that no route leads to are left out. Raises PlanError when the URL is malformed,
        when its host has no address, when no route leads to any of them, and when there is no Unix
        socket at its path.
        """
        parts = TargetUrl.parse(url)
        if parts.path:
            check_socket(parts.path)
            return cls(url, parts, (ReachedAddress(parts.path, ()),))
        addresses = addresses_of(parts.host, parts.port)
        reached, notes = [], []
        for address in addresses:
            fitting = tuple(source for source in sources if (":" in source) == (":" in address))
            try:
                if fitting or not sources:
                    reached.append(ReachedAddress(address, fitting or (source_for(address),)))
            except PlanError as error:
                if len(addresses) == 1:
                    raise
                notes.append(f"leaves out {address} of {parts.host}: {error}")
        if not reached:
            raise PlanError(
                notes[-1]
                if notes
                else f"target {url} is {' and '.join(addresses)}: none of the agent's --source"
                " addresses is of that family; add one"
            )
        return cls(url, parts, tuple(reached), tuple(notes))

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that are loaded, in their order."""
        return tuple(one.address for one in self.reached)

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
        refusals = (allowed_targets.refusal(self.parts.host, one) for one in self.addresses)
        return next(filter(None, refusals), "")

    def destination(self, sources_from: Callable[[tuple[str, ...]], Sources]) -> Destination:
        """Returns what a worker has to know of it.

        `sources_from` returns the pairs that begin at some addresses of this machine.
        """
        parts = self.parts
        return Destination(
            url=self.url,
            ways=tuple(Way(one.address, sources_from(one.sources)) for one in self.reached),
            port=parts.port,
            name=parts.host,
            host=parts.host_header,
            resource=parts.resource,
            secure=parts.secure,
        )


def ways_of(targets: Iterable[ResolvedTarget]) -> int:
    """Returns the pairs of a source and a target address of the worst target.

    That is the one with the fewest; each pair has all source ports. 0: no target takes any.
    """
    counts = (
        sum(len(one.sources) for one in target.reached) for target in targets if not target.is_unix
    )
    return min(counts, default=0)
