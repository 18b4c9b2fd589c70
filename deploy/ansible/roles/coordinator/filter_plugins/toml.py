"""The filter `to_toml`, which ansible-core lacks: it writes a dictionary as TOML.

It writes inner tables inline, so that a plan with phases, sessions or headers has one line for each
of its keys.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

BARE = re.compile(r"[A-Za-z0-9_-]+")
"""A key that needs no quotes."""


class FilterModule:
    """The class that Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[[Any], str]]:
        """Returns the filters by their names."""
        return {"to_toml": to_toml}


def to_toml(document: Any) -> str:
    """Returns a dictionary as TOML.

    Raises AnsibleFilterError with the key of a value that TOML can't express.
    """
    if not isinstance(document, Mapping):
        raise AnsibleFilterError(f"{document!r} is no table of keys and values")
    return "".join(f"{_key(key)} = {_value(value, str(key))}\n" for key, value in document.items())


def _value(value: Any, at: str) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {_value(inner, f'{at}.{key}')}" for key, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return (
            f"[{', '.join(_value(inner, f'{at}[{place}]') for place, inner in enumerate(value))}]"
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    raise AnsibleFilterError(
        f"`{at}` is {value!r}, which TOML can't express; give it a value or leave it out"
    )


def _key(key: Any) -> str:
    return str(key) if BARE.fullmatch(str(key)) else _text(key)


def _text(value: Any) -> str:
    """Returns a basic string, which is a JSON string with DEL escaped."""
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
