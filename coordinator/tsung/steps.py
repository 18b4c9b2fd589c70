"""Reads the contents of a session, a transaction or a loop as steps of a script."""

import re
from collections.abc import Callable, Sequence

from coordinator.tsung.element import Element
from coordinator.tsung.options import ClientCertificate, Options, ThinkDefault, read_rate_of
from coordinator.tsung.request import Requests
from coordinator.tsung.servers import base_of
from coordinator.tsung.text import function_text
from loadgen.plan.phases import MAX_NUMBER
from loadgen.plan.script import (
    Abort,
    Change,
    Condition,
    For,
    Foreach,
    If,
    Interaction,
    Meet,
    Op,
    Option,
    Repeat,
    SetVars,
    Step,
    Think,
    Transaction,
    steps_in,
)
from loadgen.plan.template import Template

SESSION_TYPES = ("ts_websocket", "ts_http", "ts_mqtt", "ts_jabber")
CHANGE_TYPES = ("ts_websocket", "ts_http")
FOR_EVER = MAX_NUMBER
"""Seconds of a think time that never ends: thirty years."""
NOT_BIDI = (
    'without bidi="true" Tsung ends a session at the first message that it did not ask for; here it'
    " goes on, and the message counts as async_unknown_data_rcv"
)
OPS: tuple[Op, ...] = ("eq", "neq", "gt", "gte", "lt", "lte")


class Steps:
    """Reads steps, and remembers the element of each."""

    def __init__(self, options: Options, path: str, base: str = "") -> None:
        self._options = options
        self._path = path
        """The path of the plan's targets."""
        self._base = base
        """The server that replaces all others; empty: none does."""
        self._requests = Requests(options, path, SESSION_TYPES[0])
        self._depth = 0
        """The number of loops and conditions around the element."""
        self.certificate: ClientCertificate | None = None
        """The client's certificate that the session sets, if any."""
        self._origin: dict[int, Element] = {}
        self._kept: list[Step] = []

    @property
    def over_websocket(self) -> bool:
        """True when all servers carry other protocols over WebSocket."""
        return self._options.over_websocket

    def origin(self, step: Step) -> Element:
        """Returns the element that a step was read from."""
        return self._origin[id(step)]

    def read_session(self, element: Element, kind: str) -> tuple[Step, ...]:
        """Returns the steps of a session of this type."""
        self._requests = Requests(self._options, self._path, kind)
        self.certificate = None
        return self.read(element)

    def read(self, parent: Element, leave: Element | None = None) -> tuple[Step, ...]:
        """Returns the steps of all children except `leave`."""
        children = (child for child in parent.children if child is not leave)
        steps: list[Step] = []
        for child in children:
            with child.refusing():
                steps += self._read_one(child)
        return tuple(steps)

    def _inside(self, parent: Element, leave: Element | None = None) -> tuple[Step, ...]:
        """Returns the steps of a loop or a condition."""
        self._depth += 1
        try:
            return self.read(parent, leave)
        finally:
            self._depth -= 1

    def _read_one(self, element: Element) -> Sequence[Step]:
        if element.name not in _READERS:
            known = ", ".join(_READERS)
            raise element.error(f"<{element.name}> is no step of a session; write one of {known}")
        found = _READERS[element.name](self, element)
        steps: Sequence[Step] = found if isinstance(found, Sequence) else (found,)
        for step in steps_in(steps):
            self._origin.setdefault(id(step), element)
        self._kept += steps  # while they are kept, no other step has their ids
        return steps

    def request(self, element: Element) -> Sequence[Step]:
        """Reads a request."""
        return self._requests.read(element, in_loop=self._depth > 0)

    def think(self, element: Element) -> Step | Sequence[Step]:
        """Reads a think time; the defaults of the options fill in, or override it."""
        element.only("value", "random", "min", "max")
        value, default = element.get("value"), self._options.think
        if value == "wait_bidi":
            element.note_once(
                "wait_bidi never ends in a WebSocket session, in Tsung too: it holds its connection"
                " until the run is stopped, or until --hold is over"
            )
            return Think(seconds=FOR_EVER)
        if value == "wait_global":
            return Meet(users=self._options.together)
        if value.startswith("%%"):
            return Think(seconds=_variable(element, value))
        think = self._think_time(element, default)
        if self._requests.carried and isinstance(think.seconds, float) and not think.random:
            return self._requests.mqtt.pause(think.seconds) if think.upto is None else think
        return think

    def _think_time(self, element: Element, default: ThinkDefault) -> Think:
        if default.override:
            return _think(default.seconds, default.range, random=default.random)
        if element.get("min") or element.get("max"):
            return self._think_between(element)
        seconds = element.number("value", default.seconds, above=0.0)
        if element.get("random"):
            return _think(seconds, None, random=element.flag("random"))
        return _think(seconds, default.range, random=default.random)

    @staticmethod
    def _think_between(element: Element) -> Think:
        low, high = element.integer("min", least=1), element.integer("max", least=1)
        if low >= high or element.get("value"):
            raise element.error(
                "a think time has a value, or min and a larger max; write one of both"
            )
        return Think(seconds=float(low), upto=float(high))

    def transaction(self, element: Element) -> Step:
        """Reads steps that are timed together."""
        element.only("name")
        return Transaction(name=element.need("name"), steps=self.read(element))

    def for_(self, element: Element) -> Step:
        """Reads a counting loop."""
        element.only("var", "from", "to", "incr")
        first, last, by = (
            _bound(element, "from"),
            _bound(element, "to"),
            element.integer("incr", 1, least=None),
        )
        if by <= 0 and isinstance(first, int) and isinstance(last, int) and first < last:
            raise element.error(f'incr="{by}" never reaches {last}; write a number above 0')
        return For(
            var=element.need("var"), first=first, last=last, step=by, steps=self._inside(element)
        )

    def repeat(self, element: Element) -> Step:
        """Reads a loop with its condition, which is its last child."""
        element.only("name", "max_repeat")
        ends = [child for child in element.children if child.name in ("while", "until")]
        if len(ends) != 1 or element.children[-1] is not ends[0]:
            raise element.error(
                "the last element of a <repeat> is one <while> or <until>; write it there"
            )
        (end,) = ends
        condition = _condition(end)
        if "%%" in condition.value:
            raise end.error(
                "Tsung puts no variable into the value of a while or until; write the value itself"
            )
        return Repeat(
            name=element.need("name"),
            most=element.integer("max_repeat", 20),
            until=end.name == "until",
            condition=condition,
            steps=self._inside(element, leave=end),
        )

    def if_(self, element: Element) -> Step:
        """Reads steps under a condition."""
        return If(condition=_condition(element), steps=self._inside(element))

    def foreach(self, element: Element) -> Step:
        """Reads a loop over a list."""
        element.only("name", "in", "include", "exclude")
        include, exclude = element.get("include"), element.get("exclude")
        if include and exclude:
            element.note("include goes before exclude, in Tsung too; exclude is left out")
        return Foreach(
            var=element.need("name"),
            values=element.need("in"),
            include=include,
            exclude="" if include else exclude,
            steps=self._inside(element),
        )

    def set_vars(self, element: Element) -> Step:
        """Reads variables from a source."""
        element.only(
            "sourcetype",
            "callback",
            "code",
            "fileid",
            "order",
            "delimiter",
            "length",
            "start",
            "end",
            "from",
            "jsonpath",
            "value",
        )
        names = tuple(var.need("name") for var in element.all("var"))
        if not names or len(names) != len(element.children):
            raise element.error(
                '<setdynvars> holds one or more <var name="…"/>; write them, and nothing else'
            )
        kind = element.get("sourcetype", "erlang")
        if kind == "erlang" and element.get("callback").startswith("ts_user_server:"):
            value = function_text(element, element.get("callback"), self._options.read_at)
            return SetVars(names=names, source="value", value=value)
        if kind not in _SOURCES:
            raise element.error(
                f"sourcetype {kind!r} is Erlang code or unknown; take the values from one of"
                f" {_known()}"
            )
        return _SOURCES[kind](self, element, names)

    def set_from_file(self, element: Element, names: tuple[str, ...]) -> Step:
        """Reads variables from the next line of a file, or from a random one."""
        local = element.get("sourcetype") == "local_file"
        option, id_ = (
            "local_file_server" if local else "file_server",
            element.get("fileid", "default"),
        )
        if (option, id_) not in self._options.file_ids:
            raise element.error(
                f"there is no file {id_!r}; write <option name={option!r} id={id_!r} value=…/>"
            )
        order = "random" if local else element.choice("order", ("iter", "random"), "iter")
        return SetVars(
            names=names,
            source="file",
            file=self._options.file_ids[option, id_],
            order="random" if order == "random" else "iter",
            delimiter=element.get("delimiter", ";"),
        )

    def change(self, element: Element) -> Step:
        """Reads a change to another server."""
        element.only("new_type", "host", "port", "server_type", "store", "restore", "bidi")
        kind = element.get("new_type")
        if kind not in CHANGE_TYPES or self._requests.carried:
            raise element.error(
                f"new_type {kind!r} can't be changed to here; only {' and '.join(CHANGE_TYPES)}"
                " share a session"
            )
        if "%%" in element.get("host") + element.get("port"):
            raise element.error(
                "a server by a variable can't be in the plan; write a change_type for each server"
            )
        base = base_of(element, element.get("server_type"))
        if kind == "ts_websocket" and not element.flag("bidi"):
            element.note_once(NOT_BIDI)
        if kind == "ts_http" and not element.flag("restore"):
            element.note_once("cookies stay with the user; Tsung forgets them at a change_type")
        self._requests.changed(kind)
        return Change(
            url=(self._base or base) + self._path,
            store=element.flag("store"),
            restore=element.flag("restore"),
        )

    def option(self, element: Element) -> Step | Sequence[Step]:
        """Reads an option for the rest of the session."""
        element.only("name", "type", "value", "max")
        name = element.choice("name", ("connect_timeout", "rate_limit", "certificate"))
        if name == "certificate":
            if len(element.children) != 1 or element.children[0].name != "certificate":
                raise element.error('the option holds one <certificate certfile="…"/>; write it')
            if self._depth or self.certificate is not None:
                raise element.error(
                    "a session has one certificate, from its beginning; write one, before the loops"
                )
            self.certificate = self._options.certificate_of(element.children[0])
            return ()
        if name == "rate_limit":
            return Option(name="read_rate", value=read_rate_of(element))
        return Option(name="connect_timeout", value=element.integer("value", least=1) / 1000)

    @staticmethod
    def interaction(element: Element) -> Step:
        """Reads one end of a time that is measured between users."""
        element.only("action", "id")
        action = element.choice("action", ("send", "receive"), "send")
        element.note(
            "an interaction is timed between users of the same worker; where others answer, it is"
            " not seen"
        )
        return Interaction(
            id=element.need("id"), action="receive" if action == "receive" else "send"
        )

    @staticmethod
    def abort(element: Element) -> Step:
        """Reads the end of the session, or of the run."""
        element.only("type")
        return Abort(all=element.choice("type", ("session", "all"), "session") == "all")


def _think(seconds: float, between: tuple[float, float] | None, *, random: bool) -> Think:
    if between is not None:
        return Think(seconds=between[0], upto=between[1])
    return Think(seconds=seconds, random=random)


def _variable(element: Element, text: str) -> str:
    if not re.fullmatch(r"%%_[^%]+%%", text):
        raise element.error(f"{text!r} is no variable; write %%_name%%")
    return text


def _bound(element: Element, name: str) -> int | str:
    text = element.need(name)
    return _variable(element, text) if text.startswith("%%") else element.integer(name, least=None)


def _condition(element: Element) -> Condition:
    element.only("var", *OPS)
    ops = [op for op in OPS if op in element.attributes]
    if len(ops) != 1:
        raise element.error(
            f"<{element.name}> compares by one of {', '.join(OPS)}; write one of them"
        )
    value = element.get(ops[0])
    if ops[0] not in ("eq", "neq") and not Template(value).names:
        element.number(ops[0])
    return Condition(var=element.need("var"), op=ops[0], value=value)


def _number(steps: Steps, element: Element, names: tuple[str, ...]) -> Step:
    start, end = element.integer("start", 1, least=None), element.integer("end", 10, least=None)
    return SetVars(names=names, source="random_number", start=start, end=end)


def _string(steps: Steps, element: Element, names: tuple[str, ...]) -> Step:
    length = element.integer("length", 20)
    if length > 65536:
        raise element.error(f"a string of {length:,} characters is too long; write up to 65,536")
    source = element.get("sourcetype")
    return SetVars(
        names=names,
        source="urandom_string" if source == "urandom_string" else "random_string",
        length=length,
    )


def _value(steps: Steps, element: Element, names: tuple[str, ...]) -> Step:
    if Template(element.get("value")).names:
        element.note("variables in the value are replaced, where Tsung leaves them as they are")
    return SetVars(names=names, source="value", value=element.get("value"))


def _server(steps: Steps, element: Element, names: tuple[str, ...]) -> Step:
    return SetVars(names=names, source="server")


def _json(steps: Steps, element: Element, names: tuple[str, ...]) -> Step:
    return SetVars(
        names=names, source="jsonpath", var=element.need("from"), value=element.need("jsonpath")
    )


def _known() -> str:
    return ", ".join(_SOURCES)


_SOURCES: dict[str, Callable[[Steps, Element, tuple[str, ...]], Step]] = {
    "random_number": _number,
    "random_string": _string,
    "urandom_string": _string,
    "value": _value,
    "file": Steps.set_from_file,
    "local_file": Steps.set_from_file,
    "server": _server,
    "jsonpath": _json,
}
_READERS: dict[str, Callable[[Steps, Element], Step | Sequence[Step]]] = {
    "request": Steps.request,
    "thinktime": Steps.think,
    "transaction": Steps.transaction,
    "setdynvars": Steps.set_vars,
    "for": Steps.for_,
    "repeat": Steps.repeat,
    "if": Steps.if_,
    "foreach": Steps.foreach,
    "change_type": Steps.change,
    "set_option": Steps.option,
    "interaction": lambda _, element: Steps.interaction(element),
    "abort": lambda _, element: Steps.abort(element),
}
