"""Reads <clients>: the machines that the load comes from."""

import ipaddress
import itertools
import re
from typing import NamedTuple

from coordinator.tsung.element import Element
from loadgen.machine.addresses import INTERFACE
from loadgen.plan.clients import AgentSpec
from loadgen.values import DEFAULT_MAX_CONNECTIONS

HERE = ("localhost", "127.0.0.1", "::1")
MAX_RANGES = 65_536


class TsungClient(NamedTuple):
    """One client machine; several <client> elements may name it."""

    host: str
    weight: float
    workers: int
    most: int
    sources: tuple[str, ...]
    here: bool


class Fleet(NamedTuple):
    """The agents that a configuration names."""

    clients: tuple[AgentSpec, ...]
    hosts: tuple[str, ...]
    """The names of their machines; empty when all of them are this machine."""


def read_clients(element: Element) -> Fleet:
    """Returns the agents of <clients>, one for each host; raises TsungError."""
    machines: dict[str, TsungClient] = {}
    for client in element.children:
        with client.refusing():
            machine = _machine(client)
            machines[machine.host] = (
                _merge(machines[machine.host], machine) if machine.host in machines else machine
            )
    if not element.children:
        raise element.error("there is no <client>; name the machines that the load comes from")
    if all(machine.here for machine in machines.values()):
        if any(machine.sources for machine in machines.values()):
            element.note(
                "source addresses of agents that start here are left out: the kernel chooses one"
            )
        return Fleet((), ())
    return Fleet(tuple(map(_client, machines.values())), tuple(machines))


def _machine(client: Element) -> TsungClient:
    if client.name != "client":
        raise client.error(f"<{client.name}> is unknown in <clients>; write <client>")
    client.only(
        "host", "cpu", "weight", "maxusers", "use_controller_vm", "type", "batch", "scan_intf"
    )
    if client.choice("type", ("machine", "batch"), "machine") == "batch":
        raise client.error(
            "hosts from a batch scheduler can't be known here; name them, or start their agents"
            " yourself"
        )
    host, workers = client.need("host"), client.integer("cpu", 1, least=1)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", host):
        raise client.error(f"{host!r} is no host's name; write the name that its agent goes by")
    controller = client.flag("use_controller_vm")
    return TsungClient(
        host=host,
        weight=client.number("weight", 1.0, above=0.0),
        workers=workers,
        most=client.integer("maxusers", 800, least=1) * workers,
        sources=tuple(source for child in client.children for source in _sources(child)),
        here=controller or host in HERE,
    )


def _merge(one: TsungClient, other: TsungClient) -> TsungClient:
    return one._replace(
        weight=one.weight + other.weight,
        workers=one.workers + other.workers,
        most=one.most + other.most,
        sources=one.sources + other.sources,
        here=one.here and other.here,
    )


def _client(machine: TsungClient) -> AgentSpec:
    return AgentSpec(
        name=machine.host,
        weight=machine.weight,
        workers=machine.workers,
        # Subtle: maxusers is no cap in Tsung, which starts another node where one is full. So it
        # can raise the default of an agent, and never lower it.
        max_connections=machine.most if machine.most > DEFAULT_MAX_CONNECTIONS else None,
        sources=machine.sources,
    )


def _sources(child: Element) -> list[str]:
    """Returns the addresses of an <ip> or <iprange>, in the form of `--source`."""
    if child.name not in ("ip", "iprange"):
        raise child.error(f"<{child.name}> is unknown in <client>; write <ip> or <iprange>")
    child.only("value", "scan", "version")
    if child.name == "ip" and child.flag("scan"):
        name = child.get("value", "eth0")
        if not re.fullmatch(r"[\w.-]{1,15}", name):
            raise child.error(f"{name!r} is no interface; write one such as eth0")
        return [f"{INTERFACE}{name}"]
    value = child.need("value")
    if child.name == "iprange":
        return _range(child, value)
    if value == "resolve":
        child.note(
            '<ip value="resolve"/>: the kernel chooses the address towards the server; it is'
            " left out"
        )
        return []
    try:
        return [str(ipaddress.ip_address(value))]
    except ValueError as error:
        raise child.error(f"{value!r} is no IP address; write one") from error


def _range(child: Element, value: str) -> list[str]:
    """Returns the ranges of the last octet that `172.28.1-20.0-254` stands for."""
    octets = [re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", part) for part in value.split(".")]
    ends = [(int(part[1]), int(part[2] or part[1])) for part in octets if part]
    if len(octets) != 4 or len(ends) != 4 or any(low > high or high > 255 for low, high in ends):
        raise child.error(
            f"{value!r} is no range of IPv4 addresses; write for example 10.0.1-4.0-254"
        )
    *outer, (low, high) = ends
    addresses = (high - low + 1) * len(
        list(itertools.islice(itertools.product(*map(_octets, outer)), MAX_RANGES + 1))
    )
    if addresses > MAX_RANGES:
        raise child.error(f"{value!r} are more than {MAX_RANGES:,} addresses; name fewer")
    heads = [".".join(map(str, octets)) for octets in itertools.product(*map(_octets, outer))]
    return [f"{head}.{low}-{high}" if high > low else f"{head}.{low}" for head in heads]


def _octets(ends: tuple[int, int]) -> range:
    return range(ends[0], ends[1] + 1)
