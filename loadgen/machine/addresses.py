"""Addresses and ports of this machine: text forms, and those to connect from."""

import ctypes
import errno
import fcntl
import ipaddress
import os
import re
import socket
import stat
import struct
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from loadgen.errors import PlanError

DEFAULT_PORTS = range(1025, 65536)
"""The ports that need no privilege, without the first of them: 64,511."""
MAX_ADDRESSES = 65_536
"""Addresses that source texts may name in all."""
SPARE_PORTS = 256
"""Ports of the kernel's own range that stay free for the machine's other outgoing connections."""
RESERVED_PORTS = Path("proc/sys/net/ipv4/ip_local_reserved_ports")
INTERFACE = "interface:"
"""The beginning of a source text that names an interface."""
_SIOCGIFCONF = 0x8912
_IFREQ = 40
"""Bytes of the kernel's struct ifreq on 64-bit machines: a name of 16, and an address."""
_PRIVILEGED = 1024
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_sources(texts: Iterable[str]) -> tuple[str, ...]:
    """Returns the addresses that texts name, in their order, each once.

    They are written as `getsockname` writes them.

    `10.0.0.5`, `10.0.0.1-10.0.0.4`, `127.0.1.1-20` (last octet), `10.0.0.0/28` (its hosts), IPv6
    alike; `interface:eth0` for the IPv4 addresses of this machine's interface; commas or spaces
    separate several in one text. Raises PlanError for a malformed text, and for more than
    MAX_ADDRESSES.
    """
    found: dict[str, None] = {}
    for text in re.findall(r"[^,\s]+", " ".join(texts)):
        if text.startswith(INTERFACE):
            found |= dict.fromkeys(interface_addresses(text.removeprefix(INTERFACE)))
            continue
        first, last = _ends(text)
        count = int(last) - int(first) + 1
        if count <= MAX_ADDRESSES:
            found |= dict.fromkeys(as_getsockname(str(first + step)) for step in range(count))
        if max(count, len(found)) > MAX_ADDRESSES:
            raise PlanError(
                f"source {text!r}: more than {MAX_ADDRESSES:,} addresses in all; name fewer"
            )
    return tuple(found)


def interface_addresses(name: str) -> list[str]:
    """Returns the IPv4 addresses of an interface of this machine; raises PlanError.

    netdevice(7), SIOCGIFCONF
    """
    space = bytearray(_IFREQ * MAX_ADDRESSES)
    address = ctypes.addressof(ctypes.c_char.from_buffer(space))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        filled = fcntl.ioctl(sock, _SIOCGIFCONF, struct.pack("iL", len(space), address))
    (size,) = struct.unpack_from("i", filled)
    found = [
        socket.inet_ntoa(space[place + 20 : place + 24])
        for place in range(0, size, _IFREQ)
        # an alias has a name of its own, `eth0:1`
        if space[place : place + 16].rstrip(b"\0").decode().partition(":")[0] == name
    ]
    if not found:
        raise PlanError(
            f"source {INTERFACE}{name}: this machine has no IPv4 address on {name}; see `ip addr`"
        )
    return found


def parse_ports(text: str) -> range:
    """Returns the ports of `MIN-MAX`, both inclusive; raises PlanError."""
    match = re.fullmatch(r"\s*([0-9]{1,5})\s*-\s*([0-9]{1,5})\s*", text)
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if match is None or high > 65535:
        raise PlanError(f"ports {text!r} are not MIN-MAX; write for example 1025-65535")
    if low < _PRIVILEGED:
        raise PlanError(
            f"ports {text!r} begin under {_PRIVILEGED}: the kernel keeps those for root; write"
            " 1025-65535"
        )
    if low > high:
        raise PlanError(f"ports {text!r} run backwards; write {high}-{low}")
    return range(low, high + 1)


def parse_reserved(text: str) -> frozenset[int]:
    """Returns the ports of the kernel's list form, `8080,9000-9010`.

    Malformed parts are left out.

    https://docs.kernel.org/networking/ip-sysctl.html, ip_local_reserved_ports
    """
    spans = re.findall(r"([0-9]+)(?:-([0-9]+))?", text)
    return frozenset(
        port
        for low, high in spans
        for port in range(int(low), int(high or low) + 1)
        if port < 65536
    )


def ports_left_out(
    ports: range, *, reserved: frozenset[int], own: range, bindable_from: int
) -> frozenset[int]:
    """Returns the ports that no worker should bind: reserved, privileged, or spared.

    Subtle: the kernel does not choose a port for a connection of its own once a process has bound
    it, on any address (`__inet_hash_connect` skips every bucket that a bind made). So once workers
    hold all of the kernel's range `own`, every other outgoing connection of the machine fails with
    EADDRNOTAVAIL, an agent's to its coordinator included. Therefore SPARE_PORTS of that range,
    counting those outside of `ports`, stay free.
    """
    privileged = range(ports.start, min(bindable_from, ports.stop))
    outside = sum(port not in ports and port not in reserved for port in own)
    inside = (port for port in reversed(own) if port in ports and port not in reserved)
    return (
        frozenset(privileged)
        | frozenset(islice(inside, max(0, SPARE_PORTS - outside)))
        | frozenset(port for port in reserved if port in ports)
    )


def reserved_ports(root: Path = Path("/")) -> frozenset[int]:
    """Returns the ports that ip_local_reserved_ports reserves.

    Returns None where it can't be read.
    """
    try:
        return parse_reserved((root / RESERVED_PORTS).read_text())
    except OSError:
        return frozenset()


def source_for(target_ip: str) -> str:
    """Returns the local address that the kernel uses towards a target's IP address.

    No packet is sent. Raises PlanError when no route leads there.
    """
    family = socket.AF_INET6 if ":" in target_ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((target_ip, 9))
            return str(sock.getsockname()[0])
    except OSError as error:
        raise PlanError(
            f"no route from here to {target_ip}: {error.strerror}; see `ip route get {target_ip}`"
        ) from error


def local_addresses_exist(addresses: Iterable[str]) -> None:
    """Raises PlanError with the first address that this machine does not have.

    A machine has all of 127.0.0.0/8.
    """
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.bind((address, 0))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:  # in use: the address exists, without a free port
                fix = (
                    f"ip addr add {address}/{128 if family == socket.AF_INET6 else 32} dev"
                    " INTERFACE"
                )
                raise PlanError(
                    f"source {address} is no address of this machine; `{fix}` makes it one"
                ) from error


def check_socket(path: str) -> None:
    """Raises PlanError when this user finds no Unix socket to open at a path."""
    try:
        found = stat.S_ISSOCK(os.stat(path).st_mode)
        if not found:
            why = "it is no socket"
        elif not os.access(path, os.W_OK):  # connect(2) wants to write, as unix(7) says
            why = os.strerror(errno.EACCES)
        else:
            return
    except OSError as error:
        why = error.strerror or str(error)
    raise PlanError(f"no way to the Unix socket {path}: {why}; start its server, or correct it")


def _ends(text: str) -> tuple[_Address, _Address]:
    """Returns the first and the last address of one text; raises PlanError."""
    try:
        first, last = _network_ends(text) if "/" in text else _range_ends(text)
    except ValueError as error:
        raise PlanError(
            f"source {text!r}: {error}; write 10.0.0.5, 10.0.0.1-10.0.0.4, 127.0.1.1-20 or"
            " 10.0.0.0/28"
        ) from error
    for end in (first, last):
        if end.is_unspecified or end.is_multicast or str(end) == "255.255.255.255":
            raise PlanError(
                f"source {text!r}: nothing can connect from {end}; name an address of this machine"
            )
    return first, last


def _network_ends(text: str) -> tuple[_Address, _Address]:
    network = ipaddress.ip_network(text)
    if network.num_addresses <= 2:
        return network[0], network[-1]
    return network[1], network[-2] if network.version == 4 else network[-1]


def _range_ends(text: str) -> tuple[_Address, _Address]:
    head, dash, tail = text.partition("-")
    if "." in head and re.fullmatch("[0-9]+", tail):
        tail = f"{head.rpartition('.')[0]}.{tail}"
    first, last = ipaddress.ip_address(head), ipaddress.ip_address(tail if dash else head)
    if "%" in text:
        raise ValueError("an address with a scope can't be a source")
    if first.version != last.version:
        raise ValueError("one end is IPv4, the other IPv6")
    if int(first) > int(last):
        raise ValueError("the range runs backwards")
    return first, last


def as_getsockname(address: str) -> str:
    """Returns an address as `getsockname` writes it; pairs are given back by that."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.inet_ntop(family, socket.inet_pton(family, address))
