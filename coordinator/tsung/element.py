"""An element of a Tsung configuration: it knows its line, and says in one clear line what is
wrong with it."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from loadgen.errors import PlanError

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
SECONDS_PER = {"millisecond": 0.001, "second": 1.0, "minute": 60.0, "hour": 3600.0}
"""Tsung's units of time."""


class TsungError(PlanError):
    """A Tsung configuration that can't be taken over; its line begins with `file:line:` and ends
    with the mend."""


class Note(NamedTuple):
    """Something in a configuration that has no meaning here, or another one, and does not change
    the load."""

    line: int
    text: str


class Element:
    """A tag with its attributes, its children, and the text that stands directly in it."""

    def __init__(
        self, file: str, line: int, name: str, attributes: dict[str, str], notes: list[Note]
    ) -> None:
        self.file = file
        self.line = line
        self.name = name
        self.attributes = attributes
        self.children: list[Element] = []
        self.text = ""
        self._notes = notes

    def error(self, text: str) -> TsungError:
        """What is wrong with it and the mend, with file and line."""
        return TsungError(f"{self.file}:{self.line}: {text}")

    def note(self, text: str) -> None:
        """Remembers for the operator what becomes of it, in the order of the file."""
        self._notes.append(Note(self.line, text))

    def only(self, *names: str) -> None:
        """Notes attributes that are none of these: Tsung reads over them too."""
        for name in self.attributes:
            if name not in names:
                self.note(f"<{self.name}> has no attribute {name!r} in Tsung; it is left out")

    def all(self, name: str) -> list["Element"]:
        """Its children of a name."""
        return [child for child in self.children if child.name == name]

    def walk(self) -> Iterator["Element"]:
        """Itself and everything in it, in the order of the file."""
        yield self
        for child in self.children:
            yield from child.walk()

    def get(self, name: str, default: str = "") -> str:
        """An attribute as it stands."""
        return self.attributes.get(name, default)

    def need(self, name: str) -> str:
        """An attribute that has to be there."""
        value = self.attributes.get(name, "")
        if not value:
            raise self.error(f'<{self.name}> needs {name}="…"; write it')
        return value

    def number(self, name: str, default: float | None = None, *, above: float = -math.inf) -> float:
        """An attribute as a finite number, greater than `above`."""
        text = self.get(name).strip()
        if not text and default is not None:
            return default
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(value) or value <= above:
            bound = f" above {above:g}" if math.isfinite(above) else ""
            raise self.error(f"{name}={text!r} of <{self.name}> is not a number{bound}; write one")
        return value

    def integer(self, name: str, default: int | None = None, *, least: int | None = 0) -> int:
        """An attribute as a whole number, at least `least`."""
        text = self.get(name).strip()
        if not text and default is not None:
            return default
        if not re.fullmatch(r"[+-]?\d{1,18}", text) or (least is not None and int(text) < least):
            bound = "" if least is None else f" from {least}"
            raise self.error(
                f"{name}={text!r} of <{self.name}> is not a whole number{bound}; write one"
            )
        return int(text)

    def choice(self, name: str, choices: tuple[str, ...], default: str = "") -> str:
        """An attribute that is one of a few words."""
        value = self.get(name, default)
        if value not in choices:
            raise self.error(
                f"{name}={value!r} of <{self.name}> is none of {', '.join(choices)}; write one of"
                " them"
            )
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """An attribute that is true or false."""
        return self.choice(name, ("true", "false"), "true" if default else "false") == "true"

    def seconds(self, name: str, default_unit: str = "second") -> float:
        """An attribute in the element's `unit`, as seconds."""
        unit = self.choice("unit", tuple(SECONDS_PER), default_unit)
        return self.number(name) * SECONDS_PER[unit]
