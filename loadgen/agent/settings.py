"""An agent's options, and what it can hold by them."""

import msgspec
from msgspec.structs import replace

from loadgen.agent.targets import AllowedTargets
from loadgen.errors import PlanError
from loadgen.http.client import Trust
from loadgen.http.token import Token
from loadgen.machine.addresses import (
    DEFAULT_PORTS,
    local_addresses_exist,
    parse_ports,
    parse_sources,
)
from loadgen.machine.facts import Machine
from loadgen.machine.limits import Limit, client_limits, workers_needed
from loadgen.plan.clients import AgentSpec, client_named
from loadgen.plan.plan import Plan
from loadgen.values import DEFAULT_MAX_CONNECTIONS

MAX_WORKERS = 256
"""So many workers, and no more, a plan may have an agent start."""


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent's own command line says; None, or nothing, where it does not."""

    coordinator: str = "http://127.0.0.1:8091"
    token: Token | None = None
    trust: Trust = True
    name: str = ""
    workers: int | None = None
    max_connections: int | None = None
    sources: tuple[str, ...] = ()
    ports: range | None = None
    allowed_targets: AllowedTargets
    allow_sessions: bool = False
    orphan_after: float = 30.0
    once: bool = False

    @property
    def most(self) -> int:
        """How many connections it opens at most."""
        return self.max_connections or DEFAULT_MAX_CONNECTIONS

    @property
    def port_range(self) -> range:
        """The ports of each source address that it connects from."""
        return self.ports or DEFAULT_PORTS

    def under(self, plan: Plan, name: str) -> "AgentSettings":
        """With what a plan says of the agent that goes by this name, where its command line says
        nothing.

        Raises PlanError where this machine can't do what the plan says.
        """
        client, ports = (
            client_named(plan.clients, name) or AgentSpec(name="any"),
            plan.transport.ports,
        )
        if not self.workers and (client.workers or 0) > MAX_WORKERS:
            raise PlanError(
                f"the plan asks for {client.workers:,} workers of {name}, which starts"
                f" {MAX_WORKERS} at most by a plan's word; say it by its own --workers"
            )
        sources = self.sources or parse_sources(client.sources)
        local_addresses_exist(sources)
        return replace(
            self,
            workers=self.workers or client.workers,
            max_connections=self.max_connections or client.max_connections,
            sources=sources,
            ports=self.ports or (parse_ports(ports) if ports else None),
        )

    def limits(self, machine: Machine) -> tuple[Limit, ...]:
        """What gives out when on this machine."""
        found = client_limits(
            machine,
            addresses=max(1, len(self.sources)),
            ports=self.port_range,
            workers=self.workers or workers_needed(self.most, machine, machine.cpus),
            max_connections=self.most,
        )
        return tuple(found)
