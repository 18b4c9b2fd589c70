"""The hosts that HTTP requests of sessions may go to."""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network

from loadgen.wire import Destination


class AllowedHosts:
    """The plan's targets, this machine, and what `--allow-target` of the agent names."""

    def __init__(self, destinations: Iterable[Destination], allowed: Iterable[str] = ()) -> None:
        """`allowed` are networks and host names, as the agent has checked them."""
        self.targets = {to.name.lower(): to for to in destinations}
        """The plan's targets by the host in their URL."""
        self._networks = []
        self._names = set()
        for text in allowed:
            try:
                self._networks.append(ip_network(text, strict=False))
            except ValueError:
                self._names.add(text.lower())

    def has(self, host: str, address: str) -> bool:
        """Returns whether requests may go to a host at this IP address."""
        ip = ip_address(address.partition("%")[0])
        ip = (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
        return (
            ip.is_loopback
            or host.lower() in self._names
            or host.lower() in self.targets
            or any(ip in network for network in self._networks)
        )
