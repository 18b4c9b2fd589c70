"""The elements of a Tsung configuration, with their lines and their errors."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from loadgen.errors import PlanError
from loadgen.values import number_of

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
SECONDS_PER = {"millisecond": 0.001, "second": 1.0, "minute": 60.0, "hour": 3600.0}
"""Tsung's units of time."""


class TsungError(PlanError):
    """A Tsung configuration that can't be imported.

    Its text begins with `file:line:` and ends with the fix.
    """

    line = 0
    """The line in the file, from 1 on; 0 where the whole file is meant."""


class Note(NamedTuple):
    """A remark on a part of a configuration that is left out or changes its meaning.

    That part does not change the load.
    """

    line: int
    text: str


def _in_digits(text: str) -> str:
    """Returns a number such as `1,000,000` in digits alone; "" where it is none."""
    try:
        number = number_of(text)
    except ValueError:
        return ""
    return f"{number:.0f}" if number.is_integer() and 0 < number < 1e18 else ""


class Element:
    """An element with its attributes, its children, and its own text."""

    def __init__(
        self,
        file: str,
        line: int,
        name: str,
        attributes: dict[str, str],
        notes: list[Note],
        refusals: list[TsungError] | None = None,
    ) -> None:
        """Notes and refusals are those of the whole file.

        Without a list for them, the first refusal ends the reading.
        """
        self.file = file
        self.line = line
        self.name = name
        self.attributes = attributes
        self.children: list[Element] = []
        self.text = ""
        self._notes = notes
        self._refusals = refusals

    def error(self, text: str) -> TsungError:
        """Returns the error with this text at the element's file and line."""
        error = TsungError(f"{self.file}:{self.line}: {text}")
        error.line = self.line
        return error

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Keeps what refuses the element, so that the file is read to its end."""
        try:
            yield
        except TsungError as error:
            if self._refusals is None:
                raise
            self._refusals.append(error)

    @property
    def refused(self) -> int:
        """The number of refusals so far."""
        return len(self._refusals or ())

    def note(self, text: str) -> None:
        """Adds a note for the operator at the element's line."""
        self._notes.append(Note(self.line, text))

    def note_once(self, text: str) -> None:
        """Adds a note, unless the file has this one already."""
        if all(note.text != text for note in self._notes):
            self.note(text)

    def only(self, *names: str) -> None:
        """Adds a note for each attribute that is not one of these.

        Tsung ignores them too.
        """
        for name in self.attributes:
            if name not in names:
                self.note(f"<{self.name}> has no attribute {name!r} in Tsung; it is left out")

    def all(self, name: str) -> list["Element"]:
        """Returns the children with this name."""
        return [child for child in self.children if child.name == name]

    def walk(self) -> Iterator["Element"]:
        """Yields the element and all elements in it, in the order of the file."""
        yield self
        for child in self.children:
            yield from child.walk()

    def get(self, name: str, default: str = "") -> str:
        """Returns an attribute as it is in the file."""
        return self.attributes.get(name, default)

    def need(self, name: str) -> str:
        """Returns an attribute; raises TsungError if it is missing or empty."""
        value = self.attributes.get(name, "")
        if not value:
            raise self.error(f'<{self.name}> needs {name}="…"; write it')
        return value

    def number(self, name: str, default: float | None = None, *, above: float = -math.inf) -> float:
        """Returns an attribute as a finite number greater than `above`.

        Raises TsungError.
        """
        text = self.get(name).strip()
        if not text and default is not None:
            return default
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(value) or value <= above:
            bound = f" above {above:g}" if math.isfinite(above) else ""
            raise self.error(
                f"{name}={text!r} of <{self.name}> is not a number{bound}; write"
                f" {_in_digits(text) or 'one'}"
            )
        return value

    def integer(self, name: str, default: int | None = None, *, least: int | None = 0) -> int:
        """Returns an attribute as a whole number from `least` on; raises TsungError."""
        text = self.get(name).strip()
        if not text and default is not None:
            return default
        if not re.fullmatch(r"[+-]?\d{1,18}", text) or (least is not None and int(text) < least):
            bound = "" if least is None else f" from {least}"
            raise self.error(
                f"{name}={text!r} of <{self.name}> is not a whole number{bound}; write"
                f" {_in_digits(text) or 'one'}"
            )
        return int(text)

    def choice(self, name: str, choices: tuple[str, ...], default: str = "") -> str:
        """Returns an attribute that is one of these words; raises TsungError."""
        value = self.get(name, default)
        if value not in choices:
            raise self.error(
                f"{name}={value!r} of <{self.name}> is none of {', '.join(choices)}; write one of"
                " them"
            )
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Returns an attribute that is `true` or `false`; raises TsungError."""
        return self.choice(name, ("true", "false"), "true" if default else "false") == "true"

    def seconds(self, name: str, default_unit: str = "second") -> float:
        """Returns an attribute in the element's `unit` as seconds; raises TsungError."""
        unit = self.choice("unit", tuple(SECONDS_PER), default_unit)
        return self.number(name) * SECONDS_PER[unit]
