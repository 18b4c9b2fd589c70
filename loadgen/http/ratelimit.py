"""Rate limits: of one client, and of many by their addresses."""

from ipaddress import IPv6Address, ip_address
from math import inf
from typing import NamedTuple

MAX_NETWORKS = 4096
"""Addresses whose buckets are kept; the one that was silent for longest is forgotten."""
IPV6_HOST_BITS = 64
"""The bits of an IPv6 address that a single machine may choose: RFC 4291, section 2.5.1."""


class TokenBucket:
    """A bucket that gets `rate` tokens per second and holds those of one second."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens = rate
        self._at = -inf

    def take(self, now: float) -> bool:
        """Takes a token; returns False when the bucket is empty.

        `now` is in seconds, on any clock.
        """
        if self.wait(now) > 0.0:
            return False
        self._tokens -= 1.0
        return True

    def wait(self, now: float) -> float:
        """Returns the seconds from `now` until the bucket has a token; 0 when it has one."""
        self._tokens = min(self._rate, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        return max(0.0, (1.0 - self._tokens) / self._rate)


class PortRates(NamedTuple):
    """The most times per second that something may happen."""

    each: float
    """For one address."""
    together: float
    """For all addresses together."""


class Buckets:
    """A bucket for each address."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._by_network: dict[str, TokenBucket] = {}
        """The network that was silent for longest comes first."""

    def take(self, address: str, now: float) -> bool:
        """Takes a token of an IP address; returns False when it has none.

        `now` is in seconds, on any clock.
        """
        network = network_of(address)
        bucket = self._by_network.pop(network, None) or TokenBucket(self._rate)
        self._by_network[network] = bucket
        if len(self._by_network) > MAX_NETWORKS:
            del self._by_network[next(iter(self._by_network))]
        return bucket.take(now)

    def __len__(self) -> int:
        return len(self._by_network)


class Allowance:
    """A rate limit of many clients.

    Each address has its own bucket, and all share one. An address that has used up its own takes
    nothing from the others.
    """

    def __init__(self, rates: PortRates) -> None:
        self._each = Buckets(rates.each)
        self._together = TokenBucket(rates.together)

    def take(self, address: str, now: float) -> bool:
        """Takes a token for a client at an IP address; returns False when there is none.

        `now` is in seconds, on any clock.
        """
        return self._each.take(address, now) and self._together.take(now)


def network_of(address: str) -> str:
    """Returns the network whose addresses are taken for one client.

    That is an IPv4 address itself, and the first 64 bits of an IPv6 address: its machine can choose
    the others. A text that is no address stands for itself.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> IPV6_HOST_BITS << IPV6_HOST_BITS))
    return address
