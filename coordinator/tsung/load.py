"""Reads <load>: the arrivals of users, as the plan's phases."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from msgspec.structs import replace

from coordinator.tsung.element import SECONDS_PER, Element
from loadgen.plan.phases import MAX_ARRIVALS, Phase

AT_ONCE = 1000.0
"""The rate of the phase in which a single user arrives: it lasts a thousandth of a second."""
MAX_PHASES = 10_000


class Setup(NamedTuple):
    """The popularity of sessions in one phase; the name may have `*` and `?`."""

    element: Element
    name: str
    popularity: float
    weighs: bool
    """True for a weight, false for a probability."""


class ArrivalPhase(NamedTuple):
    """One <arrivalphase>."""

    element: Element
    number: int
    phase: Phase
    setups: tuple[Setup, ...]


class Static(NamedTuple):
    """One <user>, which starts at the time that it says."""

    element: Element
    session: str
    at: float
    """In seconds from the start of the run."""


class Load(NamedTuple):
    """The phases and users of <load>."""

    arrivals: tuple[ArrivalPhase, ...]
    """In the order in which they take place, repeated as `loop` says."""
    statics: tuple[Static, ...]
    stop_after: float
    """Seconds after which the run is cut off; 0: never."""


def read_load(element: Element) -> Load:
    """Returns the phases in the order of their numbers, and the single users.

    Raises TsungError.
    """
    element.only("duration", "unit", "loop")
    arrivals, statics = [], []
    for child in element.children:
        with child.refusing():
            if child.name == "arrivalphase":
                arrivals.append(_arrivals(child))
            elif child.name == "user":
                statics.append(_static(child))
            else:
                raise child.error(
                    f"<{child.name}> is unknown in <load>; write <arrivalphase> or <user>"
                )
    if not element.children:
        raise element.error("no user ever arrives; write an <arrivalphase>")
    ordered = sorted(arrivals, key=lambda one: one.number)
    for before, after in pairwise(ordered):
        with after.element.refusing():
            if before.number == after.number:
                raise after.element.error(
                    f"phase {after.number} is there already; give it another number"
                )
    loops = element.integer("loop", 0)
    if len(ordered) * (loops + 1) > MAX_PHASES:
        raise element.error(f"{loops} loops make more than {MAX_PHASES:,} phases; write fewer")
    repeated = [_named(one, turn) for turn in range(loops + 1) for one in ordered]
    stop_after = element.seconds("duration") if element.get("duration") else 0.0
    return Load(tuple(repeated), tuple(sorted(statics, key=lambda one: one.at)), stop_after)


def _named(arrivals: ArrivalPhase, turn: int) -> ArrivalPhase:
    name = f"{arrivals.number}" if not turn else f"{arrivals.number}, turn {turn + 1}"
    return arrivals._replace(phase=replace(arrivals.phase, name=name))


def _arrivals(element: Element) -> ArrivalPhase:
    element.only("phase", "duration", "unit", "wait_all_sessions_end")
    users, setups = element.all("users"), element.all("session_setup")
    for child in element.children:
        if child not in users and child not in setups:
            raise child.error(
                f"<{child.name}> is unknown in <arrivalphase>; write <users> or <session_setup>"
            )
    if not users:
        raise element.error('the phase has no users; write <users arrivalrate="…" unit="second"/>')
    for earlier in users[:-1]:
        earlier.note("only the last <users> of a phase counts, in Tsung too; this one is left out")
    duration = element.seconds("duration")
    if duration <= 0:
        raise element.error("a phase needs a duration above 0; write it")
    wait = element.flag("wait_all_sessions_end")
    return ArrivalPhase(
        element,
        element.integer("phase"),
        _phase(users[-1], duration, wait=wait),
        tuple(map(_setup, setups)),
    )


def _phase(users: Element, duration: float, *, wait: bool) -> Phase:
    users.only("arrivalrate", "interarrival", "unit", "maxnumber")
    rate = _rate(users)
    most = users.integer("maxnumber") if users.get("maxnumber") else None
    if rate * duration > MAX_ARRIVALS:
        raise users.error(
            f"more than {MAX_ARRIVALS:,} users would arrive; write a lower rate or a shorter"
            " duration"
        )
    if min(round(rate * duration), most if most is not None else 1) == 0:
        users.note("no user arrives in this phase; it is a pause")
        return Phase(duration=duration, wait=wait)
    return Phase(rate=rate, duration=duration, max=most, wait=wait)


def _rate(users: Element) -> float:
    """Returns the arrivals per second."""
    if bool(users.get("arrivalrate")) == bool(users.get("interarrival")):
        raise users.error(
            "<users> needs one of arrivalrate and interarrival, and not both; write one"
        )
    unit = SECONDS_PER[users.choice("unit", tuple(SECONDS_PER), "second")]
    if users.get("arrivalrate"):
        return users.number("arrivalrate", above=0.0) / unit
    return 1.0 / (users.number("interarrival", above=0.0) * unit)


def _setup(element: Element) -> Setup:
    element.only("name", "probability", "weight")
    if bool(element.get("probability")) == bool(element.get("weight")):
        raise element.error(
            "<session_setup> needs one of probability and weight, and not both; write one"
        )
    kind = "weight" if element.get("weight") else "probability"
    popularity = element.number(kind)
    if popularity < 0:
        raise element.error(f"a {kind} is not below 0; write 0 or more")
    return Setup(element, element.need("name"), popularity, kind == "weight")


def _static(element: Element) -> Static:
    element.only("session", "start_time", "unit")
    at = element.seconds("start_time")
    if at < 0:
        raise element.error("start_time is not below 0; write when the user starts")
    return Static(element, element.need("session"), at)


def fits(wildcard: str, name: str) -> bool:
    """True when a name matches a wildcard with `*` and `?`."""
    pattern = re.escape(wildcard).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(pattern, name, re.DOTALL) is not None


def with_singles(phases: Sequence[Phase], singles: Sequence[tuple[float, Phase]]) -> list[Phase]:
    """Returns the phases with single ones put in at their times.

    The times are in seconds from the start of the run, and ascend. A phase that is under way then
    is cut in two with its arrivals in proportion: each part of a Poisson process is one too.
    """
    found: list[Phase] = []
    rest = list(phases)
    now = 0.0
    for at, single in singles:
        while rest and now + rest[0].length <= at:
            found.append(rest.pop(0))
            now += found[-1].length
        if at > now and rest:
            first, rest[0] = _cut(rest[0], at - now)
            found.append(first)
            now = at
        elif at > now:
            found.append(Phase(duration=at - now))
            now = at
        found.append(single)
    return found + rest


def _cut(phase: Phase, after: float) -> tuple[Phase, Phase]:
    """Cuts a phase in two parts, the first one `after` seconds long."""
    lengths = after, phase.length - after
    first = (
        round(phase.arrivals * min(1.0, after * phase.rate / phase.arrivals))
        if phase.arrivals
        else 0
    )
    one, other = map(_part, (phase, phase), (first, phase.arrivals - first), lengths)
    return replace(one, wait=False), other


def _part(phase: Phase, arrivals: int, length: float) -> Phase:
    if not arrivals:
        return Phase(name=phase.name, duration=length, wait=phase.wait)
    # The rate never rounds an arrival away.
    return replace(phase, rate=max(phase.rate, arrivals / length), max=arrivals, duration=length)


def at_most(phases: Sequence[Phase], most: int) -> list[Phase]:
    """Returns the phases up to the arrival of user number `most`."""
    found = []
    left = most
    for phase in phases:
        if left <= 0:
            break
        found.append(
            replace(phase, max=min(left, phase.arrivals)) if phase.arrivals > left else phase
        )
        left -= phase.arrivals
    return found
