"""How many connections each resource of a machine can carry, and which gives out first."""

from collections.abc import Sequence
from typing import Annotated

import msgspec


class Limit(msgspec.Struct, frozen=True):
    """One resource of one machine: how many connections it can carry, and how to raise it."""

    resource: str
    """What would give out: `file_descriptors`, `source_ports`, `memory`, `max_connections`, `conntrack`…"""
    connections: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    """How many connections it carries."""
    detail: str
    """The reading behind the number, for people: `20,000 per process × 2 workers`."""
    mend: str
    """What raises it, one line."""
    needed: str = ""
    """What the asked number of connections takes of it, in the units of `detail`: `16,064 per process`."""


def first_to_give_out(limits: Sequence[Limit]) -> Limit | None:
    """The resource that carries the fewest connections; None when nothing was measured."""
    return min(limits, key=lambda limit: limit.connections, default=None)


def shortfall(limits: Sequence[Limit], share: int) -> Limit | None:
    """The resource that gives out first under a share of so many connections; None when all of them carry it."""
    first = first_to_give_out(limits)
    return first if first is not None and first.connections < share else None
