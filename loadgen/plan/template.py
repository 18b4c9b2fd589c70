"""Text with variables in it, as `%%_name%%`: taken apart once, so that text without any costs
nothing at run time."""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import msgspec

from loadgen.errors import PlanError


def pattern_of(text: str) -> re.Pattern[str]:
    """The compiled expression; raises PlanError. As in PCRE, classes such as `\\d` and `\\w` are
    those of ASCII."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error"
            )  # what Python would read in another way than PCRE, as `[[:alpha:]]`
            return re.compile(text, re.ASCII)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        raise PlanError(
            f"{text!r} is no regular expression ({error}); write it as Python's re takes it"
        ) from error


_VARIABLE = re.compile(r"%%_(.+?)%%", re.DOTALL)
UNDEFINED = "undefined"
"""What a variable gives that was never set, as in Tsung."""


class Template:
    """A text, and what it becomes with the variables of a user."""

    __slots__ = ("_between", "names", "text")

    def __init__(self, text: str, *, subst: bool = True) -> None:
        pieces = _VARIABLE.split(text) if subst else [text]
        self.text = text
        self.names = tuple(pieces[1::2])
        """The variables in it, in their order."""
        self._between = tuple(pieces[::2])

    def fill(self, values: Mapping[Any, Any]) -> str:
        """The text with the values put in."""
        if not self.names:
            return self.text
        filled = [text_of(values.get(name, UNDEFINED)) for name in self.names]
        return self._between[0] + "".join(map(str.__add__, filled, self._between[1:]))


def text_of(value: Any) -> str:
    """A value as the text that a variable gives: lists one after another, numbers and JSON as
    they are written."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(text_of, value))
    return msgspec.json.encode(value).decode()
