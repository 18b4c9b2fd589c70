"""Connections that answer some messages by themselves, such as heart-beats.

They take the place of the others in sessions with `reply`, so that all others do not pay for it.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from loadgen.net.connection import Connection
from loadgen.net.frames import BINARY, TEXT
from loadgen.net.states import OPEN
from loadgen.net.transport import HIGH_WATER
from loadgen.plan.byte_text import text_of_message
from loadgen.plan.jsonpath import NOTHING, Values, find_in, fits, json_in, path_of
from loadgen.plan.reply import AutoReply
from loadgen.plan.template import Template, pattern_of


class Rule(Protocol):
    """One automatic reply, prepared."""

    def answer(self, message: str | bytes, value: Any) -> str | bytes | None:
        """Returns the answer to a message; None where it does not fit.

        `value` is the message's JSON, or NOTHING.
        """


class TextRule:
    """Answers messages in whose text, or digits, an expression is found."""

    def __init__(self, spec: AutoReply) -> None:
        self._pattern = pattern_of(spec.match)
        self._form = spec.form
        self._fixed = spec.fixed
        self._send = Template(spec.send)

    def answer(self, message: str | bytes, value: Any) -> str | bytes | None:
        """Returns the answer to a message; None where it does not fit."""
        if self._form == "text" and not isinstance(message, str):
            return None
        found = self._pattern.search(text_of_message(message, self._form))
        if found is None or self._fixed is not None:
            return found and self._fixed
        names = self._send.names
        groups = {name: found[int(name) if name.isdecimal() else name] or "" for name in names}
        return self._send.fill(groups)


class JsonRule:
    """Answers messages whose JSON has some values."""

    def __init__(self, spec: AutoReply) -> None:
        self._wanted: Values = tuple((path_of(path), value) for path, value in spec.json.items())
        self._fixed = spec.fixed
        self._send = Template(spec.send)
        self._paths = {name: path_of(name) for name in self._send.names}

    def answer(self, message: str | bytes, value: Any) -> str | bytes | None:
        """Returns the answer to a message; None where it does not fit.

        It does not, either, where the answer takes a value that the message does not have.
        """
        if not fits(value, self._wanted):
            return None
        if self._fixed is not None:
            return self._fixed
        found = {name: find_in(path, value) for name, path in self._paths.items()}
        if NOTHING in found.values():
            return None
        return self._send.fill({name: _inside_json(part) for name, part in found.items()})


def _inside_json(value: Any) -> str:
    """Returns a value as a part of JSON text, and a text without its quotes."""
    text = msgspec.json.encode(value).decode()
    return text[1:-1] if isinstance(value, str) else text


class Replies:
    """The automatic replies of a session, in their order."""

    def __init__(self, specs: Sequence[AutoReply]) -> None:
        self._rules: tuple[Rule, ...] = tuple(
            TextRule(spec) if spec.match else JsonRule(spec) for spec in specs
        )
        self._read_json = any(spec.json for spec in specs)

    def to(self, message: str | bytes) -> str | bytes | None:
        """Returns the answer of the first one that fits a message; None without one."""
        is_text = isinstance(message, str)
        value = json_in(message) if self._read_json and is_text else NOTHING
        for rule in self._rules:
            answer = rule.answer(message, value)
            if answer is not None:
                return answer
        return None


class Answering(Connection):
    """The part of a connection that answers messages by itself.

    It has no slots of its own, so that it fits on every kind of connection.
    """

    __slots__ = ()

    owner: Any
    """A user, whose scenario has the replies."""

    def _message(self, opcode: int, payload: bytes, size: int) -> None:
        if size == len(payload):
            message = payload.decode() if opcode == TEXT else payload
            answer = self.owner.scenario.replies.to(message)
            if answer is not None:
                self.recorder.tally.messages_received += 1
                self._answer(answer)
                return
        super()._message(opcode, payload, size)

    def _answer(self, answer: str | bytes) -> None:
        """Sends an answer; counts it as unsent while the server takes too little."""
        if self.state != OPEN:
            return
        assert self.transport is not None
        if self.transport.waiting > HIGH_WATER:
            self.recorder.tally.replies_unsent += 1
            return
        opcode, data = (TEXT, answer.encode()) if isinstance(answer, str) else (BINARY, answer)
        self._write(self._framed(opcode, data), message=True)
        self.recorder.tally.replies += 1


Kind = TypeVar("Kind", bound=Connection)
_kinds: dict[type[Connection], type[Any]] = {}


def answering(kind: type[Kind]) -> type[Kind]:
    """Returns the class of connections of a kind that answer by themselves."""
    if kind not in _kinds:
        _kinds[kind] = type(f"Answering{kind.__name__}", (Answering, kind), {"__slots__": ()})
    return _kinds[kind]
