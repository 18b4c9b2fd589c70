"""Reads a whole Tsung configuration into a plan, with notes on what is left out."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from coordinator.tsung.clients import Fleet, read_clients
from coordinator.tsung.document import read_document
from coordinator.tsung.element import Element, Note, TsungError
from coordinator.tsung.load import AT_ONCE, Load, at_most, fits, read_load, with_singles
from coordinator.tsung.options import Options
from coordinator.tsung.servers import OVER_WEBSOCKET, TsungServer, read_servers
from coordinator.tsung.sessions import TsungSession, mixes, read_sessions, simplified
from coordinator.tsung.steps import Steps
from loadgen.errors import PlanError
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan, Target
from loadgen.plan.script import Change, SetVars, steps_in
from loadgen.plan.sessions import Script, SessionSpec
from loadgen.plan.transport import Transport


class Cast(NamedTuple):
    """The phases of a plan, and the weights of the sessions that run in them."""

    phases: list[Phase]
    weights: dict[str, float]

    def session_specs(
        self, sessions: Sequence[TsungSession], read_rate: float
    ) -> tuple[SessionSpec, ...]:
        """Returns the sessions that run, the silent ones as the built-in loop."""
        return tuple(
            simplified(
                Script(
                    name=one.name,
                    weight=self.weights[one.name],
                    read_rate=read_rate,
                    steps=one.steps,
                )
            )
            for one in sessions
            if one.name in self.weights
        )


def cast_of(load: Load, sessions: Sequence[TsungSession]) -> Cast:
    """Combines phases and sessions, and notes the sessions that never run."""
    mixed = mixes(sessions, load.arrivals)
    singles = _singles(load, sessions)
    running = {name for mix in mixed for name in mix} | {
        name for _, phase in singles for name in phase.sessions
    }
    for session in sessions:
        if session.name not in running:
            session.element.note("the session never runs; it is left out")
    weights = {
        session.name: session.popularity or 1.0 for session in sessions if session.name in running
    }
    phases = [
        replace(one.phase, sessions=mix) if one.phase.rate and mix != weights else one.phase
        for one, mix in zip(load.arrivals, mixed, strict=True)
    ]
    if not any(phase.rate for phase in phases) and not singles:
        raise load.arrivals[0].element.error(
            "no user ever arrives; give a phase a higher rate or a longer duration"
        )
    return Cast(with_singles(phases, singles) if singles else phases, weights)


def _singles(load: Load, sessions: Sequence[TsungSession]) -> list[tuple[float, Phase]]:
    """Returns the start time and the phase of each user with a `start_time`."""
    found = []
    for user in load.statics:
        if any(one.phase.wait for one in load.arrivals):
            raise user.element.error(
                "when a phase waits for the end of all sessions, no user has a time; take one out"
            )
        names = [session.name for session in sessions if fits(user.session, session.own_name)]
        if not names:
            raise user.element.error(f"there is no session {user.session!r}; write the name of one")
        found += [
            (user.at, Phase(name=f"one {name}", rate=AT_ONCE, max=1, sessions={name: 1.0}))
            for name in names
        ]
    return found


PARTS = ("information", "clients", "servers", "monitoring", "load", "options", "sessions")
NEEDED = ("clients", "servers", "load", "sessions")
MAX_REFUSALS = 50
"""The refused parts of a file that are named."""


class Imported(NamedTuple):
    """The plan of a configuration, and what the operator should know of it."""

    file: str
    plan: Plan
    notes: tuple[Note, ...]
    """Notes on what is left out or means something else, in the order of the file."""
    hosts: tuple[str, ...]
    """The machines that the load comes from; empty when it is this machine alone."""
    log: Literal["text", "json"]
    """The form of tsung.log that the configuration's backend writes."""


def read_tsung(path: Path, *, base: str = "", most: int | None = None) -> Imported:
    """Returns the plan in a Tsung configuration; `-` is standard input.

    A `base`, which is a URL without a path, replaces all servers; at most `most` users arrive in
    all. Raises TsungError with everything that is refused.
    """
    name = "standard input" if str(path) == "-" else str(path)
    refusals: list[TsungError] = []
    root, notes = read_document(_bytes_of(path), name, refusals)
    directory = Path() if str(path) == "-" else path.parent
    found: tuple[Plan, Fleet] | None = None
    with root.refusing():
        try:
            found = _read(root, directory, base, most)
        except TsungError:
            raise
        except (PlanError, msgspec.ValidationError) as error:
            raise root.error(f"the plan that it makes can't be run: {error}") from error
    if found is None:
        raise _all_of(refusals)
    plan, fleet = found
    log: Literal["text", "json"] = "json" if root.get("backend", "text") == "json" else "text"
    return Imported(name, plan, tuple(sorted(notes, key=lambda note: note.line)), fleet.hosts, log)


def _all_of(refusals: Sequence[TsungError]) -> TsungError:
    """Returns the refusals of a file as one error, in the order of their lines."""
    lines = dict.fromkeys(str(one) for one in sorted(refusals, key=lambda one: one.line))
    first, *further = lines
    shown = further[: MAX_REFUSALS - 1]
    if len(further) > len(shown):
        shown.append(f"{len(further) - len(shown)} further parts of the file are refused")
    return TsungError(first, shown)


def _bytes_of(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise TsungError(
            f"{path}: {error.strerror}; give the path of a Tsung configuration"
        ) from error


def _parts(root: Element) -> dict[str, Element]:
    """Returns the parts of the file by name.

    Refuses what is there twice, missing, or behind a part that depends on it.
    """
    if root.name != "tsung":
        raise root.error(f"<{root.name}> is no Tsung configuration; its root is <tsung>")
    parts: dict[str, Element] = {}
    for part in root.children:
        with part.refusing():
            if part.name not in PARTS:
                raise part.error(f"<{part.name}> is unknown in <tsung>; write {', '.join(PARTS)}")
            if part.name in parts:
                raise part.error(f"<{part.name}> is there already; put both into one")
            late = part.name == "options" and "sessions" in parts
            parts[part.name] = part
            if late:
                raise part.error(
                    "<options> after <sessions> come too late for them, in Tsung too; put them"
                    " before"
                )
    for name in NEEDED:
        with root.refusing():
            if name not in parts:
                raise root.error(f"there is no <{name}>; write it into <tsung>")
    return parts


def _note_omissions(root: Element, parts: dict[str, Element]) -> None:
    root.only("loglevel", "dumptraffic", "backend", "version")
    if root.get("dumptraffic", "false") != "false":
        root.note("dumptraffic writes nothing here; a run directory has every second's counts")
    if "monitoring" in parts:
        parts["monitoring"].note(
            "servers are not monitored from here; scrape them with Prometheus, and the agents too"
        )


def _read(root: Element, directory: Path, base: str, most: int | None) -> tuple[Plan, Fleet] | None:
    """Returns the plan and its agents; None where some of the file is refused."""
    parts = _parts(root)
    _note_omissions(root, parts)
    fleet = servers = load = None
    with root.refusing():
        fleet = read_clients(parts["clients"]) if "clients" in parts else None
    with root.refusing():
        servers = read_servers(parts["servers"]) if "servers" in parts else None
    before = root.refused
    with root.refusing():
        load = read_load(parts["load"]) if "load" in parts else None
    load = load if root.refused == before else None  # it may lack phases
    options = _options(parts, directory)
    if "sessions" not in parts:
        return None
    path = _shared_path(parts["sessions"], options)
    sessions = read_sessions(parts["sessions"], Steps(options, path, base), options.files)
    whole = len(sessions) == len(parts["sessions"].children)
    cast = cast_of(load, sessions) if load is not None and whole else None
    if root.refused or fleet is None or servers is None or load is None or cast is None:
        return None
    servers = [TsungServer(base, 1.0)] if base else servers
    targets = _targets(servers, sessions, path)
    if any(target.url.startswith("wss:") for target in targets):
        parts["servers"].note("the servers' certificates are not verified, as Tsung does it")
        options.transport["tls_verify"] = False
    options.transport |= _certificate_of([one for one in sessions if one.name in cast.weights])
    plan = Plan(
        **({"targets": targets} if len(targets) > 1 else {"target": targets[0].url}),
        arrival="poisson",
        seed=options.seed,
        hold="sessions",
        stop_after=load.stop_after,
        sessions=cast.session_specs(sessions, options.read_rate),
        clients=fleet.clients,
        files=_used(options.files, sessions),
        transport=Transport(**options.transport),
        **_arrival_fields(cast.phases if most is None else at_most(cast.phases, most)),
    )
    return msgspec.convert(msgspec.to_builtins(plan), Plan), fleet


def _options(parts: dict[str, Element], directory: Path) -> Options:
    """Returns the options; the types of the servers decide what some mean."""
    servers = parts["servers"].children if "servers" in parts else []
    kinds = [server.get("type") for server in servers]
    options = Options(directory, int(time.time()))
    options.over_websocket = all(kind in OVER_WEBSOCKET for kind in kinds)
    if "options" in parts:
        over_websocket = any(kind in OVER_WEBSOCKET for kind in kinds)
        options.read(parts["options"], over_websocket=over_websocket)
    return options


def _certificate_of(sessions: Sequence[TsungSession]) -> dict[str, str]:
    """Returns the fields of the transport for the certificate that all sessions set.

    Raises TsungError where they differ.
    """
    for one in sessions:
        if one.certificate != sessions[0].certificate:
            raise one.element.error(
                "its certificate is not that of the other sessions; give all of them the same, or"
                " run each in a plan of its own"
            )
    found = sessions[0].certificate if sessions else None
    if found is None:
        return {}
    given = {"tls_cert": found.cert, "tls_key": found.key}
    return {key: path for key, path in given.items() if path}


def _shared_path(sessions: Element, options: Options) -> str:
    """Returns the path of the targets: the first of a connect without variables."""
    default = options.path
    if any(one.get("type") in ("ts_mqtt", "ts_jabber") for one in sessions.children):
        return options.carrier_path
    for element in sessions.walk():
        if element.name == "websocket" and element.get("type") == "connect":
            path = element.get("path") or default
            if "%%" not in path:
                return path
    return "/"


def _targets(
    servers: list[TsungServer], sessions: list[TsungSession], path: str
) -> tuple[Target, ...]:
    """Returns the servers, and with weight 0 those that sessions change to."""
    targets = {server.base + path: server.weight for server in servers}
    changes = (
        step for session in sessions for step in steps_in(session.steps) if isinstance(step, Change)
    )
    for change in changes:
        targets.setdefault(change.url, 0.0)
    return tuple(Target(url=url, weight=weight) for url, weight in targets.items())


def _used(files: dict[str, str], sessions: list[TsungSession]) -> dict[str, str]:
    """Returns the files that sessions take lines from; the plan needs no others."""
    steps = (step for session in sessions for step in steps_in(session.steps))
    names = {step.file for step in steps if isinstance(step, SetVars)}
    return {name: text for name, text in files.items() if name in names}


def _arrival_fields(phases: list[Phase]) -> dict[str, Any]:
    """Returns the arrivals as fields of a plan.

    They are `rate` and `max` where the only phase lasts until its users have arrived.
    """
    phase = phases[0]
    if len(phases) == 1 and phase.max is not None and phase.max < phase.area and not phase.sessions:
        return {"rate": phase.rate, "max": phase.max}
    return {"phases": tuple(phases)}
