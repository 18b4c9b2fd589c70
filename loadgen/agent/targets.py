"""The targets of a plan as this machine resolves them, and the allowed ones."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

from loadgen.errors import PlanError
from loadgen.machine.addresses import source_for
from loadgen.net.url import TargetUrl, resolve
from loadgen.plan.proxy import ProxyUrl
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
        return self._refusal("target", host, address, loopback=True)

    def proxy_refusal(self, host: str, address: str) -> str:
        """Returns why this proxy may not be used, with the fix; "" when it may."""
        return self._refusal("proxy", host, address, loopback=True)

    def refusal_beyond(self, host: str, address: str) -> str:
        """Returns why a target may not be loaded through a proxy; "" when it may.

        `address` is empty where the proxy resolves the name. Loopback has to be allowed like any
        other address, since it is that of the proxy's machine.
        """
        return self._refusal("target", host, address, loopback=False)

    def _refusal(self, what: str, host: str, address: str, *, loopback: bool) -> str:
        ip = _plain(address) if address else None
        if host.lower() in self._hosts or (
            ip is not None
            and ((loopback and ip.is_loopback) or any(ip in network for network in self._networks))
        ):
            return ""
        shown = f"{host} ({address})" if address not in ("", host) else host
        return f"refuses {what} {shown}: start the agent with --allow-target {host}"

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
    """The IP address of its host; empty where a proxy resolves it."""
    sources: tuple[str, ...]
    """The addresses of this machine that connections come from."""
    proxy: ProxyUrl | None = None
    """The proxy on the way to it, if any; its address is `proxy_address`."""
    proxy_address: str = ""

    @classmethod
    def find(
        cls, url: str, sources: Sequence[str], proxy: ProxyUrl | None = None
    ) -> "ResolvedTarget":
        """Resolves the host of a URL; without sources the kernel chooses one.

        Raises PlanError when the URL is malformed, when its host has no address, and when no route
        leads there.
        """
        parts = TargetUrl.parse(url)
        if proxy is not None:
            return cls._beyond(url, parts, sources, proxy)
        address = parts.resolve()
        return cls(url, parts, address, cls._sources_to(f"target {url}", address, sources))

    @classmethod
    def _beyond(
        cls, url: str, parts: TargetUrl, sources: Sequence[str], proxy: ProxyUrl
    ) -> "ResolvedTarget":
        """Resolves the proxy's host, and the target's where the proxy wants an address."""
        proxy_address = resolve(proxy.host, proxy.port, "proxy")
        address = parts.address if proxy.resolves else parts.resolve()
        fitting = cls._sources_to(f"proxy {proxy.shown}", proxy_address, sources)
        return cls(url, parts, address, fitting, proxy, proxy_address)

    @staticmethod
    def _sources_to(what: str, address: str, sources: Sequence[str]) -> tuple[str, ...]:
        fitting = tuple(source for source in sources if (":" in source) == (":" in address))
        if sources and not fitting:
            raise PlanError(
                f"{what} is {address}: none of the agent's --source addresses is of that family;"
                " add one"
            )
        return fitting or (source_for(address),)

    def refusal(self, allowed_targets: AllowedTargets) -> str:
        """Returns why this agent does not load it, with the fix; "" when it does."""
        if self.proxy is None:
            return allowed_targets.refusal(self.parts.host, self.address)
        return allowed_targets.proxy_refusal(
            self.proxy.host, self.proxy_address
        ) or allowed_targets.refusal_beyond(self.parts.host, self.address)

    def destination(self, sources: Sources) -> Destination:
        """Returns what a worker has to know of it."""
        parts, proxy = self.parts, self.proxy
        return Destination(
            url=self.url,
            address=self.address if proxy is None else self.proxy_address,
            port=parts.port if proxy is None else proxy.port,
            name=parts.host,
            host=parts.host_header,
            resource=parts.resource,
            secure=parts.secure,
            sources=sources,
            asked="" if proxy is None else self.address or parts.host,
            asked_port=0 if proxy is None else parts.port,
        )
