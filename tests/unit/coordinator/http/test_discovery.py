"""The addresses of the agents' metrics, as Prometheus reaches and reads them."""

import msgspec
import pytest

from coordinator.http.discovery import reachable, scraped
from coordinator.run.agents import AgentState
from tests.unit.coordinator.fleet import hello


@pytest.mark.parametrize(
    ("metrics", "peer", "reached"),
    [
        ("0.0.0.0:9646", "10.0.0.5", "10.0.0.5:9646"),
        ("[::]:9646", "fd00::5", "[fd00::5]:9646"),
        ("[::]:9646", "10.0.0.5", "10.0.0.5:9646"),
        ("10.0.0.5:9646", "10.0.0.9", "10.0.0.5:9646"),
        ("127.0.0.1:9646", "127.0.0.1", "127.0.0.1:9646"),
        ("127.0.0.1:9646", "10.0.0.5", ""),
        ("[::1]:9646", "fd00::5", ""),
        ("agent-3.agents:9646", "10.0.0.5", "agent-3.agents:9646"),
        ("", "10.0.0.5", ""),
        ("0.0.0.0:9646", "", "0.0.0.0:9646"),
    ],
)
def test_the_address_that_others_reach(metrics, peer, reached):
    assert reachable(metrics, peer) == reached


def agent(name, metrics, **fields):
    return AgentState(
        f"id-{name}", name, msgspec.structs.replace(hello(name), metrics=metrics), 0.0, **fields
    )


def test_an_address_that_can_be_scraped_is_listed_once_with_its_last_agent():
    agents = [
        agent("a", "10.0.0.5:9646", lost=True),
        agent("b", "10.0.0.6:9646", ready=True),
        agent("hidden", ""),
        agent("a-2", "10.0.0.5:9646"),
    ]

    assert scraped(agents) == [
        {
            "targets": ["10.0.0.5:9646"],
            "labels": {"__meta_loadgen_agent": "a-2", "__meta_loadgen_status": "joined"},
        },
        {
            "targets": ["10.0.0.6:9646"],
            "labels": {"__meta_loadgen_agent": "b", "__meta_loadgen_status": "ready"},
        },
    ]
