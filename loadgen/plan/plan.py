"""The frozen plan of a run: what is asked of the fleet, as options, a TOML file or a Tsung
configuration say it."""

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Annotated, Any, Literal

import msgspec

from loadgen.errors import PlanError
from loadgen.plan.clients import AgentSpec
from loadgen.plan.phases import MAX_ARRIVALS, NotNegative, Phase, Positive
from loadgen.plan.schedule import PhasedSchedule, Schedule, phase_arrivals_of
from loadgen.plan.seeded import Pick, weighted_choice, weighted_choice_by_phase
from loadgen.plan.sessions import Loop, PythonSession, SessionSpec, urls_of
from loadgen.values import REFERENCE_CONNECTIONS

TARGET = "ws://127.0.0.1:9505/v1/realtime?project=console&channels[]=files"


TARGETS, SESSIONS = 1_000_001, 1_000_002
"""Salts of what is drawn for a user; phases and users' own generators have the small ones."""
INSTEAD = {
    "phases": ("rate", "max"),
    "sessions": ("think", "loops", "ping"),
    "targets": ("target",),
}
"""What a key says instead of others."""


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of several servers to load."""

    url: str
    weight: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 1.0
    """Its part of all users, in proportion to the others' weights; 0: only for sessions that ask
    for it."""


class Transport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How connections are made; seconds and bytes."""

    connect_timeout: Positive = 30.0
    """From the dial to a valid 101."""
    receive_timeout: Positive = 600.0
    """How long a script waits for a reply (Tsung's idle_timeout)."""
    receive_buffer: Annotated[int, msgspec.Meta(ge=0)] = 0
    """SO_RCVBUF of each socket; 0: the kernel's own."""
    send_buffer: Annotated[int, msgspec.Meta(ge=0)] = 0
    subprotocols: tuple[str, ...] = ()
    origin: str = ""
    headers: dict[str, str] = {}
    ports: str = ""
    """MIN-MAX: the source ports of agents that were not given any."""
    tls_versions: tuple[str, ...] = ()
    """`tlsv1.2`, `tlsv1.3`; empty: what the library takes."""
    tls_ciphers: str = ""
    tls_verify: bool = True
    tls_server_name: bool = True
    """The server's name is sent (SNI)."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is asked of the fleet: the reference run, unless told otherwise. Durations in
    seconds."""

    target: str = TARGET
    """A ws:// or wss:// URL."""
    rate: Positive = 2000.0
    """Arrivals per second over the whole fleet."""
    max: Annotated[int, msgspec.Meta(ge=1, le=MAX_ARRIVALS)] = REFERENCE_CONNECTIONS
    """Connections started in all; more than fleet or target can hold is legal."""
    arrival: Literal["uniform", "poisson"] = "uniform"
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] = 0
    """Of everything random: Poisson arrivals, the choice of sessions and, with the number, each
    session's generator."""
    hold: NotNegative | Literal["sessions"] = 60.0
    """How long the plateau is held after the last arrival; `sessions`: until every session is
    over."""
    stop_after: NotNegative = 0.0
    """The run is drained after so long, whatever else it was to do; 0: never."""
    think: Positive = 30.0
    """The think time of the loop; one ping a turn."""
    loops: Annotated[int, msgspec.Meta(ge=0, le=MAX_ARRIVALS)] = 1000
    """Turns of the loop; then the connection closes normally."""
    ping: Literal["protocol", "app", "none"] = "protocol"
    """A PING frame, the text `{"type":"ping"}` (Appwrite), or a silent loop as in the reference
    run."""
    phases: tuple[Phase, ...] = ()
    """One after another, instead of `rate` and `max`."""
    sessions: tuple[SessionSpec, ...] = ()
    """Several kinds of users, instead of the loop that `think`, `loops` and `ping` describe."""
    targets: tuple[Target, ...] = ()
    """Several servers, instead of `target`; each user has one of them."""
    clients: tuple[AgentSpec, ...] = ()
    """The agents that are asked for more, or less, than others."""
    files: dict[str, str] = {}
    """The texts of the files that scripts read lines from, by id."""
    transport: Transport = Transport()

    def __post_init__(self) -> None:
        for at, what in self._faults():
            raise PlanError(f"`{at}` {what}")

    def _faults(self) -> Iterator[tuple[str, str]]:
        """What keeps it from being run: where, and what is wrong there."""
        for place, phase in enumerate(self.phases):
            yield from _below(f"phases[{place}]", phase.faults())
        yield from self._faults_of_totals()
        yield from self._faults_of_mixes()
        yield from _twice("sessions", "name", [session.name for session in self.sessions])
        yield from _twice("targets", "url", [target.url for target in self.targets])
        if self.targets and not any(target.weight for target in self.targets):
            yield (
                "targets",
                "have no `weight` above 0; give one to those that users are to begin with",
            )
        yield from _twice("clients", "name", [client.name for client in self.clients])

    def _faults_of_mixes(self) -> Iterator[tuple[str, str]]:
        names = [spec.name for spec in self.session_specs]
        for place, phase in enumerate(self.phases):
            for name in phase.sessions:
                if name not in names:
                    yield (
                        f"phases[{place}].sessions.{name}",
                        f"is none of the plan's sessions: {', '.join(names)}",
                    )

    def _faults_of_totals(self) -> Iterator[tuple[str, str]]:
        for place, phase in enumerate(self.phases):
            if phase.area > MAX_ARRIVALS:
                yield (
                    f"phases[{place}].rate",
                    f"brings {phase.area:.3g} connections; {MAX_ARRIVALS:,} are the most",
                )
        if self.phases and self.total == 0:
            yield "phases", "bring no connection at all; give one of them a `rate`"

    def redacted(self) -> "Plan":
        """Returns the plan without texts of sessions and files and values of headers: they may
        hold passwords."""
        sessions = tuple(
            msgspec.structs.replace(session, source="")
            if isinstance(session, PythonSession)
            else session
            for session in self.sessions
        )
        transport = msgspec.structs.replace(
            self.transport, headers=dict.fromkeys(self.transport.headers, "")
        )
        return msgspec.structs.replace(
            self, sessions=sessions, files=dict.fromkeys(self.files, ""), transport=transport
        )

    @property
    def overruled(self) -> frozenset[str]:
        """The keys that say nothing in this plan, since others say it instead."""
        return frozenset(
            key for other, keys in INSTEAD.items() if getattr(self, other) for key in keys
        )

    @property
    def schedule(self) -> Schedule | PhasedSchedule:
        """When each connection is due."""
        poisson = self.arrival == "poisson"
        if self.phases:
            return PhasedSchedule(self.phases, poisson=poisson, seed=self.seed)
        return Schedule(rate=self.rate, total=self.max, poisson=poisson, seed=self.seed)

    @property
    def total(self) -> int:
        """How many numbers there are: connections that arrive in all, those not counted that
        come back."""
        return self.schedule.total

    @property
    def asked(self) -> str:
        """What says how many arrive, in words."""
        return f"{self.total:,} arrivals in all phases" if self.phases else f"--max {self.total}"

    @property
    def phase_names(self) -> tuple[str, ...]:
        """What its phases are called; without any, all arrivals are one."""
        return tuple(
            phase.name or f"phase {place}" for place, phase in enumerate(self.phases, 1)
        ) or ("arrivals",)

    @property
    def servers(self) -> tuple[Target, ...]:
        """The targets that users have; a session may connect to others besides."""
        return self.targets or (Target(url=self.target),)

    @property
    def urls(self) -> tuple[str, ...]:
        """All that may be connected to, each once, the targets first."""
        own = [target.url for target in self.servers]
        return tuple(dict.fromkeys(own + [url for spec in self.sessions for url in urls_of(spec)]))

    @property
    def target_of(self) -> Pick:
        """From a user's number to the place of its target among the servers; made anew each
        time, so take it once."""
        return weighted_choice([server.weight for server in self.servers], self.seed, TARGETS)

    @property
    def session_of(self) -> Pick:
        """From a user's number to the place of what it does among the behaviours; take it once,
        as well."""
        usual = {spec.name: spec.weight for spec in self.session_specs}
        if not any(phase.sessions for phase in self.phases):
            return weighted_choice(list(usual.values()), self.seed, SESSIONS)
        mixes = [phase.sessions or usual for phase in self.phases]
        picks = [
            weighted_choice([mix.get(name, 0.0) for name in usual], self.seed, SESSIONS)
            for mix in mixes
        ]
        return weighted_choice_by_phase(
            [stretch.first for stretch in phase_arrivals_of(self.phases)], picks
        )

    @property
    def session_specs(self) -> tuple[SessionSpec, ...]:
        """The kinds of users there are; the built-in loop unless told otherwise."""
        return self.sessions or (
            Loop(name="loop", think=self.think, loops=self.loops, ping=self.ping),
        )

    def drain_at(self, gates: tuple[float, ...] = ()) -> float:
        """When the fleet is drained, in seconds from the start of the run; infinite as long as
        nobody knows.

        `gates` are the openings so far of the gates that phases wait at, in seconds from the start
        of the run.
        """
        latest = self.stop_after or inf
        schedule = self.schedule
        if self.hold == "sessions" or len(gates) < schedule.gates - 1:
            return latest
        return min(latest, (gates[-1] if gates else 0.0) + schedule.end() + self.hold)


def _below(at: str, faults: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((f"{at}.{key}" if key else at, what) for key, what in faults)


def _twice(table: str, key: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    for place, value in enumerate(values):
        if value in values[:place]:
            yield f"{table}[{place}].{key}", f"is {value!r} a second time; each must be its own"


def plan_of(options: dict[str, Any]) -> Plan:
    """The plan that options ask for; what can't be one raises a PlanError naming the option."""
    try:
        return msgspec.convert(options, Plan)
    except msgspec.ValidationError as error:
        raise PlanError(f"{error}".replace("`$.", "`--")) from error
