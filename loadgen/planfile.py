"""Plan files: TOML to a plan and back.

A mistake is reported with its line and its key.
"""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import tomli_w
from msgspec.structs import replace

from loadgen.errors import PlanError
from loadgen.machine.addresses import INTERFACE, parse_ports, parse_sources
from loadgen.net.credentials import TLS_FILES
from loadgen.net.tls import context_of
from loadgen.net.url import TargetUrl
from loadgen.plan.feeder_file import file_name_in, format_of, with_rows
from loadgen.plan.params import Param, converted
from loadgen.plan.plan import OVERRULES, Plan
from loadgen.plan.schema import DURATIONS, hint, names_at
from loadgen.plan.script import located_in
from loadgen.plan.script_check import ScriptError, check
from loadgen.plan.session_file import with_source
from loadgen.plan.sessions import PythonSession, Script, urls_of
from loadgen.plan.setup_file import with_setup_source
from loadgen.plan.transport import ONCE
from loadgen.values import number_of, seconds_of

NO_PARAMS: Mapping[str, str] = MappingProxyType({})
Keys = tuple[str | int, ...]
"""The path to a value: keys of tables, places in arrays."""
_STEP = re.compile(r"\.?([A-Za-z0-9_-]+)|\[(\d+)\]")
_TOKEN = re.compile(
    r'"{3}(?:\\.|[^\\])*?"{3,5}|"(?:\\.|[^"\\])*"|#[^\n]*|[\[\]\n]' r"|'{3}.*?'{3,5}|'[^']*'",
    re.DOTALL,
)
"""What decides where a statement of TOML ends: texts, comments, arrays and ends of lines."""


def keys_of(path: str) -> Keys:
    """Returns the keys of a path like `phases[0].rate`, up to where it is malformed."""
    keys: list[str | int] = []
    at = 0
    while (step := _STEP.match(path, at)) is not None:
        keys.append(step[1] if step[1] is not None else int(step[2]))
        at = step.end()
    return tuple(keys)


def line_of(text: str, keys: Keys) -> int | None:
    """Returns the line of a value, from 1 on; of its table when it is missing.

    Returns None when that is missing as well. The line of a value of several lines is its last.
    """
    while keys and not _holds(tomllib.loads(text), keys):
        keys = keys[:-1]
    if not keys:
        return None
    lines = text.split("\n")
    ends = [*_statement_ends(text)]

    def holds(end: int) -> bool:
        return _holds(tomllib.loads("\n".join(lines[:end]) + "\n"), keys)

    return ends[bisect_left(ends, True, key=holds)]


def _statement_ends(text: str) -> Iterator[int]:
    """Yields the lines at whose end a document may end: in no text and no array."""
    line, depth = 1, 0
    for found in _TOKEN.finditer(text):
        sign = found[0]
        if sign == "\n" and not depth:
            yield line
        line += sign.count("\n")
        depth += (sign == "[") - (sign == "]")
    yield line


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


TABLES = {
    "phases": "Phase",
    "publish": "Publish",
    "sessions": "Loop",
    "setup": "SetupSpec",
    "transport": "Transport",
}
"""The tables of a plan that have durations, and their definitions in its schema."""
WORDS = (("hold", "sessions"), ("transport.resolve", ONCE))
"""The paths of durations that may be a word instead."""
_WRONG = re.compile(
    r"(?:Object contains unknown field `|Invalid (?:enum )?value ')(.*)[`']", re.DOTALL
)
"""Msgspec's messages about a name that is not legal."""
_NO_NUMBER = re.compile(r"Expected `(?:int|float)\b.*, got `(?:str|float)`")
"""Its messages about text, or a fraction, in place of a number."""
_PLACED = re.compile(r"(.*) - at (?:`key` in )?`\$\.?([^`]*)`", re.DOTALL)
"""The end of msgspec's messages, which names the place."""


def read_plan(path: Path, *, runs: bool = True, params: Mapping[str, str] = NO_PARAMS) -> Plan:
    """Returns the plan in a TOML file, with sources of sessions and rows of feeders.

    With `runs` False it is read for a report alone: no other file is, and scripts are not checked,
    since an archive has only the redacted plan. `params` are the values of --param.

    Raises PlanError, in one line that names the file, the line and the key, when the file can't be
    read or the plan can't be run.
    """
    text = ""
    try:
        text = path.read_bytes().decode()
        document = tomllib.loads(text)
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}; give the path of a plan file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: {error}{_number_hint(text, str(error))}") from error
    except ValueError as error:  # thousands of digits
        raise PlanError(f"{path}: a number in it is too long; write a shorter one") from error
    except RecursionError as error:
        raise PlanError(f"{path}: nests too deeply; a plan needs a few levels only") from error
    try:
        return _plan_of(document, path.parent, params, runs=runs)
    except (msgspec.ValidationError, PlanError) as error:
        raise PlanError(_message(path, text, str(error))) from error


def place_in(path: Path, at: str) -> str:
    """Returns the file and the line of a place such as `expect[0]` in a plan file."""
    line = line_of(path.read_text(), keys_of(at))
    return f"{path}, line {line}" if line else f"{path}"


def to_toml(plan: Plan) -> bytes:
    """Returns the plan as TOML, with its defaults.

    `read_plan` makes the same plan of it.

    Values that others overrule are left out, and so are rows that a feeder has from a file.
    """
    values = msgspec.to_builtins(plan)
    for feeder in values["feeders"]:
        del feeder["table"]
    for key in plan.overruled:
        del values[key]
    return tomli_w.dumps(_without_none(values)).encode()


def _without_none(value: Any) -> Any:
    """Returns a value without what is None in it, since TOML has no null."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list | tuple) else value


def _plan_of(
    document: dict[str, Any], folder: Path, params: Mapping[str, str], *, runs: bool
) -> Plan:
    for other, keys in OVERRULES.items():
        for key in keys:
            if document.get(other) and key in document:
                raise PlanError(
                    f"`{key}` has no effect in a plan with `{other}`; leave one of them out"
                )
    _read_durations(document)
    plan = msgspec.convert(document, Plan)
    plan = replace(plan, params=with_values(plan.params, params))
    if runs:
        plan = plan.filled
        plan = _with_paths(_with_sources(plan, folder), folder)
        _check_files(plan, folder)
        plan = _with_rows(plan, folder)
        _check_scripts(plan)
    _check(plan)
    return plan


def with_values(params: Mapping[str, Param], values: Mapping[str, str]) -> dict[str, Param]:
    """Returns the parameters of a plan file with the values of --param.

    Each has the type of its default. Without parameters any name is taken, and its value is text.
    Raises PlanError for a value of another type, and for a name that the file does not have.
    """
    if not params:
        return dict(values)
    for name in values:
        if name not in params:
            raise PlanError(f"--param {name}: [params] has no such key{hint(name, [*params])}")
    return {
        name: converted(name, values[name], default) if name in values else default
        for name, default in params.items()
    }


def _read_durations(document: dict[str, Any]) -> None:
    """Replaces durations written as text by seconds.

    Variables of a script stay as they are.
    """
    for table, key, at in _durations_in(document):
        value = table.get(key)
        if isinstance(value, str) and "%%" not in value and (at, value) not in WORDS:
            try:
                table[key] = seconds_of(value)
            except ValueError as error:
                words = hint(value, names_at(document, keys_of(at)))
                raise PlanError(f"`{at}`: {error}{words}") from error


def _durations_in(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yields the table, the key and the path of each place of a duration."""
    yield from ((document, key, key) for key in DURATIONS["Plan"])
    for name, definition in TABLES.items():
        for table, at in _tables(document.get(name), name):
            yield from ((table, key, f"{at}.{key}") for key in DURATIONS[definition])
            yield from _durations_of_steps(table.get("steps"), f"{at}.steps")


def _durations_of_steps(steps: Any, at: str) -> Iterator[tuple[dict[str, Any], str, str]]:
    for table, here in _tables(steps, at):
        yield from ((table, key, f"{here}.{key}") for key in DURATIONS["Think"])
        yield from _durations_of_steps(table.get("steps"), f"{here}.steps")


def _tables(value: Any, at: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields a table, or the tables of an array, with their paths.

    Anything else there is a mistake, which the conversion to a Plan reports.
    """
    if isinstance(value, dict):
        yield value, at
    elif isinstance(value, list):
        yield from (
            (table, f"{at}[{place}]")
            for place, table in enumerate(value)
            if isinstance(table, dict)
        )


def _with_sources(plan: Plan, folder: Path) -> Plan:
    """Returns the plan with the sources of its sessions in Python and of its setup."""
    sessions = list(plan.sessions)
    for place, session in enumerate(sessions):
        if isinstance(session, PythonSession):
            with _located(f"sessions[{place}]"):
                sessions[place] = with_source(session, folder)
    setup = plan.setup
    if setup is not None:
        with _located("setup"):
            setup = with_setup_source(setup, folder)
    return replace(plan, sessions=tuple(sessions), setup=setup)


def _with_rows(plan: Plan, folder: Path) -> Plan:
    """Returns the plan with the rows of its feeders."""
    feeders = list(plan.feeders)
    for place, feeder in enumerate(feeders):
        with _located(f"feeders[{place}]"):
            if format_of(feeder) == "python":
                raise PlanError(
                    f"`file` is {feeder.file}, and no plan runs code when it is read; give it by"
                    f" --feeder {feeder.file}"
                )
            feeders[place] = with_rows(feeder, folder)
            if feeder.file:
                feeders[place] = replace(feeders[place], file=str(folder / feeder.file))
    return replace(plan, feeders=tuple(feeders))


def _check_files(plan: Plan, folder: Path) -> None:
    """Raises PlanError for a text that is the name of a file and should be its lines."""
    for name, text in plan.files.items():
        if file_name_in(text, folder):
            raise PlanError(
                f"`files.{name}` is the text {text.strip()!r}, a file's name and not its lines;"
                f" give each user a row of it by [[feeders]] with file = {text.strip()!r}, or put"
                " the lines here"
            )


def _with_paths(plan: Plan, folder: Path) -> Plan:
    """Returns the plan with whole paths: a copy of it is read in another folder."""
    paths = {key: getattr(plan.transport, key) for key in TLS_FILES}
    whole = {key: str((folder / path).absolute()) for key, path in paths.items() if path}
    return replace(plan, transport=replace(plan.transport, **whole))


def _check(plan: Plan) -> None:
    """Raises PlanError for a mistake that shows without resolver and sockets."""
    urls = [(f"targets[{place}].url", target.url) for place, target in enumerate(plan.targets)]
    urls = urls or [("target", plan.target)]
    urls += [
        (f"sessions[{place}]", url)
        for place, session in enumerate(plan.sessions)
        for url in urls_of(session)
    ]
    for at, url in urls:
        with _located(at):
            TargetUrl.parse(url)
    for place, client in enumerate(plan.clients):
        with _located(f"clients[{place}].sources"):
            # only the agent knows its interfaces
            parse_sources(text for text in client.sources if not text.startswith(INTERFACE))
    with _located("transport"):
        if plan.transport.tls_versions or plan.transport.tls_ciphers:
            context_of(plan.transport)
    if plan.transport.ports:
        with _located("transport.ports"):
            parse_ports(plan.transport.ports)


def _check_scripts(plan: Plan) -> None:
    for place, session in enumerate(plan.sessions):
        if isinstance(session, Script):
            _check_script(session, plan, f"sessions[{place}]")


def _check_script(script: Script, plan: Plan, at: str) -> None:
    try:
        check(script.steps, plan.files, plan.variables_of(script.name))
    except ScriptError as error:
        places = (place for place, step in located_in(script.steps, at) if step is error.step)
        place = next(places, at if error.step is None else "")
        raise PlanError(f"{error} - at `$.{place}`") from error


@contextmanager
def _located(path: str) -> Iterator[None]:
    """Adds the place in the plan to a mistake."""
    try:
        yield
    except PlanError as error:
        raise PlanError(f"{error} - at `$.{path}`") from error


def _message(path: Path, text: str, message: str) -> str:
    """Returns a message with file and line.

    A key that it names has precedence over its place.
    """
    found = _PLACED.fullmatch(message)
    what, at = (found[1], found[2]) if found else (message, "")
    named = re.search(r"`([^`]+)`", what)
    line = line_of(text, keys_of(at) + (keys_of(named[1]) if named else ()))
    start = f"{path}, line {line}: " if line else f"{path}: "
    what += _hint(what, tomllib.loads(text), keys_of(at))
    return start + (f"`{at}`: {what}" if at else what)


def _hint(what: str, document: Any, keys: Keys) -> str:
    """Returns what a message of msgspec lacks: the name or the number that was meant."""
    wrong = _WRONG.fullmatch(what)
    if wrong:
        return hint(wrong[1], names_at(document, keys))
    for key in keys:
        document = document[key]
    if not _NO_NUMBER.match(what):
        return ""
    try:
        number = number_of(document) if isinstance(document, str) else float(document)
    except ValueError:
        return ""
    fits = number.is_integer() or ("`int`" not in what and isfinite(number))
    return f"; write {number:.15g}" if fits else ""


def _number_hint(text: str, what: str) -> str:
    """Returns how to write a number with commas, which TOML refuses in a line."""
    place = re.search(r"at line (\d+)", what)
    line = text.split("\n")[int(place[1]) - 1] if place else ""
    found = re.search(r"=\s*(\d{1,3}(?:,\d{3})+)\s*(?:#|$)", line)
    return f"; write {found[1].replace(',', '_')}" if found else ""
