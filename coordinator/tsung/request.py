"""Reads <request>: what is sent, and what is done with the reply."""

import re
from collections.abc import Sequence
from typing import Any

from coordinator.tsung.element import Element
from coordinator.tsung.http_request import HttpRequests, read_header
from coordinator.tsung.mqtt import MqttRequests
from coordinator.tsung.options import Options
from coordinator.tsung.replies import Kind, read_extract, read_match
from coordinator.tsung.text import one_line, script_text
from coordinator.tsung.xmpp import XmppRequests
from loadgen.plan.script import Close, Connect, Ping, Send, Step

FOREIGN = ("raw", "pgsql", "ldap", "mysql", "fs", "shell", "job", "amqp")
"""The requests of protocols that are not carried over WebSocket."""
ELEMENT_OF = {
    "ts_websocket": "websocket",
    "ts_http": "http",
    "ts_mqtt": "mqtt",
    "ts_jabber": "jabber",
}
"""The requests of a session by its type."""
OF_PLUGIN = ("send", "ping")
"""The types of <websocket> of the plugin tsung_ws, which came before Tsung's own."""
OURS = (
    "host",
    "upgrade",
    "connection",
    "origin",
)
"""Headers of the upgrade that an <http_header> can't set, in Tsung either."""


class Requests:
    """Reads the requests of one session under the options of the configuration."""

    def __init__(self, options: Options, path: str, kind: str) -> None:
        self._options = options
        self._path = path
        """The path of the plan's targets, which a connect need not repeat."""
        self._kind = kind
        """The session's type, or that which it changed to."""
        self._http = HttpRequests(options)
        self.mqtt = MqttRequests(options)
        self._xmpp = XmppRequests(options)
        self._connected = False
        """True when a step connected for a protocol that is carried over WebSocket."""

    def changed(self, kind: str) -> None:
        """Goes on with requests of another type, at another server."""
        self._kind = kind
        self._http.changed()

    @property
    def carried(self) -> bool:
        """True for the requests of a protocol over WebSocket."""
        return self._kind in ("ts_mqtt", "ts_jabber")

    def read(self, request: Element, *, in_loop: bool) -> Sequence[Step]:
        """Returns the steps of one request; raises TsungError.

        `in_loop` is true in a loop or a condition.
        """
        request.only("subst", "tag")
        asked = [child for child in request.children if child.name not in ("match", "dyn_variable")]
        wanted = ELEMENT_OF[self._kind]
        if len(asked) != 1 or asked[0].name != wanted:
            raise _foreign(request, asked, wanted)
        (inner,) = asked
        subst = request.choice("subst", ("true", "false", "all_except_body"), "false")
        if subst == "all_except_body" and self._kind != "ts_http":
            request.note("subst=all_except_body puts nothing into such a request, in Tsung too")
            subst = "false"
        kind = self._reply_kind(inner)
        shared: dict[str, Any] = {
            "match": tuple(
                read_match(one, kind, self._options.read_at) for one in request.all("match")
            ),
            "extract": tuple(read_extract(one, kind) for one in request.all("dyn_variable")),
        }
        if self.carried:
            return self._carried(request, inner, shared, subst=subst == "true", in_loop=in_loop)
        if self._kind == "ts_http":
            return (self._http.read(inner, subst, shared),)
        inner.only("type", "ack", "frame", "origin", "subprotocols", "path", "url")
        if kind == "close":
            return (self._close(request, shared),)
        if inner.get("type") == "ping":
            return (Ping(),)
        make = self._connect if kind == "connect" else self._send
        return (make(inner, {"subst": subst == "true", **shared}),)

    def _reply_kind(self, inner: Element) -> Kind:
        if self._kind == "ts_http":
            return "http"
        if self._kind != "ts_websocket":
            return "message"
        kind = inner.choice("type", ("connect", "message", "close", *OF_PLUGIN))
        if kind in OF_PLUGIN:
            inner.note_once(
                "type send and ping are those of the plugin tsung_ws: a text message, and a PING"
                " that awaits its PONG"
            )
        return "connect" if kind == "connect" else "close" if kind == "close" else "message"

    def _carried(
        self,
        request: Element,
        inner: Element,
        shared: dict[str, Any],
        *,
        subst: bool,
        in_loop: bool,
    ) -> Sequence[Step]:
        """Returns the steps of a request that a protocol over WebSocket makes.

        Its first one connects, as in Tsung.
        """
        for match in request.all("match"):
            if match.integer("loop_back", 0):
                raise match.error("loop_back counts other steps here; take it out")
        steps: list[Step] = []
        if not self._connected:
            if in_loop:
                raise request.error(
                    "the session's first request connects, so it can't be in a loop or a"
                    " condition; put it before"
                )
            steps.append(self._implicit_connect())
            self._connected = True
        read = self.mqtt.read if self._kind == "ts_mqtt" else self._xmpp.read
        steps += read(inner, shared, subst=subst)
        if isinstance(steps[-1], Close):
            self._connected = False
        return steps

    def _implicit_connect(self) -> Connect:
        path = self._options.carrier_path
        return Connect(
            path="" if path == self._path else path,
            subprotocols=_names(self._options.subprotocols),
            origin=self._options.origin,
        )

    def _text(self, element: Element, text: str, *, subst: bool) -> str:
        return script_text(element, text, subst=subst, read_at=self._options.read_at)

    def _connect(self, websocket: Element, shared: dict[str, Any]) -> Step:
        path = websocket.get("path") or websocket.get("url") or self._options.path
        path = self._text(websocket, path, subst=shared["subst"])
        if not path.startswith("/") or not path.isprintable() or re.search("[ #]", path):
            raise websocket.error(
                f"path {path!r} can't be asked for; begin it with /, and write blanks as %20, #"
                " as %23"
            )
        origin = websocket.get("origin") or self._options.origin
        if not origin:
            websocket.note_once(
                'no Origin header is sent, where Tsung sends the bare host name; origin="…"'
                " sends one"
            )
        if shared["match"]:
            websocket.note(
                "the reply to a connect has no text, in Tsung too: a match finds nothing in it"
            )
        return Connect(
            path="" if path == self._path else path,
            origin=one_line(websocket, origin),
            subprotocols=_names(websocket.get("subprotocols") or self._options.subprotocols),
            headers=dict(
                read_header(child, subst=shared["subst"], read_at=self._options.read_at)
                for child in websocket.children
                if _sendable(child)
            ),
            **shared,
        )

    def _send(self, websocket: Element, shared: dict[str, Any]) -> Step:
        for child in websocket.children:
            raise child.error(
                f"<{child.name}> is not sent with a message; put it into the connect request"
            )
        text = self._text(websocket, websocket.text.strip(" "), subst=shared["subst"])
        ack = websocket.choice("ack", ("parse", "no_ack"), "parse") == "parse"
        if not ack and (shared["match"] or shared["extract"]):
            websocket.note(
                "a message with ack=no_ack has no reply to look at, in Tsung too; its match is"
                " left out"
            )
            shared = shared | {"match": (), "extract": ()}
        usual = "text" if websocket.get("type") == "send" else self._options.frame
        frame = websocket.choice("frame", ("binary", "text"), usual)
        return Send(text=text, frame="binary" if frame == "binary" else None, ack=ack, **shared)

    @staticmethod
    def _close(request: Element, shared: dict[str, Any]) -> Step:
        if shared["match"] or shared["extract"]:
            raise request.error("the reply to a close is not looked at; put the match on a message")
        return Close()


def _foreign(request: Element, asked: list[Element], wanted: str) -> Exception:
    for child in asked:
        if child.name in FOREIGN:
            return child.error(
                f"<{child.name}> is another protocol than WebSocket; take the request out"
            )
        if child.name in ELEMENT_OF.values() and child.name != wanted:
            return child.error(
                f"<{child.name}> is no request of this session's type; write <change_type> before"
                " it"
            )
        if child.name != wanted:
            return child.error(f"<{child.name}> is unknown in <request>; write <{wanted}>")
    return request.error(
        f"a request is one <{wanted}>; write it, and each further one into a request of its own"
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^,\s]+", text))


def _sendable(child: Element) -> bool:
    if child.name != "http_header":
        raise child.error(f"<{child.name}> is unknown in <websocket>; write <http_header>")
    name = child.need("name").lower()
    if name in OURS or name.startswith("sec-websocket-"):
        child.note(f"header {child.get('name')!r} can't be set, in Tsung either; it is left out")
        return False
    return True
