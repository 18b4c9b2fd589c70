"""The sources of a script's variables: random values, files and other variables."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadgen.net.url import TargetUrl
from loadgen.plan.byte_text import bytes_of_hex, length_prefix
from loadgen.plan.jsonpath import NOTHING, find_in, json_in, path_by
from loadgen.plan.script import SetVars
from loadgen.plan.template import Template, pattern_of, text_of
from loadgen.sessions.script.context import Action, ScriptContext
from loadgen.stats.reasons import ERROR_JSON_UNPARSABLE, ERROR_UNKNOWN

LETTERS = "abcdefghijklmnopqrstuvwxyz"
Values = Callable[[ScriptContext], Sequence[Any]]
"""Returns the values for a step's names, in their order."""


def set_action(step: SetVars, files: Mapping[str, str]) -> Action:
    """Returns an action that sets variables; names without a value become empty."""
    values_of = SOURCES[step.source](step, files)
    names = step.names

    def set_all(context: ScriptContext) -> None:
        values = values_of(context)
        for place, name in enumerate(names):
            context.values[name] = values[place] if place < len(values) else ""

    return set_all


def lines_of(text: str) -> list[str]:
    """Returns the lines of a file, without the empty ones at its end."""
    return text.rstrip("\n").split("\n")


def _number(step: SetVars, files: Mapping[str, str]) -> Values:
    return lambda context: [context.user.random.randint(step.start, step.end) for _ in step.names]


def _string(step: SetVars, files: Mapping[str, str]) -> Values:
    return lambda context: [
        "".join(context.user.random.choices(LETTERS, k=step.length)) for _ in step.names
    ]


def _constant_string(step: SetVars, files: Mapping[str, str]) -> Values:
    text = (LETTERS * (step.length // len(LETTERS) + 1))[: step.length]
    values = [text] * len(step.names)
    return lambda _: values


def _value(step: SetVars, files: Mapping[str, str]) -> Values:
    text = Template(step.value)
    values = [step.value]
    return (lambda context: [text.fill(context.values)]) if text.names else lambda _: values


def _base64(step: SetVars, files: Mapping[str, str]) -> Values:
    text = Template(step.value)
    return lambda context: [base64.b64encode(text.fill(context.values).encode()).decode()]


def _hex(step: SetVars, files: Mapping[str, str]) -> Values:
    text = Template(step.value)

    def values(context: ScriptContext) -> Sequence[str]:
        return [_digits(context, text.fill(context.values).encode(), step.prefix)]

    return values


def _bytes(step: SetVars, files: Mapping[str, str]) -> Values:
    text = Template(step.value)

    def values(context: ScriptContext) -> Sequence[str]:
        try:
            data = bytes_of_hex(text.fill(context.values))
        except ValueError:
            raise context.failed(ERROR_UNKNOWN) from None
        return [_digits(context, data, step.prefix)]

    return values


def _digits(context: ScriptContext, data: bytes, prefix: str) -> str:
    """Returns bytes in hexadecimal digits, behind their number."""
    try:
        return length_prefix(len(data), prefix).hex() + data.hex()
    except OverflowError:
        raise context.failed(ERROR_UNKNOWN) from None


def _file(step: SetVars, files: Mapping[str, str]) -> Values:
    lines = lines_of(files[step.file])
    rows = [tuple(line.split(step.delimiter)) if step.delimiter else (line,) for line in lines]
    if step.order == "random":
        return lambda context: context.user.random.choice(rows)
    key = ("line", step.file)  # a tuple, unlike the name of any variable

    def next_row(context: ScriptContext) -> Sequence[str]:
        drawn: int = context.values.get(key, 0)
        context.values[key] = drawn + 1
        return rows[(context.user.number + drawn) % len(rows)]

    return next_row


def _server(step: SetVars, files: Mapping[str, str]) -> Values:
    def values(context: ScriptContext) -> Sequence[Any]:
        url = TargetUrl.parse(context.url or context.user.target)
        return url.host, url.port

    return values


def _path(step: SetVars, files: Mapping[str, str]) -> Values:
    path = path_by(Template(step.value))

    def values(context: ScriptContext) -> Sequence[Any]:
        value = json_in(text_of(_known(context, step.var)))
        if value is NOTHING:
            raise context.failed(ERROR_JSON_UNPARSABLE)
        found = find_in(path(context.values), value)
        return ("" if found is NOTHING else found,)

    return values


def _expression(step: SetVars, files: Mapping[str, str]) -> Values:
    pattern = pattern_of(step.value)

    def values(context: ScriptContext) -> Sequence[Any]:
        match = pattern.search(text_of(_known(context, step.var)))
        return ((match[1] or "") if match else "",)

    return values


def _known(context: ScriptContext, name: str) -> Any:
    if name not in context.values:
        raise context.failed(ERROR_UNKNOWN)
    return context.values[name]


SOURCES: dict[str, Callable[[SetVars, Mapping[str, str]], Values]] = {
    "random_number": _number,
    "random_string": _string,
    "urandom_string": _constant_string,
    "value": _value,
    "file": _file,
    "server": _server,
    "jsonpath": _path,
    "re": _expression,
    "base64": _base64,
    "hex": _hex,
    "bytes": _bytes,
}
"""The functions that return a step's values, by its source."""
