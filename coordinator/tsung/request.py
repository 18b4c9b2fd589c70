"""Reads <request>: what is sent, and what is done with the reply."""

import base64
import re
from typing import Any

from coordinator.tsung.element import Element
from coordinator.tsung.options import Options
from loadgen.plan.script import Close, Connect, Extract, Match, Send, Step

PROTOCOLS = (
    "http",
    "jabber",
    "raw",
    "pgsql",
    "ldap",
    "mysql",
    "fs",
    "shell",
    "job",
    "amqp",
    "mqtt",
)
OURS = (
    "host",
    "upgrade",
    "connection",
    "origin",
)
"""Headers of the upgrade that an <http_header> can't set, in Tsung either."""
FORM_FIELD = "name=[\"']{name}[\"'] (?:[^>]* )?value=[\"']([^\"']*)[\"']"
"""The default of a dyn_variable, as in Tsung: the value of the HTML form field of that name."""


class Requests:
    """Reads requests under the options of the configuration."""

    def __init__(self, options: Options, path: str) -> None:
        self._options = options
        self._path = path
        """The path of the plan's targets, which a connect need not repeat."""
        self._noted: set[str] = set()

    def read(self, request: Element) -> Step:
        """Returns the step of one request; raises TsungError."""
        request.only("subst", "tag")
        subst = self._subst(request)
        asked = [child for child in request.children if child.name not in ("match", "dyn_variable")]
        if len(asked) != 1 or asked[0].name != "websocket":
            raise _foreign(request, asked)
        (websocket,) = asked
        websocket.only("type", "ack", "frame", "origin", "subprotocols", "path")
        kind = websocket.choice("type", ("connect", "message", "close"))
        match = tuple(map(self._match, request.all("match")))
        extract = tuple(_extract(child, kind) for child in request.all("dyn_variable"))
        if kind == "close":
            return self._close(request, match, extract)
        make = self._connect if kind == "connect" else self._send
        return make(websocket, {"subst": subst, "match": match, "extract": extract})

    def _once(self, element: Element, text: str) -> None:
        """Adds a note unless it was added before."""
        if text not in self._noted:
            self._noted.add(text)
            element.note(text)

    @staticmethod
    def _subst(request: Element) -> bool:
        subst = request.choice("subst", ("true", "false", "all_except_body"), "false")
        if subst == "all_except_body":
            request.note(
                "subst=all_except_body puts nothing into a WebSocket request, in Tsung too"
            )
        return subst == "true"

    def _connect(self, websocket: Element, shared: dict[str, Any]) -> Step:
        path = websocket.get("path") or self._options.path
        _check_text(websocket, path, subst=shared["subst"])
        if not path.startswith("/") or not path.isprintable() or re.search("[ #]", path):
            raise websocket.error(
                f"path {path!r} can't be asked for; begin it with /, and write blanks as %20, #"
                " as %23"
            )
        origin = websocket.get("origin") or self._options.origin
        if not origin:
            self._once(
                websocket,
                'no Origin header is sent, where Tsung sends the bare host name; origin="…"'
                " sends one",
            )
        if shared["match"]:
            websocket.note(
                "the reply to a connect has no text, in Tsung too: a match finds nothing in it"
            )
        subprotocols = websocket.get("subprotocols") or self._options.subprotocols
        return Connect(
            path="" if path == self._path else path,
            origin=_one_line(websocket, origin),
            subprotocols=tuple(re.findall(r"[^,\s]+", subprotocols)),
            headers=dict(
                _header(child, subst=shared["subst"])
                for child in websocket.children
                if _sendable(child)
            ),
            **shared,
        )

    def _send(self, websocket: Element, shared: dict[str, Any]) -> Step:
        text = websocket.text.strip(" ")
        for child in websocket.children:
            raise child.error(
                f"<{child.name}> is not sent with a message; put it into the connect request"
            )
        _check_text(websocket, text, subst=shared["subst"])
        ack = websocket.choice("ack", ("parse", "no_ack"), "parse") == "parse"
        if not ack and (shared["match"] or shared["extract"]):
            websocket.note(
                "a message with ack=no_ack has no reply to look at, in Tsung too; its match is"
                " left out"
            )
            shared = shared | {"match": (), "extract": ()}
        frame = websocket.choice("frame", ("binary", "text"), self._options.frame)
        return Send(text=text, frame="binary" if frame == "binary" else None, ack=ack, **shared)

    @staticmethod
    def _close(request: Element, match: tuple[Match, ...], extract: tuple[Extract, ...]) -> Step:
        if match or extract:
            raise request.error("the reply to a close is not looked at; put the match on a message")
        return Close()

    def _match(self, match: Element) -> Match:
        match.only(
            "do",
            "when",
            "subst",
            "name",
            "max_loop",
            "loop_back",
            "max_restart",
            "sleep_loop",
            "skip_headers",
            "apply_to_content",
        )
        if match.get("apply_to_content", "undefined") != "undefined":
            raise match.error(
                "apply_to_content calls Erlang code; take it out, and match the reply as it is"
            )
        do = match.choice(
            "do", ("continue", "log", "dump", "loop", "restart", "abort", "abort_test"), "continue"
        )
        if do in ("log", "dump"):
            self._once(
                match,
                f"do={do} is written to the agents' logs, a few a second, instead of a file of"
                " its own",
            )
        text = match.text.strip(" \n")
        _check_text(match, text, subst=match.flag("subst"))
        return Match(
            pattern=text,
            when=(
                "nomatch"
                if match.choice("when", ("match", "nomatch"), "match") == "nomatch"
                else "match"
            ),
            do=do,  # type: ignore[arg-type]  # one of the choices
            name=match.get("name", "-"),
            subst=match.flag("subst"),
            max_loop=match.integer("max_loop", 20),
            loop_back=match.integer("loop_back", 0),
            max_restart=match.integer("max_restart", 3),
            sleep_loop=float(match.integer("sleep_loop", 5)),
        )


def _foreign(request: Element, asked: list[Element]) -> Exception:
    for child in asked:
        if child.name in PROTOCOLS:
            return child.error(
                f"<{child.name}> is another protocol than WebSocket; take the request out"
            )
        if child.name != "websocket":
            return child.error(f"<{child.name}> is unknown in <request>; write <websocket>")
    return request.error(
        "a request is one <websocket>; write it, and each further one into a request of its own"
    )


def _extract(element: Element, kind: str) -> Extract:
    element.only("name", "re", "jsonpath", "header", "xpath", "pgsql_expr", "regexp", "decode")
    name = element.need("name")
    for foreign in ("xpath", "pgsql_expr"):
        if element.get(foreign):
            raise element.error(
                f"{foreign} is not looked for in WebSocket messages; write re or jsonpath"
            )
    if element.get("regexp"):
        raise element.error("regexp is read by no Tsung of today; write re")
    if element.get("header"):
        return _header_extract(element, name, kind)
    if kind == "connect":
        element.note(
            "the reply to a connect has no text, in Tsung too: the variable becomes empty;"
            ' header="…" finds some'
        )
    if element.get("jsonpath"):
        return Extract(var=name, by="jsonpath", expr=element.get("jsonpath"))
    expr = element.get("re") or FORM_FIELD.format(name=name)
    return Extract(var=name, expr=expr, decode=element.get("decode") == "html_entities")


def _header_extract(element: Element, name: str, kind: str) -> Extract:
    header = element.get("header")
    if kind != "connect":
        raise element.error(
            "a WebSocket message has no headers; header belongs to the connect request"
        )
    if "/" in header:
        raise element.error(
            f"{header!r} is a part of a header; write the header's name, and take it apart by"
            " setdynvars"
        )
    return Extract(var=name, by="header", expr=header)


def _sendable(child: Element) -> bool:
    if child.name != "http_header":
        raise child.error(f"<{child.name}> is unknown in <websocket>; write <http_header>")
    name = child.need("name").lower()
    if name in OURS or name.startswith("sec-websocket-"):
        child.note(f"header {child.get('name')!r} can't be set, in Tsung either; it is left out")
        return False
    return True


def _header(child: Element, *, subst: bool) -> tuple[str, str]:
    child.only("name", "value", "encoding")
    value = _one_line(child, child.get("value"))
    _check_text(child, value, subst=subst)
    if child.get("encoding") == "base64":
        value = base64.b64encode(value.encode()).decode()
    return _one_line(child, child.need("name")), value


def _one_line(element: Element, text: str) -> str:
    if not text.isprintable():
        raise element.error(
            f"{text!r} can't be sent as a header; write it without control characters"
        )
    return text


def _check_text(element: Element, text: str, *, subst: bool) -> None:
    """Refuses variables that would not be replaced as they seem to be.

    Adds a note for those that are not replaced at all.
    """
    variables = re.sub(r"%%_.+?%%", "", text, flags=re.DOTALL)
    if not subst and variables != text:
        element.note('subst is not "true": variables are sent as they stand, in Tsung too')
    elif subst and "%%ts_user_server:get_unique_id%%" in variables:
        raise element.error(
            "%%ts_user_server:get_unique_id%% calls Erlang code; write %%_tsung_userid%%"
        )
    elif subst and re.search(r"%%\w+:\w+%%", variables):
        raise element.error(
            "%%module:function%% calls Erlang code; set a variable by setdynvars, and write"
            " %%_name%%"
        )
    elif subst and "%%" in variables:
        raise element.error(
            "a %% without a variable's name makes Tsung drop what follows; write %%_name%%, or take"
            " it out"
        )
