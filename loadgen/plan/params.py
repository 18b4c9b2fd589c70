"""The parameters of a plan: one value for all users, by name.

A plan file has them with their defaults in `[params]`; `--param KEY=VALUE` gives other values.
"""

import re
from collections.abc import Iterator, Mapping
from math import isfinite
from types import MappingProxyType
from typing import Any

from loadgen.errors import PlanError
from loadgen.plan.script_check import GIVEN
from loadgen.plan.template import text_of
from loadgen.values import number_of

Param = str | bool | int | float
"""A value, of the types that TOML has for single ones."""
NAME = re.compile(r"[A-Za-z]\w{0,99}", re.ASCII)
"""A name, which `%%name%%` can have in it."""
MAX_INT = 2**63 - 1
"""The largest integer of TOML; the smallest is one less than its negative."""
BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
"""The words for true and false on a command line."""


def param_mistakes(params: Mapping[str, Param]) -> Iterator[tuple[str, str]]:
    """Yields each mistake in parameters: the name, and what is wrong with it."""
    for name, value in params.items():
        if not NAME.fullmatch(name) or name == GIVEN:
            yield (
                name,
                "is no name of a parameter; begin with a letter, and go on with letters, digits and"
                f" underscores (but not {GIVEN})",
            )
        elif isinstance(value, float) and not isfinite(value):
            yield name, f"is {value}; write a number that is finite"
        elif isinstance(value, int) and not -MAX_INT <= value <= MAX_INT:
            yield name, "has more than 63 bits; write it as text"


def converted(name: str, text: str, default: Param) -> Param:
    """Returns the value of a text, of the same type as the default.

    Raises PlanError for a text that has no such value.
    """
    kinds = {bool: "true or false", int: "a whole number", float: "a number"}
    try:
        if isinstance(default, bool):
            return BOOLEANS[text.strip().lower()]
        if isinstance(default, int):
            return _whole(text)
        return number_of(text) if isinstance(default, float) else text
    except (KeyError, ValueError):
        raise PlanError(
            f"--param {name}={text}: the plan's default is {text_of(default)}; write"
            f" {kinds[type(default)]}"
        ) from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        number = number_of(text)
        if not number.is_integer():
            raise
        return int(number)


class _Params(dict[str, Param]):
    def __missing__(self, name: str) -> Any:
        known = f"; it has {', '.join(self)}" if self else ""
        raise KeyError(
            f"the plan has no parameter {name!r}{known}; give it by --param {name}=VALUE, or with a"
            " default in [params]"
        )


def read_only(params: Mapping[str, Param]) -> Mapping[str, Any]:
    """Returns the parameters as sessions read them; KeyError says how one is given."""
    return MappingProxyType(_Params(params))


NONE = read_only({})
"""No parameters."""
