"""The plan of a run, from options, a TOML file or a Tsung configuration."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec

from loadgen.errors import PlanError
from loadgen.plan.clients import AgentSpec
from loadgen.plan.feeder import FEEDER_SALT, Feeder, PlaceOf, Ranks, feeder_mistakes, place_of
from loadgen.plan.params import Param, param_mistakes
from loadgen.plan.phases import MAX_ARRIVALS, NotNegative, Phase, Positive
from loadgen.plan.publish import Publish
from loadgen.plan.redaction import redacted_params, redacted_publish, redacted_session
from loadgen.plan.schedule import Arriving, PhasedSchedule, Schedule, phase_arrivals_of
from loadgen.plan.secrets import shown_url, shown_urls
from loadgen.plan.seeded import Pick, weighted_choice, weighted_choice_by_phase
from loadgen.plan.sessions import (
    MAX_BYTES,
    MAX_FILES,
    Loop,
    PythonSession,
    Script,
    SessionSpec,
    ThinkTime,
    urls_of,
)
from loadgen.plan.setup import DATA, SetupSpec
from loadgen.plan.template import filled
from loadgen.plan.transport import Transport
from loadgen.values import APPWRITE_PATH, REFERENCE_CONNECTIONS, UNIX

TARGET = "ws://127.0.0.1:9505/v1/realtime?project=console&channels[]=files"
TARGET_SALT = 1_000_001
"""The salt of the draw of a user's target; phases and users' generators have small ones."""
SESSION_SALT = 1_000_002
"""The salt of the draw of a user's session."""
OVERRULES = {
    "phases": ("rate", "max"),
    "sessions": ("think", "loops", "ping"),
    "targets": ("target",),
}
"""The keys that a key overrules, where it is given."""
Grain = Literal["auto", "1ms", "5ms", "50ms"]
"""How exact launches and pings may be."""


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of several servers to load."""

    url: str
    weight: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 1.0
    """Its part of all users, in proportion to the others' weights; 0: only for sessions that name
    it."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole request to the fleet; the defaults are the reference run.

    Durations are in seconds.
    """

    target: str = TARGET
    """A ws:// or wss:// URL. The key of a plan file, and no more: `servers` are the targets."""
    rate: Positive = 2000.0
    """Arrivals per second over the whole fleet."""
    max: Annotated[int, msgspec.Meta(ge=1, le=MAX_ARRIVALS)] = REFERENCE_CONNECTIONS
    """Connections started in all; it may be more than fleet or target can hold."""
    arrival: Literal["uniform", "poisson"] = "uniform"
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] = 0
    """The seed of everything random: Poisson arrivals, the choice of sessions and, with its number,
    each user's generator."""
    hold: NotNegative | Literal["sessions"] = 60.0
    """Seconds that the plateau is held after the last arrival; `sessions`: until every session is
    over."""
    stop_after: NotNegative = 0.0
    """Seconds after which the run is drained, whatever is still to come; 0: never."""
    think: ThinkTime = 30.0
    """The think time of the loop in seconds; one ping a turn."""
    loops: Annotated[int, msgspec.Meta(ge=0, le=MAX_ARRIVALS)] = 1000
    """Turns of the loop; then the connection closes normally."""
    ping: Literal["protocol", "app", "none"] = "protocol"
    """A PING frame, the text `{"type":"ping"}` (Appwrite), or a silent loop as in the reference
    run."""
    phases: tuple[Phase, ...] = ()
    """The phases one after another, instead of `rate` and `max`."""
    sessions: tuple[SessionSpec, ...] = ()
    """The sessions of several kinds of users, instead of the loop that `think`, `loops` and `ping`
    describe."""
    targets: tuple[Target, ...] = ()
    """Several servers, instead of `target`; each user has one of them."""
    clients: tuple[AgentSpec, ...] = ()
    """What is asked of single agents."""
    files: dict[str, str] = {}
    """The texts of the files that scripts read lines from, by id."""
    feeders: tuple[Feeder, ...] = ()
    """The data that each user has a row of."""
    transport: Transport = Transport()
    grain: Grain = "auto"
    """How exact launches and pings are; `auto`: 1 ms, and 5 ms on a worker that launches 5,000
    users or sends 2,000 pings a second."""
    publish: Publish | None = None
    """The publications whose delivery is measured, if any."""
    params: dict[str, Param] = {}
    """The parameters, one value for all users; those of a plan file are their defaults."""
    expect: tuple[str, ...] = ()
    """The expectations that decide whether the run passes, as --expect takes them."""
    abort_on: tuple[str, ...] = ()
    """The conditions that end the run early, as --abort-on takes them."""
    watch: tuple[str, ...] = ()
    """The exporters that are scraped each second, as --watch takes them: NAME=URL."""
    setup: SetupSpec | None = None
    """What one agent does before the load and after it, if anything."""

    def __post_init__(self) -> None:
        for at, what in self._mistakes():
            raise PlanError(f"`{at}` {what}")

    def _mistakes(self) -> Iterator[tuple[str, str]]:
        """Yields each mistake in it: the path of the key, and what is wrong there."""
        for place, phase in enumerate(self.phases):
            yield from _prefixed(f"phases[{place}]", phase.mistakes())
        yield from self._mistakes_in_totals()
        yield from self._mistakes_in_mixes()
        yield from _duplicates("sessions", "name", [session.name for session in self.sessions])
        travel = [len(file.data) for code in self.python_code for file in code.files]
        if len(travel) > 2 * MAX_FILES or sum(travel) > 2 * MAX_BYTES:
            yield (
                "sessions",
                f"bring {len(travel):,} files of {sum(travel):,} bytes; {2 * MAX_FILES:,} files and"
                f" {2 * MAX_BYTES >> 20} MiB may travel with all sessions together",
            )
        yield from self._mistakes_in_modules()
        for place, session in enumerate(self.sessions):
            for number, reply in enumerate(session.reply):
                yield from _prefixed(f"sessions[{place}].reply[{number}]", reply.mistakes())
        yield from _duplicates("targets", "url", [target.url for target in self.targets])
        if self.targets and not any(target.weight for target in self.targets):
            yield (
                "targets",
                "have no `weight` above 0; give one to those that users begin with",
            )
        yield from _duplicates("clients", "name", [client.name for client in self.clients])
        yield from feeder_mistakes(self.feeders, [spec.name for spec in self.session_specs])
        yield from _prefixed("params", self._mistakes_in_params())
        if self.setup is not None:
            yield from _prefixed("setup", self._mistakes_in_setup())
        yield from _prefixed("transport", self.transport.mistakes())
        if self.publish is not None:
            yield from _prefixed("publish", self.publish.mistakes())
            yield from _prefixed("publish", self._mistakes_in_publish(self.publish))

    def _mistakes_in_params(self) -> Iterator[tuple[str, str]]:
        yield from param_mistakes(self.params)
        for feeder in self.feeders:
            for column in feeder.columns:
                if column in self.params:
                    yield column, f"is a column of the feeder {feeder.name!r} too; rename one"

    def _mistakes_in_setup(self) -> Iterator[tuple[str, str]]:
        for spec in self.sessions:
            if isinstance(spec, Script) and DATA in (*self.params, *self.columns_of(spec.name)):
                yield (
                    "",
                    f"gives scripts the variable {DATA!r}, which is a parameter or a column of a"
                    " feeder too; rename that",
                )

    def _mistakes_in_publish(self, publish: Publish) -> Iterator[tuple[str, str]]:
        names = [spec.name for spec in self.session_specs]
        for name in publish.sessions:
            if name not in names:
                yield "sessions", f"names {name!r}; the plan's sessions are {', '.join(names)}"
        if publish.by == "session" and not any(
            isinstance(spec, PythonSession) for spec in self.sessions
        ):
            yield "by", "is `session`, but no session is in Python; one has to call user.stamp()"
        if publish.by == "http" and not publish.url and self.urls[0].lower().startswith(UNIX):
            yield "url", "is needed where the first target is a Unix socket; give an http:// one"
        if self.hold != "sessions" and publish.begin == "plateau" and self.hold <= publish.lead:
            yield (
                "begin",
                f"is `plateau`, but nothing is sent in the last {publish.lead:g} s of the hold of"
                f" {self.hold:g} s; hold longer",
            )

    def _mistakes_in_mixes(self) -> Iterator[tuple[str, str]]:
        names = [spec.name for spec in self.session_specs]
        for place, phase in enumerate(self.phases):
            for name in phase.sessions:
                if name not in names:
                    yield (
                        f"phases[{place}].sessions.{name}",
                        f"is none of the plan's sessions: {', '.join(names)}",
                    )

    def _mistakes_in_modules(self) -> Iterator[tuple[str, str]]:
        """Yields each module that two folders have: a worker imports one of them."""
        known: dict[str, tuple[str, str]] = {}
        for place, session in enumerate(self.python_sessions):
            folder = session.file.rpartition("/")[0]
            for file in session.files:
                if not file.path.endswith(".py") or file.path == "__init__.py":
                    continue
                first = known.setdefault(file.path, (folder, file.sha256))
                if first[0] != folder and first[1] != file.sha256:
                    yield (
                        "sessions",
                        f"{place} has {file.path} in {folder or '.'}, and another one is in"
                        f" {first[0] or '.'}; rename one, or put the sessions into one folder",
                    )

    def _mistakes_in_totals(self) -> Iterator[tuple[str, str]]:
        for place, phase in enumerate(self.phases):
            if phase.area > MAX_ARRIVALS:
                yield (
                    f"phases[{place}].rate",
                    f"brings {phase.area:.3g} connections; {MAX_ARRIVALS:,} is the maximum",
                )
        if self.phases and self.total == 0:
            yield "phases", "bring no connection at all; give one of them a `rate`"

    def redacted(self) -> "Plan":
        """Returns the plan without what may be secret: what is shown of it.

        It is without the sources of sessions, their files and what their steps send, the texts of
        `files`, the rows of feeders, the values of headers, what is published, the secret values of
        URLs and parameters, the credentials for the proxy, and the paths of keys and certificates.
        """
        urls = self.shown_urls
        shown = self.for_agents
        return msgspec.structs.replace(
            shown,
            target=shown_url(self.target),
            targets=tuple(
                msgspec.structs.replace(target, url=urls[target.url]) for target in self.targets
            ),
            sessions=tuple(
                redacted_session(session, lambda url: urls.get(url) or shown_url(url))
                for session in self.sessions
            ),
            files=dict.fromkeys(self.files, ""),
            transport=self.transport.redacted(),
            publish=shown.publish and redacted_publish(shown.publish),
            params=redacted_params(self.params),
            watch=tuple(map(shown_url, self.watch)),
            setup=self.setup and self.setup.redacted(),
        )

    @property
    def for_agents(self) -> "Plan":
        """The plan as agents get it: without rows, exporters, the publisher's headers.

        Only the coordinator publishes by HTTP and scrapes, and both may need its keys. Agents ask
        for the rows.
        """
        publish = self.publish
        if publish is not None:
            publish = msgspec.structs.replace(publish, headers=dict.fromkeys(publish.headers, ""))
        feeders = tuple(feeder.without_rows for feeder in self.feeders)
        return msgspec.structs.replace(self, publish=publish, feeders=feeders, watch=())

    @property
    def filled(self) -> "Plan":
        """The plan with its parameters in its URLs and headers, in place of `%%name%%`."""
        if not self.params:
            return self
        values, publish = self.params, self.publish
        return msgspec.structs.replace(
            self,
            target=filled(self.target, values),
            targets=tuple(
                msgspec.structs.replace(target, url=filled(target.url, values))
                for target in self.targets
            ),
            transport=msgspec.structs.replace(
                self.transport, headers=_filled(self.transport.headers, values)
            ),
            publish=publish
            and msgspec.structs.replace(
                publish,
                url=filled(publish.url, values),
                headers=_filled(publish.headers, values),
            ),
        )

    @property
    def kept(self) -> "Plan":
        """The plan as a run directory has it: rows are in files of their own."""
        return msgspec.structs.replace(self, feeders=tuple(feeder.kept for feeder in self.feeders))

    @property
    def overruled(self) -> frozenset[str]:
        """The keys that have no effect in this plan, since others overrule them."""
        return frozenset(
            key for other, keys in OVERRULES.items() if getattr(self, other) for key in keys
        )

    @property
    def schedule(self) -> Schedule | PhasedSchedule:
        """The schedule: when each connection is due."""
        poisson = self.arrival == "poisson"
        if self.phases:
            return PhasedSchedule(self.phases, poisson=poisson, seed=self.seed)
        return Schedule(rate=self.rate, total=self.max, poisson=poisson, seed=self.seed)

    @property
    def peak_rate(self) -> float:
        """The most arrivals per second that it asks for."""
        return max((max(phase.rate, phase.last_rate) for phase in self.phases), default=self.rate)

    @property
    def peak_pings(self) -> float:
        """The pings per second of its built-in loops while all of its users are there."""
        specs = self.session_specs
        weight = sum(spec.weight for spec in specs)
        loops = (spec for spec in specs if isinstance(spec, Loop) and spec.ping != "none")
        return sum(self.total * loop.weight / weight / loop.think for loop in loops)

    @property
    def peak_deliveries(self) -> float:
        """The messages per second of HTTP publications while all of its users are there."""
        publish = self.publish
        if publish is None or publish.by != "http":
            return 0.0
        channels = publish.channels_in(self.urls)
        weight = sum(server.weight for server in self.servers)
        reached = (
            server.weight * len({"", *publish.channels_of(server.url)}.intersection(channels))
            for server in self.servers
        )
        return publish.rate * self.total * sum(reached) / weight / len(channels)

    @property
    def total(self) -> int:
        """The number of users that arrive in all; one that comes back counts once."""
        return self.schedule.total

    @property
    def asked(self) -> str:
        """The option or the phases that say how many users arrive, for messages."""
        return f"{self.total:,} arrivals in all phases" if self.phases else f"--max {self.total}"

    @property
    def phase_names(self) -> tuple[str, ...]:
        """The names of its phases; without phases all arrivals are one."""
        return tuple(
            phase.name or f"phase {place}" for place, phase in enumerate(self.phases, 1)
        ) or ("arrivals",)

    @property
    def servers(self) -> tuple[Target, ...]:
        """The targets that users have; a session may connect to further ones."""
        return self.targets or (Target(url=self.target),)

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs that users connect to, each once, the targets first."""
        own = [target.url for target in self.servers]
        return tuple(dict.fromkeys(own + [url for spec in self.sessions for url in urls_of(spec)]))

    @property
    def shown_urls(self) -> dict[str, str]:
        """Its URLs, each with the form in which it is shown: without secrets."""
        return shown_urls(self.urls)

    @property
    def secure(self) -> bool:
        """True when users connect to a wss:// URL."""
        return any(url.lower().startswith("wss:") for url in self.urls)

    @property
    def insecure(self) -> bool:
        """True when any certificate of a wss:// server is accepted."""
        return self.secure and not self.transport.tls_verify

    @property
    def appwrite(self) -> bool:
        """True where connections without a session go to a project of Appwrite's.

        Its server says yes or no after the 101; a session talks to a server of its own.
        """
        url = urlsplit(self.urls[0])
        scripted = any(isinstance(spec, PythonSession | Script) for spec in self.session_specs)
        project = "project" in dict(parse_qsl(url.query))
        return url.path == APPWRITE_PATH and project and not scripted

    @property
    def target_of(self) -> Pick:
        """The function from a user's number to the place of its target among `servers`.

        It is made anew each time, so take it once.
        """
        return weighted_choice([server.weight for server in self.servers], self.seed, TARGET_SALT)

    @property
    def session_of(self) -> Pick:
        """The function from a user's number to the place of its session.

        It is made anew each time, so take it once.
        """
        weights = {spec.name: spec.weight for spec in self.session_specs}
        if not any(phase.sessions for phase in self.phases):
            return weighted_choice(list(weights.values()), self.seed, SESSION_SALT)
        mixes = [phase.sessions or weights for phase in self.phases]
        picks = [
            weighted_choice([mix.get(name, 0.0) for name in weights], self.seed, SESSION_SALT)
            for mix in mixes
        ]
        return weighted_choice_by_phase(
            [arrivals.first for arrivals in phase_arrivals_of(self.phases)], picks
        )

    def places_of(self, feeder: Feeder) -> PlaceOf:
        """Returns the function from a user's number to the place of its row in a feeder.

        It is made anew each time, so take it once.
        """
        fed = [place for place, spec in enumerate(self.session_specs) if feeder.feeds(spec.name)]
        rank = None if len(fed) == len(self.session_specs) else Ranks(self.session_of, fed)
        return place_of(feeder, FEEDER_SALT + self.feeders.index(feeder), self.seed, rank)

    def variables_of(self, session: str) -> tuple[str, ...]:
        """Returns the names of the variables that the users of a session begin with."""
        data = () if self.setup is None else (DATA,)
        return (*data, *self.params, *self.columns_of(session))

    def columns_of(self, session: str) -> tuple[str, ...]:
        """Returns the names of the fields that the users of a session have rows of."""
        fed = (feeder for feeder in self.feeders if feeder.feeds(session))
        return tuple(column for feeder in fed for column in feeder.columns)

    @property
    def session_specs(self) -> tuple[SessionSpec, ...]:
        """The sessions that users have; the built-in loop where the plan names none."""
        return self.sessions or (
            Loop(name="loop", think=self.think, loops=self.loops, ping=self.ping),
        )

    @property
    def python_sessions(self) -> tuple[PythonSession, ...]:
        """The sessions in Python among its own."""
        return tuple(spec for spec in self.sessions if isinstance(spec, PythonSession))

    @property
    def python_code(self) -> tuple[PythonSession, ...]:
        """The code in Python that agents run: sessions, and setup."""
        return self.python_sessions + (() if self.setup is None else (self.setup.code(),))

    def drain_at(self, gates: tuple[float, ...] = (), schedule: Arriving | None = None) -> float:
        """Returns when the fleet is drained, in seconds from the start of the run.

        `gates` are the openings so far of the gates that phases wait at, in seconds from the start
        of the run; `schedule` is the plan's own unless it was changed. The result is infinite until
        it is known.
        """
        latest = self.stop_after or inf
        schedule = schedule or self.schedule
        if self.hold == "sessions" or len(gates) < schedule.gates - 1:
            return latest
        return min(latest, (gates[-1] if gates else 0.0) + schedule.end() + self.hold)


def _filled(headers: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    return {name: filled(value, values) for name, value in headers.items()}


def _prefixed(at: str, mistakes: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((f"{at}.{key}" if key else at, what) for key, what in mistakes)


def _duplicates(table: str, key: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    for place, value in enumerate(values):
        if value in values[:place]:
            yield f"{table}[{place}].{key}", f"is {value!r} a second time; give each its own"


def plan_of(options: dict[str, Any]) -> Plan:
    """Returns the plan that options ask for.

    Raises PlanError, which names the option.
    """
    try:
        return msgspec.convert(options, Plan)
    except msgspec.ValidationError as error:
        raise PlanError(f"{error}".replace("`$.", "`--")) from error
