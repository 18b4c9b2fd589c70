"""Where a URL of the plan leads from this machine."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

from loadgen.errors import PlanError
from loadgen.machine.addresses import source_for
from loadgen.net.url import TargetUrl
from loadgen.wire import Destination, Sources


def _plain(address: str) -> IPv4Address | IPv6Address:
    """The address; an IPv4 one where it is dressed up as IPv6 (::ffff:10.0.0.1), since that is
    where it leads."""
    ip = ip_address(address)
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


class AllowedTargets:
    """Networks and host names from `--allow-target`; names are compared as they are written in
    the target's URL."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._hosts: set[str] = set()
        for text in allowed:
            self._add(text.strip())

    def _add(self, text: str) -> None:
        try:
            self._networks.append(ip_network(text, strict=False))
        except ValueError:
            if "/" in text or not text:
                raise PlanError(
                    f"--allow-target {text!r} is neither a network (10.0.0.0/8) nor a host name"
                ) from None
            self._hosts.add(text.lower())

    def refusal(self, host: str, address: str) -> str:
        """Why this target may not be loaded, with the mend; empty when it may."""
        ip = _plain(address)
        if (
            ip.is_loopback
            or host.lower() in self._hosts
            or any(ip in network for network in self._networks)
        ):
            return ""
        shown = host if host == address else f"{host} ({address})"
        return f"refuses target {shown}: start the agent with --allow-target {host}"


class ResolvedTarget(msgspec.Struct, frozen=True):
    """A URL with its parts, the address that its host has, and those of this machine to come
    from."""

    url: str
    parts: TargetUrl
    address: str
    sources: tuple[str, ...]

    @classmethod
    def find(cls, url: str, sources: Sequence[str]) -> "ResolvedTarget":
        """Asks the resolver, and the kernel where no sources are given.

        Raises PlanError when the URL is none, its host has no address, or there is no way from here
        to it.
        """
        parts = TargetUrl.parse(url)
        address = parts.resolve()
        fitting = tuple(source for source in sources if (":" in source) == (":" in address))
        if sources and not fitting:
            raise PlanError(
                f"target {url} is {address}: none of the agent's --source addresses is of that"
                " family"
            )
        return cls(url, parts, address, fitting or (source_for(address),))

    def refusal(self, allowed_targets: AllowedTargets) -> str:
        """Why this agent will not load it; empty when it will."""
        return allowed_targets.refusal(self.parts.host, self.address)

    def destination(self, sources: Sources) -> Destination:
        """What a worker has to know of it."""
        parts = self.parts
        return Destination(
            url=self.url,
            address=self.address,
            port=parts.port,
            name=parts.host,
            host=parts.host_header,
            resource=parts.resource,
            secure=parts.secure,
            sources=sources,
        )
