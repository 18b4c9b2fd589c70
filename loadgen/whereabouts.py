"""In which line of a TOML text a value stands: parsers of TOML tell that of broken syntax alone."""

import re
import tomllib
from collections.abc import Sequence
from typing import Any

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
    """The line, from 1 on, that ends the first text in which a value is there; of what it is in, where it is missing.

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
    """The longest beginning of at most so many lines, and more than the least, that is TOML by itself; its length too.

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
