"""Text with variables, as `%%name%%` or, as in Tsung, `%%_name%%`, parsed once.

Plain text costs nothing later.
"""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import msgspec

from loadgen.errors import PlanError


def pattern_of(text: str) -> re.Pattern[str]:
    """Returns the compiled regular expression; raises PlanError.

    As in PCRE, classes such as `\\d` and `\\w` are those of ASCII.
    """
    try:
        with warnings.catch_warnings():
            # Python warns where it reads an expression in another way than PCRE: `[[:alpha:]]`.
            warnings.simplefilter("error")
            return re.compile(text, re.ASCII)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        raise PlanError(
            f"{text!r} is no regular expression ({error}); write it as Python's re takes it"
        ) from error


_VARIABLE = re.compile(r"%%(?:_(?=.)|(?=[A-Za-z]\w*%%))(.+?)%%", re.DOTALL)
UNDEFINED = "undefined"
"""The text of a variable that was never set, as in Tsung."""


class Template:
    """A text with variables, which are replaced by a user's values."""

    __slots__ = ("_between", "names", "text")

    def __init__(self, text: str, *, subst: bool = True) -> None:
        pieces = _VARIABLE.split(text) if subst else [text]
        self.text = text
        self.names = tuple(pieces[1::2])
        """The names of the variables in it, in their order."""
        self._between = tuple(pieces[::2])

    def fill(self, values: Mapping[Any, Any]) -> str:
        """Returns the text with the values in it."""
        if not self.names:
            return self.text
        filled = [text_of(values.get(name, UNDEFINED)) for name in self.names]
        return self._between[0] + "".join(map(str.__add__, filled, self._between[1:]))


def filled(text: str, values: Mapping[str, Any]) -> str:
    """Returns a text with these values in it; variables without one stay as they are."""
    return _VARIABLE.sub(
        lambda found: text_of(values[found[1]]) if found[1] in values else found[0], text
    )


def text_of(value: Any) -> str:
    """Returns a variable's value as text: a list's items joined, others as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(text_of, value))
    return msgspec.json.encode(value).decode()
