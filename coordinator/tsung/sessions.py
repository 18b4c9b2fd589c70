"""Reads <sessions>: what users do, and the part of them that does it."""

from collections.abc import Sequence
from typing import NamedTuple

from coordinator.tsung.element import Element
from coordinator.tsung.load import ArrivalPhase, fits
from coordinator.tsung.options import ClientCertificate
from coordinator.tsung.steps import NOT_BIDI, SESSION_TYPES, Steps
from loadgen.plan.script import (
    Close,
    Connect,
    For,
    HttpStep,
    Option,
    SetVars,
    Step,
    Think,
    steps_in,
)
from loadgen.plan.script_check import ScriptError, check, unset_in
from loadgen.plan.sessions import MIN_THINK, Loop, Script


def simplified(script: Script) -> Loop | Script:
    """Returns the built-in silent loop for a script that does the same.

    Any other script is returned as it is.

    Such a script connects to the plan's target, and then has fixed think times only.
    """
    steps = script.steps[:-1] if script.steps and script.steps[-1] == Close() else script.steps
    if not steps or steps[0] != Connect():
        return script
    rest = steps[1:]
    seconds = quiet(rest)
    loops = 1
    if (
        len(rest) == 1
        and isinstance(rest[0], For)
        and (turn := quiet(rest[0].steps))
        and turn >= MIN_THINK
    ):
        seconds = turn
        loops = turns_of(rest[0]) or 0
    if seconds is None or seconds < MIN_THINK or not loops:
        return script
    return Loop(
        name=script.name,
        weight=script.weight,
        read_rate=script.read_rate,
        ping="none",
        think=seconds,
        loops=loops,
    )


def quiet(steps: Sequence[Step]) -> float | None:
    """Returns the seconds that the steps wait in all.

    It is None where they do something else, or where the time is not fixed.
    """
    total = 0.0
    for step in steps:
        if (
            isinstance(step, Think)
            and isinstance(step.seconds, float)
            and not step.random
            and step.upto is None
        ):
            total += step.seconds
        elif (
            isinstance(step, For)
            and (turns := turns_of(step))
            and (turn := quiet(step.steps)) is not None
        ):
            total += turns * turn
        else:
            return None
    return total


def turns_of(loop: For) -> int | None:
    """Returns the number of turns of a `for`, at least one.

    It is None where the number depends on variables, or the loop never ends.
    """
    if isinstance(loop.first, str) or isinstance(loop.last, str):
        return None
    if loop.first >= loop.last:
        return 1
    return 1 - (loop.first - loop.last) // loop.step if loop.step > 0 else None


TOLERANCE = 0.05
"""The most by which the sum of probabilities may miss 100."""


class TsungSession(NamedTuple):
    """One <session>."""

    element: Element
    name: str
    """Unique: a number follows a name that an earlier session has."""
    own_name: str
    """The name in the configuration."""
    popularity: float
    weighs: bool
    """True for a weight, false for a probability."""
    steps: tuple[Step, ...]
    certificate: ClientCertificate | None
    """The client's certificate that it sets, if any."""


def read_sessions(element: Element, steps: Steps, files: dict[str, str]) -> list[TsungSession]:
    """Returns the sessions; raises TsungError for one that can't be played."""
    sessions: list[TsungSession] = []
    for child in element.children:
        before = child.refused
        with child.refusing():
            if child.name != "session":
                raise child.error(f"<{child.name}> is unknown in <sessions>; write <session>")
            session = _session(child, steps, [session.own_name for session in sessions])
            sessions.append(session)
            if child.refused == before and _files_of(session) <= files.keys():
                _check(session, steps, files)  # all of it is there
    if not element.children:
        raise element.error("there is no <session>; write what a user does")
    return sessions


def _session(element: Element, steps: Steps, names: Sequence[str]) -> TsungSession:
    element.only("name", "probability", "weight", "type", "bidi", "persistent")
    kind = element.need("type")
    if kind not in SESSION_TYPES:
        raise element.error(
            f"unsupported session type {kind}: loadgen speaks WebSocket; take the session out"
        )
    if kind in ("ts_mqtt", "ts_jabber") and not steps.over_websocket:
        raise element.error(
            f"{kind} over TCP is not spoken; if the server takes WebSocket too, write its port and"
            ' <server type="websocket">, and the option websocket_path'
        )
    if kind == "ts_websocket" and not element.flag("bidi", default=True):
        element.note_once(NOT_BIDI)
    if not element.flag("persistent", default=True):
        element.note(
            'persistent="false" makes no difference: a session ends with its last connection'
        )
    if bool(element.get("probability")) == bool(element.get("weight")):
        raise element.error(
            "<session> needs one of probability and weight, and not both; write one"
        )
    by = "weight" if element.get("weight") else "probability"
    popularity = element.number(by)
    if popularity < 0:
        raise element.error(f"a {by} is not below 0; write 0 or more")
    name, before = element.need("name"), names.count(element.get("name"))
    return TsungSession(
        element,
        f"{name} {before + 1}" if before else name,
        name,
        popularity,
        by == "weight",
        steps.read_session(element, kind),
        steps.certificate,
    )


def _files_of(session: TsungSession) -> set[str]:
    """Returns the names of the files that a session takes lines from."""
    return {one.file for one in steps_in(session.steps) if isinstance(one, SetVars) and one.file}


def _check(session: TsungSession, steps: Steps, files: dict[str, str]) -> None:
    """Refuses a step that can't be played, at its line; notes unset variables."""
    flat = list(steps_in(session.steps))
    if any(isinstance(step, HttpStep) for step in flat) and not any(
        isinstance(step, Connect) for step in flat
    ):
        raise session.element.error(
            "the session sends HTTP requests alone: here a user is a connection, and one without"
            " counts as failed; take it out, or change_type to ts_websocket and connect"
        )
    try:
        check(session.steps, files)
    except ScriptError as error:
        raise (steps.origin(error.step) if error.step is not None else session.element).error(
            f"{error}"
        ) from error
    for unset in unset_in(session.steps):
        steps.origin(unset.step).note(
            f"variable {unset.name!r} is set nowhere: it gives the text undefined, in Tsung too"
        )
    for at, step in enumerate(flat):
        if isinstance(step, Option) and not any(isinstance(later, Connect) for later in flat[at:]):
            origin = steps.origin(step)
            raise origin.error(
                "an option holds for connections that open after it; put it before the connect"
                " request"
            )


def mixes(
    sessions: Sequence[TsungSession], arrivals: Sequence[ArrivalPhase]
) -> list[dict[str, float]]:
    """Returns for each phase the popularity of its sessions, without those at 0.

    Raises TsungError where probabilities do not add up to 100.
    """
    setups = [setup for one in arrivals for setup in one.setups]
    kinds = [(each.element, each.weighs) for each in sessions] + [
        (each.element, each.weighs) for each in setups
    ]
    for element, weighs in kinds:
        if weighs is not sessions[0].weighs:
            raise element.error(
                "weights and probabilities can't be mixed, in setups of phases either; write one"
                " kind"
            )
    for setup in setups:
        if not any(fits(setup.name, session.own_name) for session in sessions):
            setup.element.note(f"no session has the name {setup.name!r}; it is left out")
    return [_mix(sessions, one) for one in arrivals]


def _mix(sessions: Sequence[TsungSession], arrivals: ArrivalPhase) -> dict[str, float]:
    found = {session.name: session.popularity for session in sessions}
    for setup in arrivals.setups:
        found |= {
            session.name: setup.popularity
            for session in sessions
            if fits(setup.name, session.own_name)
        }
    total = sum(found.values())
    where = arrivals.element if arrivals.setups else sessions[0].element
    if not sessions[0].weighs and abs(total - 100) >= TOLERANCE:
        raise where.error(f"the probabilities of all sessions add up to {total:g}; make them 100")
    if not total:
        raise where.error("no session has a weight above 0; give one to those that are to run")
    return {name: popularity for name, popularity in found.items() if popularity}
