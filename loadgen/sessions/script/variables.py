"""Where the variables of a script get their values: drawn, counted through files, or taken from other variables."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from loadgen.net.url import TargetUrl
from loadgen.plan.script import SetVars
from loadgen.plan.template import Template, pattern_of, text_of
from loadgen.sessions.script.context import Act, Performance
from loadgen.sessions.script.jsonpath import NOTHING, find_in, path_by

LETTERS = "abcdefghijklmnopqrstuvwxyz"
Values = Callable[[Performance], Sequence[Any]]


def sets(step: SetVars, files: Mapping[str, str]) -> Act:
    """Gives variables their values; names without one become empty."""
    values = _SOURCES[step.source](step, files)
    names = step.names

    def act(performance: Performance) -> None:
        found = values(performance)
        for place, name in enumerate(names):
            performance.values[name] = found[place] if place < len(found) else ""

    return act


def lines_of(text: str) -> list[str]:
    """The lines of a file, without the empty ones at its end."""
    return text.rstrip("\n").split("\n")


def _number(step: SetVars, files: Mapping[str, str]) -> Values:
    return lambda performance: [performance.user.random.randint(step.start, step.end) for _ in step.names]


def _string(step: SetVars, files: Mapping[str, str]) -> Values:
    return lambda performance: ["".join(performance.user.random.choices(LETTERS, k=step.length)) for _ in step.names]


def _constant_string(step: SetVars, files: Mapping[str, str]) -> Values:
    text = (LETTERS * (step.length // len(LETTERS) + 1))[: step.length]
    values = [text] * len(step.names)
    return lambda _: values


def _value(step: SetVars, files: Mapping[str, str]) -> Values:
    values = [step.value]
    return lambda _: values


def _file(step: SetVars, files: Mapping[str, str]) -> Values:
    lines = lines_of(files[step.file])
    rows = [tuple(line.split(step.delimiter)) if step.delimiter else (line,) for line in lines]
    if step.order == "random":
        return lambda performance: performance.user.random.choice(rows)
    key = ("line", step.file)  # no name of a variable can be the same

    def next_row(performance: Performance) -> Sequence[str]:
        drawn: int = performance.values.get(key, 0)
        performance.values[key] = drawn + 1
        return rows[(performance.user.number + drawn) % len(rows)]

    return next_row


def _server(step: SetVars, files: Mapping[str, str]) -> Values:
    def values(performance: Performance) -> Sequence[Any]:
        url = TargetUrl.parse(performance.url or performance.user.target)
        return url.host, url.port

    return values


def _path(step: SetVars, files: Mapping[str, str]) -> Values:
    path = path_by(Template(step.value))

    def values(performance: Performance) -> Sequence[Any]:
        text = text_of(_known(performance, step.var))
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            raise performance.failed("error_json_unparsable") from None
        found = find_in(path(performance.values), value)
        return ("" if found is NOTHING else found,)

    return values


def _expression(step: SetVars, files: Mapping[str, str]) -> Values:
    pattern = pattern_of(step.value)

    def values(performance: Performance) -> Sequence[Any]:
        match = pattern.search(text_of(_known(performance, step.var)))
        return ((match[1] or "") if match else "",)

    return values


def _known(performance: Performance, name: str) -> Any:
    if name not in performance.values:
        raise performance.failed("error_unknown")
    return performance.values[name]


_SOURCES: dict[str, Callable[[SetVars, Mapping[str, str]], Values]] = {
    "random_number": _number,
    "random_string": _string,
    "urandom_string": _constant_string,
    "value": _value,
    "file": _file,
    "server": _server,
    "jsonpath": _path,
    "re": _expression,
}
