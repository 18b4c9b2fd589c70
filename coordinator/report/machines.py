"""The machines of a run, from its run.json."""

from typing import Any

from coordinator.storage.reader import RunFacts

MOMENTARY = {
    "memory_available",
    "cgroup_headroom",
    "tcp_pages",
    "fs.file-nr",
    "kernel.random.boot_id",
    "net.netfilter.nf_conntrack_count",
}
"""Readings that change from moment to moment or with each start, and say nothing about what a
machine is."""

Machine = dict[str, Any]
"""Versions and kernel settings, by name."""


def machines_of(facts: RunFacts) -> list[tuple[Machine, list[str]]]:
    """Returns each different machine once, with the names of the agents on it."""
    machines: dict[str, tuple[Machine, list[str]]] = {}
    for agent in facts.agents:
        machine = {name: value for name, value in agent.machine.items() if name not in MOMENTARY}
        machines.setdefault(str(sorted(machine.items())), (machine, []))[1].append(agent.name)
    return list(machines.values())


def addresses_of(facts: RunFacts) -> list[tuple[str, str, list[str]]]:
    """Returns the addresses that agents loaded.

    It has a row for each target's URL and list of addresses, with the names of the agents.
    """
    rows: dict[tuple[str, str], list[str]] = {}
    for agent in facts.agents:
        for url, addresses in agent.addresses.items():
            rows.setdefault((url, ", ".join(sorted(addresses))), []).append(agent.name)
    return [(url, addresses, names) for (url, addresses), names in rows.items()]


def setting_text(value: Any) -> str:
    """Returns a setting as text."""
    if isinstance(value, list):
        return " ".join(str(part) for part in value)
    return "–" if value in (None, "") else str(value)
