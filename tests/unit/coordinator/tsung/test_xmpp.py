"""<jabber> as messages of a script."""

from pathlib import Path

import pytest

from coordinator.tsung.options import Options
from coordinator.tsung.xmpp import STANZAS, XmppRequests
from loadgen.plan.script import Close, Match, Meet, Receive, Send, SetVars
from tests.unit.coordinator.tsung.elements import read, refused

ANN = '<xmpp_authenticate username="ann" passwd="pw"/>'
NOTHING = {"match": (), "extract": ()}


def requests(*xml: str, subst: bool = True, shared=NOTHING, frame: str = "text"):
    """Returns the steps of requests of one session, and the notes on them."""
    options = Options(Path())
    options.frame = frame
    options.jabber.domain = "d"
    reader = XmppRequests(options)
    steps, noted = [], []
    for one in xml:
        element, notes = read(one)
        steps += reader.read(element, shared, subst=subst)
        noted += [note.text for note in notes]
    return steps, noted


def jabber(kind: str, words: str = "", inner: str = ANN) -> str:
    return f'<jabber type="{kind}" {words}>{inner}</jabber>'


def text_of(kind: str, words: str = "", inner: str = ANN) -> str:
    return requests(jabber(kind, words, inner))[0][-1].text


@pytest.mark.parametrize(
    ("kind", "words", "parts"),
    [
        ("connect", 'version="websocket"', ["<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'"]),
        ("presence", "", ["<presence xmlns='jabber:client' id='1' />"]),
        ("presence:initial", "", ["<presence xmlns='jabber:client' id='1' />"]),
        ("presence:final", "", ["type='unavailable'"]),
        ("presence:broadcast", 'show="away"', ["<show>away</show><status>Available</status>"]),
        ("auth_get", "", ["type='get'", "<username>ann</username>"]),
        ("auth_set_plain", 'resource="r"', ["iq:auth", "<resource>r</resource>", ">pw<"]),
        ("register", "", ["iq:register", "<resource>tsung</resource>"]),
        ("auth_sasl", "", ["'PLAIN' >AGFubgBwdw==</auth>"]),
        ("auth_sasl_anonymous", "", ["'ANONYMOUS'/>"]),
        ("auth_sasl_external", "", ["'EXTERNAL'>=</auth>"]),
        ("auth_sasl_bind", "", ["xmpp-bind'><resource>tsung</resource>"]),
        ("auth_sasl_session", "", ["xmpp-session'/>"]),
        ("iq:roster:get", "", ["jabber:iq:roster"]),
        ("raw", 'data="&lt;x/&gt;"', ["<x/>"]),
        ("ping", "", ["from='ann@d'", "id='ping1'"]),
        ("chat", 'destination="unique" data="hi"', ["to='tsunguser1@d'", "<body>hi</body>"]),
        ("chat", 'destination="bob" size="28"', ["to='bob@d'", "<body>abc", "zab</body>"]),
        ("muc:join", 'room="r" nick="n"', ["to='r@conference.localhost/n'"]),
        ("muc:chat", 'room="r" data="hi"', ["'groupchat' to ='r@conference.localhost'", "hi"]),
        ("muc:nick", 'room="r" nick="n"', ["/n'/>"]),
        ("muc:exit", 'room="r" nick="n"', ["'unavailable'/>"]),
    ],
)
def test_a_stanza_is_tsungs(kind, words, parts):
    found = text_of(kind, words)

    assert [part for part in parts if part not in found] == []


def test_every_stanza_is_tested():
    (mark,) = test_a_stanza_is_tsungs.pytestmark
    tested = {kind for kind, *_ in mark.args[1]}

    assert STANZAS.keys() - tested == {"close", "wait"}


def test_a_close_ends_the_connection_too():
    steps, _ = requests(jabber("close"))

    assert steps == [
        Send(text="<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"),
        Close(),
    ]


def test_streams_and_stanzas_are_framed_as_servers_take_them():
    steps, notes = requests(jabber("connect"), jabber("presence"))

    assert (len(notes), steps[1].text) == (2, "<presence xmlns='jabber:client' id='2' />")
    assert requests(jabber("raw", 'data="&lt;iq/&gt;"')) == ([Send(text="<iq/>")], [])


def test_a_user_without_a_name_has_its_number():
    steps, notes = requests(jabber("auth_sasl", inner=""), jabber("auth_get"))

    assert steps[0] == SetVars(
        names=("xmpp_auth",),
        source="base64",
        value="\0tsunguser%%_tsung_userid%%\0sesame%%_tsung_userid%%",
    )
    assert steps[1].subst
    assert "%%_xmpp_auth%%" in steps[1].text
    assert "<username>tsunguser%%_tsung_userid%%</username>" in steps[2].text, "the first holds"
    assert notes[0].startswith("user number k")


@pytest.mark.parametrize(
    ("ack", "awaited"),
    [("no_ack", False), ("bidi_ack", False), ("local", True), ("parse", True), ("global", True)],
)
def test_a_reply_is_awaited_as_ack_says(ack, awaited):
    steps, _ = requests(jabber("presence", f'ack="{ack}"'))

    assert steps[0].ack is awaited
    assert steps[1:] == ([Meet(users=100)] if ack == "global" else [])


def test_an_expression_holds_for_later_replies_too():
    steps, _ = requests(
        jabber("presence", 'ack="parse" regexp="ok"'),
        jabber("presence", 'ack="parse"'),
        jabber("presence", 'ack="local"'),
    )

    assert [step.until for step in steps] == ["ok", "ok", ""]


def test_a_wait_takes_a_message_or_nothing():
    steps, _ = requests(jabber("wait", 'ack="parse" regexp="ok"'), jabber("wait"))

    assert steps == [Receive(until="ok")]


def test_nothing_is_looked_for_where_there_is_no_reply():
    shared = {"match": (Match(pattern="a"),), "extract": ()}
    steps, notes = requests(jabber("presence"), shared=shared, frame="binary")

    assert (steps[0].match, steps[0].frame) == ((), "binary")
    assert "its match is left out" in notes[-1]
    assert requests(jabber("presence", 'ack="local"'), shared=shared)[0][0].match


def test_no_user_is_drawn_where_there_is_none():
    options = Options(Path())
    options.jabber.userid_max = 0
    element, _ = read(jabber("chat"))

    assert refused(XmppRequests(options).read, element, NOTHING, subst=True)[0] == 1


def test_a_random_user_is_drawn():
    steps, _ = requests(jabber("chat"))

    assert steps[0] == SetVars(names=("xmpp_peer",), source="random_number", start=1, end=10_000)
    assert "to='tsunguser%%_xmpp_peer%%@d'" in steps[1].text


@pytest.mark.parametrize(
    "xml",
    [
        jabber("pubsub:create"),
        jabber("chat", 'stamped="true"'),
        jabber("chat", 'destination="online"'),
        jabber("ping", 'destination="online"'),
        jabber("muc:join"),
    ],
)
def test_what_is_not_translated_is_refused(xml):
    assert refused(requests, xml)[0] == 1


@pytest.mark.parametrize(
    "xml",
    [
        jabber("raw", 'data="%%_a%%"'),
        jabber("presence", inner='<xmpp_authenticate username="%%_a%%" passwd="b"/>'),
    ],
)
def test_variables_that_would_stay_are_refused(xml):
    assert requests(xml)[0]
    assert 'subst="true"' in refused(requests, xml, subst=False)[1]
