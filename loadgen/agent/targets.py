"""The targets of a plan as this machine resolves them, and the allowed ones."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

from loadgen.errors import PlanError
from loadgen.machine.addresses import source_for
from loadgen.net.url import TargetUrl
from loadgen.wire import Destination, Sources


class AllowedTargets:
    """The networks and host names of `--allow-target`.

    A name is compared with the host as the target's URL writes it.
    """

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
                    f"--allow-target {text!r} is neither a network nor a host name; write for"
                    " example 10.0.0.0/8"
                ) from None
            self._hosts.add(text.lower())

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

    @property
    def texts(self) -> tuple[str, ...]:
        """The networks and host names, as `--allow-target` takes them."""
        return *map(str, self._networks), *sorted(self._hosts)


def _plain(address: str) -> IPv4Address | IPv6Address:
    """Returns an address, as IPv4 where IPv6 only wraps it.

    ::ffff:10.0.0.1 is 10.0.0.1.
    """
    ip = ip_address(address)
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


class ResolvedTarget(msgspec.Struct, frozen=True):
    """A URL of the plan with the addresses at both ends of its connections."""

    url: str
    parts: TargetUrl
    address: str
    """The IP address of its host."""
    sources: tuple[str, ...]
    """The addresses of this machine that connections come from."""

    @classmethod
    def find(cls, url: str, sources: Sequence[str]) -> "ResolvedTarget":
        """Resolves the host of a URL; without sources the kernel chooses one.

        Raises PlanError when the URL is malformed, when its host has no address, and when no route
        leads there.
        """
        parts = TargetUrl.parse(url)
        address = parts.resolve()
        fitting = tuple(source for source in sources if (":" in source) == (":" in address))
        if sources and not fitting:
            raise PlanError(
                f"target {url} is {address}: none of the agent's --source addresses is of that"
                " family; add one"
            )
        return cls(url, parts, address, fitting or (source_for(address),))

    def refusal(self, allowed_targets: AllowedTargets) -> str:
        """Returns why this agent does not load it, with the fix; "" when it does."""
        return allowed_targets.refusal(self.parts.host, self.address)

    def destination(self, sources: Sources) -> Destination:
        """Returns what a worker has to know of it."""
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
