"""The machines of a run, from its run.json: each different one once."""

from typing import Any

PASSING = {
    "memory_available",
    "cgroup_headroom",
    "tcp_pages",
    "fs.file-nr",
    "net.netfilter.nf_conntrack_count",
}
"""Readings of a moment, which say nothing about what a machine is; run.json has them."""

Facts = dict[str, Any]


def machines_of(run: Facts) -> list[tuple[Facts, list[str]]]:
    """Versions and kernel settings of each different machine, with the names of the agents on
    it."""
    machines: dict[str, tuple[Facts, list[str]]] = {}
    for agent in run.get("agents", []):
        facts = {name: value for name, value in agent["machine"].items() if name not in PASSING}
        machines.setdefault(str(sorted(facts.items())), (facts, []))[1].append(agent["name"])
    return list(machines.values())


def plain(value: Any) -> str:
    """A setting as text."""
    return (
        " ".join(str(part) for part in value)
        if isinstance(value, list)
        else "–"
        if value in (None, "")
        else str(value)
    )
