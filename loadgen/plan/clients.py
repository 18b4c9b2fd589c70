"""What a plan says of single agents: of the machines, in Tsung's word clients, that the load
comes from."""

import re
from collections.abc import Sequence
from math import ceil
from typing import Annotated

import msgspec

from loadgen.plan.phases import Weight
from loadgen.values import DEFAULT_MAX_CONNECTIONS

WEIGHT_RESOLUTION = 2**20
"""The largest weight as a whole number; smaller ones are rounded up to a part of it."""


class AgentSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the agent of this name is asked for, where its own command line does not say."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    weight: Weight = 1.0
    """Its part of all arrivals, in proportion to the others' weights."""
    workers: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_connections: Annotated[int, msgspec.Meta(ge=1)] | None = None
    sources: tuple[str, ...] = ()


def client_named(clients: Sequence[AgentSpec], name: str) -> AgentSpec | None:
    """What is said of the agent of this name; further agents of one host are told apart by a
    `-2` behind it."""
    known = {client.name: client for client in clients}
    return known.get(name) or known.get(re.sub(r"-\d+$", "", name))


def weights_of(clients: Sequence[AgentSpec], agents: Sequence[tuple[str, int]]) -> list[int]:
    """The weights of agents, each with its name and how many connections it holds; whole numbers.

    Where no clients are named, it is just what they hold.
    """
    if not clients:
        return [holds for _, holds in agents]
    parts = []
    for name, holds in agents:
        client = client_named(clients, name)
        parts.append(holds / DEFAULT_MAX_CONNECTIONS if client is None else client.weight)
    most = max(parts, default=0.0) or 1.0
    return [ceil(part / most * WEIGHT_RESOLUTION) for part in parts]
