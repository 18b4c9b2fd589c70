"""The addresses of the agents' metrics, for Prometheus' HTTP service discovery.

https://prometheus.io/docs/prometheus/latest/http_sd/
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from coordinator.run.agents import AgentState
from loadgen.values import Endpoint


def reachable(metrics: str, peer: str) -> str:
    """Returns the address of an agent's metrics as other machines reach it.

    It is empty when only the agent's own machine can. `metrics` is the HOST:PORT that the agent
    listens on, and `peer` the address that it joined from. An agent that listens on all of its
    addresses is reached at that one.
    """
    host, _, port = metrics.rpartition(":")
    try:
        listens = ip_address(host.strip("[]"))
        joined = ip_address(peer)
    except ValueError:  # no metrics, or a host name, which others can use as well
        return metrics
    if listens.is_unspecified:
        return str(Endpoint(peer, int(port)))
    return "" if listens.is_loopback and not joined.is_loopback else metrics


def scraped(agents: Iterable[AgentState]) -> list[dict[str, Any]]:
    """Returns an entry for each agent that can be scraped, lost agents included.

    Of several agents with the same address, it is the last to join.
    """
    scrapable = {agent.hello.metrics: agent for agent in agents if agent.hello.metrics}
    return [
        {
            "targets": [address],
            "labels": {"__meta_loadgen_agent": agent.name, "__meta_loadgen_status": agent.status},
        }
        for address, agent in scrapable.items()
    ]
