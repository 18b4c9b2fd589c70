"""The PROXY protocol: a client's address, before the first byte of TLS or HTTP.

https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt

Balancers in a datacenter learn the clients' addresses from it. Each user has an invented one, so
that a balancer which counts, limits or hashes by address sees many clients.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_PROXY = 0x21
"""Version 2, and the command PROXY."""
_TCP4, _TCP6 = 0x11, 0x21
_FIRST_IPV4 = int(IPv4Address("10.0.0.1"))
_IPV4_COUNT = 2**24 - 2
"""The hosts of 10.0.0.0/8."""
_FIRST_IPV6 = int(IPv6Address("fd00::1"))
_FIRST_PORT = 1024
_PORT_COUNT = 65_536 - _FIRST_PORT


def source_of(number: int, *, ipv6: bool) -> tuple[str, int]:
    """Returns the address and port that the user of a number is given.

    Two users share an address only if their numbers are 16,777,214 apart, and with IPv6 never.
    """
    port = _FIRST_PORT + number % _PORT_COUNT
    if ipv6:
        return str(IPv6Address(_FIRST_IPV6 + number)), port
    return str(IPv4Address(_FIRST_IPV4 + number % _IPV4_COUNT)), port


def header_of(version: int, address: str, port: int, number: int) -> bytes:
    """Returns the header of version 1 (text) or 2 (binary) for a user's connection.

    `address` and `port` are those that it is for; an IPv6 address makes the user's one too.
    """
    ipv6 = ":" in address
    source, source_port = source_of(number, ipv6=ipv6)
    if version == 1:
        family = "TCP6" if ipv6 else "TCP4"
        return f"PROXY {family} {source} {address} {source_port} {port}\r\n".encode()
    places = ip_address(source).packed + ip_address(address).packed
    places += source_port.to_bytes(2) + port.to_bytes(2)
    kind = _TCP6 if ipv6 else _TCP4
    return SIGNATURE + bytes((_PROXY, kind)) + len(places).to_bytes(2) + places
