"""The part of a plan about single agents, under the TOML key `clients`.

Clients is Tsung's word for machines.
"""

import re
from collections.abc import Sequence
from math import ceil
from typing import Annotated

import msgspec

from loadgen.plan.phases import Weight
from loadgen.values import DEFAULT_MAX_CONNECTIONS

WEIGHT_RESOLUTION = 2**20
"""The largest weight as a whole number; the others are in proportion, rounded up."""


class AgentSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The wishes of a plan for one agent; options of its command line overrule them."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    weight: Weight = 1.0
    """Its part of all arrivals, in proportion to the others' weights."""
    workers: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_connections: Annotated[int, msgspec.Meta(ge=1)] | None = None
    sources: tuple[str, ...] = ()


def client_named(clients: Sequence[AgentSpec], name: str) -> AgentSpec | None:
    """Returns the client of an agent's name, None when the plan does not name it.

    Further agents of one host have the names `NAME-2`, `NAME-3`…; they have its client too.
    """
    known = {client.name: client for client in clients}
    return known.get(name) or known.get(re.sub(r"-\d+$", "", name))


def weights_of(clients: Sequence[AgentSpec], agents: Sequence[tuple[str, int]]) -> list[int]:
    """Returns the weights of agents, given as name and capacity, as whole numbers.

    Without clients the weights are the capacities. Otherwise an agent that no client names has
    the weight 1 for each DEFAULT_MAX_CONNECTIONS of its capacity.
    """
    if not clients:
        return [capacity for _, capacity in agents]
    parts = []
    for name, capacity in agents:
        client = client_named(clients, name)
        parts.append(capacity / DEFAULT_MAX_CONNECTIONS if client is None else client.weight)
    largest = max(parts, default=0.0) or 1.0
    return [ceil(part / largest * WEIGHT_RESOLUTION) for part in parts]
