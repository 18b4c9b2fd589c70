"""Which targets an agent may load: loopback always, anything else only when its owner said so."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from loadgen.errors import PlanError


def _plain(address: str) -> IPv4Address | IPv6Address:
    """The address; an IPv4 one where it is dressed up as IPv6 (::ffff:10.0.0.1), since that is where it leads."""
    ip = ip_address(address)
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


class Permit:
    """Networks and host names from `--allow-target`; names are compared as they are written in the target's URL."""

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
                raise PlanError(f"--allow-target {text!r} is neither a network (10.0.0.0/8) nor a host name") from None
            self._hosts.add(text.lower())

    def refusal(self, host: str, address: str) -> str:
        """Why this target may not be loaded, with the mend; empty when it may."""
        ip = _plain(address)
        if ip.is_loopback or host.lower() in self._hosts or any(ip in network for network in self._networks):
            return ""
        shown = host if host == address else f"{host} ({address})"
        return f"refuses target {shown}: start the agent with --allow-target {host}"
