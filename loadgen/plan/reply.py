"""Automatic replies: the messages that are answered whatever a user waits for."""

from collections.abc import Iterator
from typing import Any

import msgspec

from loadgen.errors import PlanError
from loadgen.plan.template import Template, pattern_of


class AutoReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of a session's automatic replies.

    It answers messages that fit by their text or by their fields.
    """

    send: str
    """The answer. It may have parts of the message in it: groups of `match` by name or number, what
    paths of JSON lead to. They are written `%%name%%`, and `%%_1%%` or `%%_data.id%%` where the
    name is no word."""
    match: str = ""
    """A regular expression that is found in the text."""
    json: dict[str, Any] = {}
    """The values of a JSON message, by path; all of them fit."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """Yields each mistake in it: the key, and what is wrong there."""
        if not self.send:
            yield "send", "is empty; write the answer"
        if bool(self.match) == bool(self.json):
            both = "both `match` and `json`" if self.match else "neither `match` nor `json`"
            yield "", f"has {both}; write one of them"
        if self.match:
            yield from self._mistakes_in_match()
        for path, value in self.json.items():
            if isinstance(value, dict | list):
                yield f"json.{path}", "is no text, number or true or false; write a longer path"

    def _mistakes_in_match(self) -> Iterator[tuple[str, str]]:
        try:
            pattern = pattern_of(self.match)
        except PlanError as error:
            yield "match", str(error)
            return
        known = {*pattern.groupindex, *map(str, range(pattern.groups + 1))}
        for name in Template(self.send).names:
            if name not in known:
                yield "send", f"has %%{name}%%, and `match` has no group {name!r}"
