"""The agents that a plan names, and the weights of all agents."""

import msgspec
import pytest

from loadgen.plan.clients import AgentSpec, client_named, weights_of

BIG, SMALL = AgentSpec(name="big", weight=3.0), AgentSpec(name="small-1", weight=0.5)


def test_an_agent_is_named_or_numbered_after_its_host():
    clients = (BIG, SMALL)

    assert client_named(clients, "big") is BIG
    assert client_named(clients, "big-2") is BIG
    assert client_named(clients, "small-1") is SMALL
    assert client_named(clients, "small-1-12") is SMALL
    assert client_named(clients, "small") is None
    assert client_named((), "big") is None


def test_without_clients_the_weights_are_the_capacities():
    assert weights_of((), [("a", 64_000), ("b", 7)]) == [64_000, 7]


def test_clients_have_their_weights_and_others_1_for_64_000():
    weights = weights_of(
        (BIG, SMALL), [("big", 1), ("small-1", 1), ("other", 64_000), ("half", 32_000)]
    )

    assert [weight / weights[2] for weight in weights] == pytest.approx(
        [3.0, 0.5, 1.0, 0.5], rel=1e-5
    )
    assert all(isinstance(weight, int) for weight in weights)


def test_no_capacity_gets_nothing_and_any_weight_gets_something():
    clients = (AgentSpec(name="a", weight=1e12), AgentSpec(name="b", weight=1e-9))

    assert weights_of(clients, [("a", 9), ("b", 9), ("c", 0)]) == [2**20, 1, 0]
    assert weights_of((BIG,), []) == []


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "ä"])
def test_a_name_that_no_agent_can_have_is_refused(name):
    with pytest.raises(msgspec.ValidationError, match=r"\$\.name"):
        msgspec.convert({"name": name}, AgentSpec)
