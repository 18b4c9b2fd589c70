"""Reads <jabber>: XMPP over WebSocket, as Tsung's ts_jabber_common.erl writes it."""

import base64
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from coordinator.tsung.element import Element
from coordinator.tsung.options import Options
from coordinator.tsung.text import USER_ID, script_text
from loadgen.plan.script import Close, Meet, Receive, Send, SetVars, Step
from loadgen.plan.template import Template

FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
NEEDS_ROSTER = ("online", "offline", "previous")
"""Destinations for which Tsung keeps a list of who is there."""
AS_WRITTEN = ("raw", "wait")
"""The types whose text is sent as the configuration has it."""
_STANZA = re.compile(r"^<(iq|presence|message)\b")
ACKS = ("no_ack", "local", "parse", "global", "bidi_ack")


class Identity(NamedTuple):
    """The name and the password of a user; they may hold variables."""

    name: str
    password: str


class Stanza(NamedTuple):
    """The parts of a stanza."""

    element: Element
    identity: Identity
    number: int
    """Its number in the session, which is its id."""
    domain: str
    rooms: str
    """The service of chat rooms."""
    peer: str
    """The name of another user."""

    def get(self, name: str, default: str = "") -> str:
        """Returns an attribute."""
        return self.element.get(name, default)

    @property
    def body(self) -> str:
        """The text of a message: its data, or that many letters."""
        size = self.element.integer("size", 0)
        return self.get("data") or (LETTERS * (size // len(LETTERS) + 1))[:size]

    @property
    def room(self) -> str:
        """The address of a chat room."""
        return f"{self.element.need('room')}@{self.rooms}"


class XmppRequests:
    """Reads the XMPP requests of one session."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._identity: Identity | None = None
        """The user's, as its first request has it."""
        self._stanzas = 0
        self._wanted = ""
        """The regular expression of the last `regexp`, which holds for all later replies."""

    def read(self, jabber: Element, shared: dict[str, Any], *, subst: bool) -> Sequence[Step]:
        """Returns the steps of one request; raises TsungError."""
        kind = jabber.get("type", "chat")
        if kind not in STANZAS:
            raise jabber.error(
                f'type {kind!r} is not translated: write it as type="raw" with data, or as a'
                " session in Python (docs/from-tsung.md, “Instead of what is refused”)"
            )
        if jabber.flag("stamped"):
            raise jabber.error(
                'stamped="true" is Tsung\'s own measure; take it out, and measure delivery as'
                " docs/delivery.md does"
            )
        self._identify(jabber, subst=subst)
        self._stanzas += 1
        before: list[Step] = []
        written = {name: jabber.get(name) for name in ("data", "room", "nick", "resource")}
        if not subst and any("%%" in text for text in written.values()):
            raise jabber.error('variables in it need subst="true" of the request; write it')
        options = self._options.jabber
        stanza = Stanza(
            jabber,
            self._identity or Identity("", ""),
            self._stanzas,
            options.domain,
            options.muc_service,
            self._peer(jabber, kind, before),
        )
        text = STANZAS[kind](stanza)
        if kind not in AS_WRITTEN:
            text = _STANZA.sub(r"<\1 xmlns='jabber:client'", text)
            jabber.note_once(
                "streams and stanzas are framed as RFC 7395 asks: with <open> and <close>, and"
                " xmlns='jabber:client', without which servers refuse Tsung's"
            )
        if kind == "auth_sasl":
            secret = f"\0{stanza.identity.name}\0{stanza.identity.password}"
            if Template(secret).names:
                before.append(SetVars(names=("xmpp_auth",), source="base64", value=secret))
            else:
                encoded = base64.b64encode(secret.encode()).decode()
                text = text.replace("%%_xmpp_auth%%", encoded)
        text = script_text(jabber, text, subst=True, read_at=self._options.read_at)
        return [*before, *self._sent(jabber, kind, text, shared)]

    def _sent(
        self, jabber: Element, kind: str, text: str, shared: dict[str, Any]
    ) -> Sequence[Step]:
        self._wanted = jabber.get("regexp") or self._wanted
        ack = jabber.choice("ack", ACKS, "no_ack")
        replied = ack not in ("no_ack", "bidi_ack")
        fields: dict[str, Any] = {}
        if replied:
            fields = {"until": self._wanted if ack == "parse" else "", **shared}
        elif shared["match"] or shared["extract"]:
            jabber.note(f"a request with ack={ack} has no reply to look at; its match is left out")
        fields["subst"] = bool(Template(text).names)
        if not text:  # type="wait"
            return (Receive(**fields),) if replied else ()
        frame: Any = "binary" if self._options.frame == "binary" else None
        steps: list[Step] = [Send(text=text, frame=frame, ack=replied, **fields)]
        if ack == "global":
            steps.append(Meet(users=max(1, self._options.jabber.global_number)))
        if kind == "close":
            steps.append(Close())
        return steps

    def _identify(self, jabber: Element, *, subst: bool) -> None:
        """Reads who the user is from the session's first request, as Tsung does."""
        given = jabber.all("xmpp_authenticate")
        if self._identity is not None:
            return
        if not given:
            jabber.note_once(
                "user number k logs in with id k, from 1, where Tsung takes an id that is free"
            )
            options = self._options.jabber
            self._identity = Identity(options.username + USER_ID, options.passwd + USER_ID)
            return
        one = given[0]
        self._identity = Identity(
            *(
                script_text(one, one.need(key), subst=subst, read_at=self._options.read_at)
                for key in ("username", "passwd")
            )
        )
        if not subst and any(Template(text).names for text in self._identity):
            raise one.error('variables in it need subst="true" of the request; write it')

    def _peer(self, jabber: Element, kind: str, before: list[Step]) -> str:
        """Returns the name of the user that a request is for.

        Adds the step that draws it to those before.
        """
        place = jabber.get("destination", "random")
        if kind not in ("chat", "ping") or (kind == "ping" and place != "online"):
            return ""
        if place in NEEDS_ROSTER:
            raise jabber.error(
                f"destination={place} needs a list of all users, which no agent has; write"
                ' destination="random"'
            )
        options = self._options.jabber
        if place == "unique":
            return f"{options.username}1"
        if place != "random":
            return place
        if not options.userid_max:
            raise jabber.error(
                "userid_max is 0, so there is no random user; name one as destination"
            )
        before.append(
            SetVars(names=("xmpp_peer",), source="random_number", start=1, end=options.userid_max)
        )
        return f"{options.username}%%_xmpp_peer%%"


def _query(it: Stanza, space: str, inner: str) -> str:
    return f"<iq id='{it.number}' type='set' ><query xmlns='jabber:iq:{space}'>{inner}</query></iq>"


def _credentials(it: Stanza) -> str:
    return (
        f"<username>{it.identity.name}</username><resource>{it.get('resource', 'tsung')}</resource>"
        f"<password>{it.identity.password}</password>"
    )


def _show(it: Stanza) -> str:
    return (
        f"<presence id='{it.number}'><show>{it.get('show', 'chat')}</show>"
        f"<status>{it.get('status', 'Available')}</status></presence>"
    )


def _ping(it: Stanza) -> str:
    return (
        f"<iq xml:lang='en' to='{it.domain}' from='{it.identity.name}@{it.domain}' type='get'"
        f" id='{it.get('data', 'ping1')}'><ping xmlns='urn:xmpp:ping'/></iq>"
    )


STANZAS: dict[str, Callable[[Stanza], str]] = {
    "connect": lambda it: f"<open xmlns='{FRAMING}' to='{it.domain}' version='1.0'/>",
    "close": lambda it: f"<close xmlns='{FRAMING}'/>",
    "presence": lambda it: f"<presence id='{it.number}' />",
    "presence:initial": lambda it: f"<presence id='{it.number}' />",
    "presence:final": lambda it: "<presence type='unavailable'/>",
    "presence:broadcast": _show,
    "auth_get": lambda it: (
        f"<iq id='{it.number}' type='get' ><query xmlns='jabber:iq:auth'>"
        f"<username>{it.identity.name}</username></query></iq>"
    ),
    "auth_set_plain": lambda it: _query(it, "auth", _credentials(it)),
    "register": lambda it: _query(it, "register", _credentials(it)),
    "auth_sasl": lambda it: f"<auth xmlns='{SASL}' mechanism='PLAIN' >%%_xmpp_auth%%</auth>",
    "auth_sasl_anonymous": lambda it: f"<auth xmlns='{SASL}' mechanism='ANONYMOUS'/>",
    "auth_sasl_external": lambda it: f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>",
    "auth_sasl_bind": lambda it: (
        f"<iq type='set' id='{it.number}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
        f"<resource>{it.get('resource', 'tsung')}</resource></bind></iq>"
    ),
    "auth_sasl_session": lambda it: (
        f"<iq type='set' id='{it.number}'>"
        "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"
    ),
    "chat": lambda it: (
        f"<message id='{it.number}' to='{it.peer}@{it.domain}' type='chat'>"
        f"<body>{it.body}</body></message>"
    ),
    "iq:roster:get": lambda it: (
        f"<iq id='{it.number}' type='get'><query xmlns='jabber:iq:roster'></query></iq>"
    ),
    "raw": lambda it: it.get("data"),
    "wait": lambda it: "",
    "ping": _ping,
    "muc:join": lambda it: (
        f"<presence to='{it.room}/{it.element.need('nick')}'>"
        "<x xmlns='http://jabber.org/protocol/muc'/> </presence>"
    ),
    "muc:chat": lambda it: (
        f"<message type='groupchat' to ='{it.room}'><body>{it.body}</body></message>"
    ),
    "muc:nick": lambda it: f"<presence to='{it.room}/{it.element.need('nick')}'/>",
    "muc:exit": lambda it: (
        f"<presence to='{it.room}/{it.element.need('nick')}' type='unavailable'/>"
    ),
}
"""The functions that write a stanza, by its type."""
