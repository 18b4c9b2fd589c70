"""Tsung's own small dialect of JSONPath: `a.b[0].c`, `[*]`, `[?key=value]`.

No library speaks it: libraries speak dialects with `[?(@.key=="value")]`, and their results are
lists of matches. Here the result is the one value that a path leads to, or a list where the path
forks.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from loadgen.plan.template import UNDEFINED, Template, text_of

NOTHING: Any = object()
"""The result of a path that leads nowhere."""
_INDEX = re.compile(r"-?\d+")
Path = tuple[str | int, ...]
"""A path's steps: a name, an index, `*`, `?key=value`."""


def path_of(text: str) -> Path:
    """Returns the steps of a path's text."""
    parts = re.sub(r"\[(.*?)\]", r".\1", text.removeprefix("$.")).split(".")
    return tuple(int(part) if _INDEX.fullmatch(part) else part for part in parts if part)


def path_by(template: Template) -> Callable[[Mapping[Any, Any]], Path]:
    """Returns a function that gives the path for a user's variables.

    A text without variables is parsed once.
    """
    if template.names:
        return lambda values: path_of(template.fill(values))
    fixed = path_of(template.text)
    return lambda _: fixed


def find_in(path: Path, value: Any) -> Any:
    """Returns what a path leads to in a value, or NOTHING; an object as JSON text."""
    found = _follow(path, value)
    return msgspec.json.encode(found).decode() if isinstance(found, dict) else found


def _follow(path: Path, value: Any) -> Any:
    if not path or value is NOTHING:
        return value
    step = path[0]
    rest = path[1:]
    if step == "*":
        return _each(rest, value) if isinstance(value, list) else _follow(rest, value)
    if isinstance(step, str) and step.startswith("?") and isinstance(value, list):
        return _fork(step[1:], rest, value)
    if isinstance(step, int):
        return (
            _follow(rest, value[step])
            if isinstance(value, list) and 0 <= step < len(value)
            else NOTHING
        )
    return _follow(rest, value.get(step, NOTHING)) if isinstance(value, dict) else NOTHING


def _each(rest: Path, items: list[Any]) -> list[Any]:
    found = [_follow(rest, item) for item in items]
    return [UNDEFINED if value is NOTHING else value for value in found]


def _fork(wanted: str, rest: Path, items: list[Any]) -> Any:
    """Follows the items whose key has the value; several items give a list."""
    key, _, value = wanted.partition("=")
    fitting = [item for item in items if _has(item, key, value)]
    if len(fitting) > 1:
        return _each(rest, fitting)
    return _follow(rest, fitting[0]) if fitting else NOTHING


def _has(item: Any, key: str, value: str) -> bool:
    return isinstance(item, dict) and key in item and text_of(item[key]) == value


Values = Sequence[tuple[Path, Any]]
"""The values of a JSON value, by path."""


def fits(value: Any, wanted: Values) -> bool:
    """Returns True when the paths lead to these values."""
    return all(is_same(find_in(path, value), one) for path, one in wanted)


def is_same(found: Any, wanted: Any) -> bool:
    """Returns True for equal values of JSON: Python's True is 1, JSON's is not."""
    return isinstance(found, bool) is isinstance(wanted, bool) and bool(found == wanted)


def json_in(text: str | bytes) -> Any:
    """Returns the value of a JSON text, or NOTHING for any other."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return NOTHING
