"""The options of an agent, and what its machine can hold by them."""

import msgspec
from msgspec.structs import replace

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
from loadgen.machine.limits import Limit, client_limits
from loadgen.machine.workers import WorkerCount, client_workers
from loadgen.net.allowed import AllowedTargets
from loadgen.plan.clients import AgentSpec, client_named
from loadgen.plan.plan import Plan
from loadgen.values import DEFAULT_MAX_CONNECTIONS

MAX_PLAN_WORKERS = 256
"""Workers that a plan may have an agent start; its own --workers may be more."""


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an agent's command line.

    An option that was not given is None or empty.
    """

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
    """Seconds of the coordinator's silence after which the agent drains."""
    once: bool = False
    crowded: bool = False
    """True where other agents' workers share the cores, so that there are more of them than cores.
    """
    tls: bool = False
    """True when the plan has wss:// targets, whose connections take more memory."""

    @property
    def capacity(self) -> int:
        """The number of connections that the agent opens at most."""
        return self.max_connections or DEFAULT_MAX_CONNECTIONS

    @property
    def port_range(self) -> range:
        """The ports of each source address that the agent connects from."""
        return self.ports or DEFAULT_PORTS

    def with_plan(self, plan: Plan, name: str) -> "AgentSettings":
        """Returns the settings with the plan's where the command line gives none.

        `name` is the agent's. Raises PlanError where this machine can't do what the plan says.
        """
        client = client_named(plan.clients, name) or AgentSpec(name="any")
        ports = plan.transport.ports
        if not self.workers and (client.workers or 0) > MAX_PLAN_WORKERS:
            raise PlanError(
                f"the plan asks for {client.workers:,} workers on {name}, and a plan may ask for"
                f" {MAX_PLAN_WORKERS} at most; start that agent with --workers"
            )
        sources = self.sources or parse_sources(client.sources)
        local_addresses_exist(sources)
        return replace(
            self,
            workers=self.workers or client.workers,
            max_connections=self.max_connections or client.max_connections,
            tls=plan.secure,
            sources=sources,
            ports=self.ports or (parse_ports(ports) if ports else None),
        )

    def workers_for(self, connections: int, machine: Machine) -> WorkerCount:
        """Returns how many workers the agent starts for its connections."""
        if self.workers is not None:
            return WorkerCount(self.workers, "as asked")
        return client_workers(min(connections, self.capacity), machine, tls=self.tls)

    def limits(self, machine: Machine, ways: int | None = None) -> tuple[Limit, ...]:
        """Returns how many connections each resource of a machine carries.

        `ways` is the number of (source, target address) pairs; None while targets are unknown.
        """
        found = client_limits(
            machine,
            addresses=max(1, len(self.sources)),
            ways=ways,
            ports=self.port_range,
            workers=self.workers_for(self.capacity, machine).number,
            max_connections=self.capacity,
            tls=self.tls,
        )
        return tuple(found)
