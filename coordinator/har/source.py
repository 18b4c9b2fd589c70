"""Python source for texts and JSON values, with names for known values."""

import builtins
import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Any

WIDTH = 88
"""Characters of a line, where a value can be broken."""
_TAKEN = {"json", "os", "session", "user", "ws", "message", "cookies", "TIMEOUT"}
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class SourceNames:
    """The names in a session that is written, and the values that some stand for."""

    def __init__(self) -> None:
        self._taken = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *_TAKEN}
        self.known: dict[str, str] = {}
        """The names by the values that they stand for."""

    def new(self, wish: str, *, constant: bool = False) -> str:
        """Returns a name that is close to a wish and not taken."""
        plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", wish)
        plain = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[:40] or "value"
        plain = plain.upper() if constant else plain.lower()
        if plain[0].isdigit():
            plain = f"_{plain}" if constant else f"value_{plain}"
        name, count = plain, 1
        while name in self._taken:
            count += 1
            name = f"{plain}_{count}"
        self._taken.add(name)
        return name

    def text(self, text: str) -> str:
        """Returns the source of a text, an f-string where it has known values."""
        if text in self.known:
            return self.known[text]
        found = [value for value in self.known if value in text]
        if not found:
            return quoted(text)
        pattern = "|".join(map(re.escape, sorted(found, key=len, reverse=True)))
        parts = re.split(f"({pattern})", text)
        quote = "'" if '"' in text and "'" not in text else '"'
        body = "".join(
            f"{{{self.known[part]}}}" if place % 2 else _body(part, quote, braces=True)
            for place, part in enumerate(parts)
        )
        return f"f{quote}{body}{quote}"

    def value(self, value: Any, indent: int, before: int = 0) -> str:
        """Returns the source of a JSON value, on several lines where one is too long.

        `indent` is that of its line in characters, `before` what else stands on it.
        """
        if isinstance(value, str):
            return self.text(value)
        if not isinstance(value, dict | list) or not value:
            return repr(value)
        short = self._on_one_line(value)
        if indent + before + len(short) <= WIDTH:
            return short
        pad = " " * (indent + 4)
        if isinstance(value, dict):
            items = [
                f"{key}: {self.value(part, indent + 4, len(key) + 3)}"
                for key, part in ((self.text(name), part) for name, part in value.items())
            ]
        else:
            items = [self.value(part, indent + 4, 1) for part in value]
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        inside = "".join(f"{pad}{item},\n" for item in items)
        return f"{opening}\n{inside}{' ' * indent}{closing}"

    def _on_one_line(self, value: Any) -> str:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            pairs = (
                f"{self.text(name)}: {self._on_one_line(part)}" for name, part in value.items()
            )
            return f"{{{', '.join(pairs)}}}"
        if isinstance(value, list):
            return f"[{', '.join(map(self._on_one_line, value))}]"
        return repr(value)


def quoted(text: str) -> str:
    """Returns a text as Python source, in double quotes where that needs no escapes."""
    quote = "'" if '"' in text and "'" not in text else '"'
    return f"{quote}{_body(text, quote)}{quote}"


def _body(text: str, quote: str, *, braces: bool = False) -> str:
    signs = []
    for sign in text:
        if sign == quote:
            signs.append(f"\\{sign}")
        elif sign in _ESCAPES:
            signs.append(_ESCAPES[sign])
        elif braces and sign in "{}":
            signs.append(sign * 2)
        elif not sign.isprintable():
            signs.append(sign.encode("unicode_escape").decode())
        else:
            signs.append(sign)
    return "".join(signs)


def path_of(keys: Iterable[str | int]) -> str:
    """Returns the subscripts that lead to a value, as source."""
    return "".join(f"[{key}]" if isinstance(key, int) else f"[{quoted(key)}]" for key in keys)


def leaves(value: Any, most: int = 10_000) -> list[tuple[tuple[str | int, ...], str]]:
    """Returns the first texts in a JSON value, with the keys that lead to each."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while waiting and len(found) < most:
        keys, one = waiting.pop()
        if isinstance(one, str):
            found.append((keys, one))
        elif isinstance(one, Mapping):
            waiting += reversed([((*keys, key), part) for key, part in one.items()])
        elif isinstance(one, list):
            waiting += reversed([((*keys, place), part) for place, part in enumerate(one)])
    return found
