"""Where Prometheus finds the agents that joined: the form of its HTTP service discovery.

https://prometheus.io/docs/prometheus/latest/http_sd/
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from coordinator.run.agents import AgentState
from loadgen.values import Endpoint


def reachable(metrics: str, peer: str) -> str:
    """The address of an agent's metrics as others see it, or nothing where only the agent's own
    host can reach them.

    `metrics` is where the agent listens, HOST:PORT, and `peer` the address that it joined from: an
    agent that listens on all of its addresses is reached at that one.
    """
    host, _, port = metrics.rpartition(":")
    try:
        listens, joined = ip_address(host.strip("[]")), ip_address(peer)
    except ValueError:  # no metrics, or a host name, which is as good for others as for itself
        return metrics
    if listens.is_unspecified:
        return str(Endpoint(peer, int(port)))
    return "" if listens.is_loopback and not joined.is_loopback else metrics


def scraped(members: Iterable[AgentState]) -> list[dict[str, Any]]:
    """The agents that can be scraped, also those that were lost since: an entry each, the last
    for an address."""
    found = {member.hello.metrics: member for member in members if member.hello.metrics}
    return [
        {
            "targets": [address],
            "labels": {"__meta_loadgen_agent": member.name, "__meta_loadgen_status": member.status},
        }
        for address, member in found.items()
    ]
