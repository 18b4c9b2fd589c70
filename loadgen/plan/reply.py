"""Automatic replies: the messages that are answered whatever a user waits for."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from loadgen.errors import PlanError
from loadgen.plan.byte_text import Form, bytes_of_base64, bytes_of_hex
from loadgen.plan.template import Template, pattern_of

_READERS: dict[str, Callable[[str], bytes]] = {"hex": bytes_of_hex, "base64": bytes_of_base64}


class AutoReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of a session's automatic replies.

    It answers messages that fit by their text or by their fields.
    """

    send: str = ""
    """The answer, a text. It may have parts of the message in it: groups of `match` by name or
    number, what paths of JSON lead to. They are written `%%name%%`, and `%%_1%%` or
    `%%_data.id%%` where the name is no word."""
    hex: str = ""
    """The answer, a binary message: digits, two a byte, with blanks between them or without."""
    base64: str = ""
    """The answer, a binary message."""
    match: str = ""
    """A regular expression that is found in the text."""
    form: Form = "text"
    """How `match` reads a message: texts as they are, or the bytes of any message as hexadecimal
    digits or base64."""
    json: dict[str, Any] = {}
    """The values of a JSON message, by path; all of them fit."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """Yields each mistake in it: the key, and what is wrong there."""
        yield from self._mistakes_in_answer()
        if self.form != "text" and not self.match:
            yield "form", "is for `match`; remove it"
        if bool(self.match) == bool(self.json):
            both = "both `match` and `json`" if self.match else "neither `match` nor `json`"
            yield "", f"has {both}; write one of them"
        if self.match:
            yield from self._mistakes_in_match()
        for path, value in self.json.items():
            if isinstance(value, dict | list):
                yield f"json.{path}", "is no text, number or true or false; write a longer path"

    def _mistakes_in_answer(self) -> Iterator[tuple[str, str]]:
        written = [key for key in ("send", "hex", "base64") if getattr(self, key)]
        if not written:
            yield "send", "is empty; write the answer"
        elif len(written) > 1:
            yield "", f"has both `{written[0]}` and `{written[1]}`; write one of them"
        for key, read in _READERS.items():
            try:
                read(getattr(self, key))
            except ValueError as error:
                yield key, str(error)

    @property
    def fixed(self) -> bytes | None:
        """The bytes of an answer by `hex` or `base64`; None for a text."""
        for key, read in _READERS.items():
            if written := getattr(self, key):
                return read(written)
        return None

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
