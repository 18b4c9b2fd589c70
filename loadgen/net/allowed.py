"""The places that may be loaded, and those that HTTP requests may go to."""

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from loadgen.errors import PlanError
from loadgen.net.url import is_address
from loadgen.wire import Destination


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
        """The networks, host names and paths, as `--allow-target` takes them."""
        return *map(str, self._networks), *sorted(self._hosts), *sorted(self._paths)


def _plain(address: str) -> IPv4Address | IPv6Address:
    """Returns an address, as IPv4 where IPv6 only wraps it.

    ::ffff:10.0.0.1 is 10.0.0.1.
    """
    ip = ip_address(address.partition("%")[0])
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


class AllowedHosts:
    """The hosts that HTTP requests of sessions may go to.

    They are the plan's targets, at the addresses that the agent found, and what `--allow-target` of
    the agent allows.
    """

    def __init__(
        self, destinations: Callable[[], Iterable[Destination]], allowed: AllowedTargets
    ) -> None:
        """`destinations` returns the targets with the addresses that they have now."""
        self.destinations = destinations
        self._allowed = allowed

    def target(self, host: str) -> Destination | None:
        """Returns the target with this host in its URL, if it is one."""
        host = host.lower()
        named = (to for to in self.destinations() if to.name.lower() == host and not to.is_unix)
        return next(named, None)

    def refusal(self, host: str, address: str) -> str:
        """Returns why no request may go to a host at this IP address; "" when it may.

        Raises ValueError when the address is none.
        """
        why = self._allowed.refusal(host, address)
        return "" if self.target(host) else why

    def beyond_proxy(self) -> Destination | None:
        """Returns a target behind the plan's proxy, which has the proxy's addresses."""
        return next((to for to in self.destinations() if to.asked), None)

    def refusal_beyond(self, host: str) -> str:
        """Returns why the proxy may not be asked for a host; "" when it may."""
        why = self._allowed.refusal_beyond(host, host if is_address(host) else "")
        return "" if self.target(host) else why
