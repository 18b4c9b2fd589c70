"""Plan files: TOML in, a plan out that can be run, and back again. A mistake is told with its
line and its key."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from msgspec.structs import replace

from loadgen.errors import PlanError
from loadgen.machine.addresses import parse_ports, parse_sources
from loadgen.net.tls import context_of
from loadgen.net.url import TargetUrl
from loadgen.plan.plan import INSTEAD, Plan
from loadgen.plan.script import Step
from loadgen.plan.script_check import ScriptError, check
from loadgen.plan.session_file import embedded
from loadgen.plan.sessions import PythonSession, Script, urls_of
from loadgen.values import seconds_of

Keys = tuple[str | int, ...]
"""The way to a value: keys of tables, places in arrays."""
_STEP = re.compile(r"\.?([A-Za-z0-9_-]+)|\[(\d+)\]")


def keys_of(path: str) -> Keys:
    """The way that a path like `phases[0].rate` tells, as far as it can be read."""
    keys: list[str | int] = []
    at = 0
    while (step := _STEP.match(path, at)) is not None:
        keys.append(step[1] if step[1] is not None else int(step[2]))
        at = step.end()
    return tuple(keys)


def line_of(text: str, keys: Keys) -> int | None:
    """The line, from 1 on, that ends the first text in which a value is there; of what it is in,
    where it is missing.

    None where not even that is there. A value of several lines stands in its last one.
    """
    while keys and not _holds(tomllib.loads(text), keys):
        keys = keys[:-1]
    return _first_line(text.split("\n"), keys) if keys else None


def _first_line(lines: Sequence[str], keys: Keys) -> int:
    """By halving: the value is not there in the first `low` lines, it is in the first `high`."""
    low, high = 0, len(lines)
    while high - low > 1:
        middle = (low + high) // 2
        found = _readable(lines, middle, low)
        if found is not None and _holds(found[1], keys):
            high = found[0]
        else:
            low = middle
    return high


def _readable(lines: Sequence[str], most: int, least: int) -> tuple[int, dict[str, Any]] | None:
    """The longest beginning of at most so many lines, and more than the least, that is TOML by
    itself; its length too.

    Inside a text or an array of several lines none is.
    """
    for count in range(most, least, -1):
        try:
            return count, tomllib.loads("\n".join(lines[:count]) + "\n")
        except tomllib.TOMLDecodeError:
            continue
    return None


def _holds(document: Any, keys: Keys) -> bool:
    for key in keys:
        if isinstance(document, dict) and isinstance(key, str):
            document = document.get(key)
        elif isinstance(document, list) and isinstance(key, int):
            document = document[key] if key < len(document) else None
        else:
            document = None
        if document is None:
            return False
    return True


DURATIONS = {
    "phases": ("duration", "jitter"),
    "sessions": ("think",),
    "transport": ("connect_timeout", "receive_timeout"),
}
"""The keys of a plan's tables that are durations: they may be written as text, `5m`."""
_PLACED = re.compile(r"(.*) - at (?:`key` in )?`\$\.?([^`]*)`", re.DOTALL)
"""How msgspec ends its messages."""
OWN_DURATIONS = ("hold", "stop_after", "think")
"""Those of the plan itself."""
STEP_DURATIONS = ("seconds", "upto")
"""Those of a script's steps."""


def read_plan(path: Path) -> Plan:
    """The plan in a TOML file, with the sources of its sessions in Python.

    An unreadable or unusable one raises a PlanError: one line that names the file, the line and the
    key.
    """
    try:
        text = path.read_bytes().decode()
        document = tomllib.loads(text)
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}; give the path of a plan file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: {error}") from error
    except RecursionError as error:
        raise PlanError(f"{path}: nests too deeply; no plan has more than a few levels") from error
    try:
        return _plan_of(document, path.parent)
    except (msgspec.ValidationError, PlanError) as error:
        raise PlanError(_where(path, text, str(error))) from error


def to_toml(plan: Plan) -> bytes:
    """The plan as TOML: every value that says something, also the defaults; reading it back
    gives the same plan."""
    values = msgspec.to_builtins(plan)
    for key in plan.overruled:
        del values[key]
    return tomli_w.dumps(_without_none(values)).encode()


def _without_none(value: Any) -> Any:
    """TOML has no null: what is None is not said."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list | tuple) else value


def _plan_of(document: dict[str, Any], folder: Path) -> Plan:
    for other, keys in INSTEAD.items():
        for key in keys:
            if document.get(other) and key in document:
                raise PlanError(
                    f"`{key}` says nothing in a plan with `{other}`; leave one of them out"
                )
    _read_durations(document)
    plan = _complete(msgspec.convert(document, Plan), folder)
    _check(plan)
    return plan


def _read_durations(document: dict[str, Any]) -> None:
    """Puts numbers of seconds in the place of durations written as text; variables of a script
    stay as they are."""
    for table, key, at in _durations_in(document):
        value = table.get(key)
        if isinstance(value, str) and "%%" not in value and (at, value) != ("hold", "sessions"):
            try:
                table[key] = seconds_of(value)
            except ValueError as error:
                raise PlanError(f"`{at}`: {error}") from error


def _durations_in(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Each place of a duration: its table, its key, its path."""
    yield from ((document, key, key) for key in OWN_DURATIONS)
    for name, keys in DURATIONS.items():
        for table, at in _tables(document.get(name), name):
            yield from ((table, key, f"{at}.{key}") for key in keys)
            yield from _durations_of_steps(table.get("steps"), f"{at}.steps")


def _durations_of_steps(steps: Any, at: str) -> Iterator[tuple[dict[str, Any], str, str]]:
    for table, here in _tables(steps, at):
        yield from ((table, key, f"{here}.{key}") for key in STEP_DURATIONS)
        yield from _durations_of_steps(table.get("steps"), f"{here}.steps")


def _tables(value: Any, at: str) -> Iterator[tuple[dict[str, Any], str]]:
    """A table, or those of an array, each with its path; whatever else stands there is judged
    later."""
    if isinstance(value, dict):
        yield value, at
    elif isinstance(value, list):
        yield from (
            (table, f"{at}[{place}]")
            for place, table in enumerate(value)
            if isinstance(table, dict)
        )


def _complete(plan: Plan, folder: Path) -> Plan:
    """With the sources of its sessions in Python."""
    sessions = list(plan.sessions)
    for place, session in enumerate(sessions):
        if isinstance(session, PythonSession):
            with _at(f"sessions[{place}]"):
                sessions[place] = embedded(session, folder)
    return replace(plan, sessions=tuple(sessions))


def _check(plan: Plan) -> None:
    """What can be looked at before anyone resolves a name or binds an address."""
    urls = [(f"targets[{place}].url", target.url) for place, target in enumerate(plan.targets)]
    urls = urls or [("target", plan.target)]
    urls += [
        (f"sessions[{place}]", url)
        for place, session in enumerate(plan.sessions)
        for url in urls_of(session)
    ]
    for at, url in urls:
        with _at(at):
            TargetUrl.parse(url)
    for place, session in enumerate(plan.sessions):
        if isinstance(session, Script):
            _check_script(session, plan.files, f"sessions[{place}]")
    for place, client in enumerate(plan.clients):
        with _at(f"clients[{place}].sources"):
            parse_sources(client.sources)
    with _at("transport"):
        if plan.transport.tls_versions or plan.transport.tls_ciphers:
            context_of(plan.transport)
    if plan.transport.ports:
        with _at("transport.ports"):
            parse_ports(plan.transport.ports)


def _check_script(script: Script, files: dict[str, str], at: str) -> None:
    try:
        check(script.steps, files)
    except ScriptError as error:
        place = _place(script.steps, error.step, at) if error.step is not None else at
        raise PlanError(f"{error} - at `$.{place}`") from error


def _place(steps: Sequence[Step], wanted: Step, at: str) -> str:
    """Where in a script a step stands; empty when it is none of these, nor inside one of them."""
    for place, step in enumerate(steps):
        here = f"{at}.steps[{place}]"
        inner = here if step is wanted else _place(getattr(step, "steps", ()), wanted, here)
        if inner:
            return inner
    return ""


@contextmanager
def _at(path: str) -> Iterator[None]:
    """Adds where in the plan it was to a mistake."""
    try:
        yield
    except PlanError as error:
        raise PlanError(f"{error} - at `$.{path}`") from error


def _where(path: Path, text: str, message: str) -> str:
    """A message with file and line; where it names a key itself, it is that key's line."""
    found = _PLACED.fullmatch(message)
    what, at = (found[1], found[2]) if found else (message, "")
    named = re.search(r"`([^`]+)`", what)
    line = line_of(text, keys_of(at) + (keys_of(named[1]) if named else ()))
    start = f"{path}, line {line}: " if line else f"{path}: "
    return start + (f"`{at}`: {what}" if at else what)
