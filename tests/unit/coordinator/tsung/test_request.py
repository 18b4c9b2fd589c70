"""<request>: its message, its reply, and what follows from the reply."""

from pathlib import Path

import pytest

from coordinator.tsung.options import Options
from coordinator.tsung.request import Requests
from loadgen.plan.script import Close, Connect, Extract, HttpStep, Match, Ping, Send
from tests.unit.coordinator.tsung.elements import read, refused


def request(inner: str, attributes: str = ""):
    """Returns the step of a request, and the notes that were made of it."""
    root, notes = read(f"<request {attributes}>{inner}</request>")
    (step,) = Requests(Options(Path()), "/live", "ts_websocket").read(root, in_loop=False)
    return step, [note.text for note in notes]


def requests(kind: str, *inner: str, in_loop: bool = False, **options):
    """Returns the steps of a session's requests."""
    known = Options(Path())
    for name, value in options.items():
        setattr(known, name, value)
    reader = Requests(known, "/live", kind)
    root, _ = read("<r>" + "".join(f"\n<request>{one}</request>" for one in inner) + "</r>")
    return [step for one in root.children for step in reader.read(one, in_loop=in_loop)]


def connect(attributes: str = "", inner: str = "", **shared: str):
    words = " ".join(f'{name}="{value}"' for name, value in shared.items())
    return request(f'<websocket type="connect" {attributes}>{inner}</websocket>', words)


def message(text: str, attributes: str = "", beside: str = "", **shared: str):
    words = " ".join(f'{name}="{value}"' for name, value in shared.items())
    return request(f'{beside}<websocket type="message" {attributes}>{text}</websocket>', words)


def test_a_connect_asks_for_its_path_and_not_for_the_one_of_the_target():
    assert connect('path="/live" origin="http://a"')[0] == Connect(origin="http://a")
    assert connect('path="/b" origin="http://a"')[0] == Connect(path="/b", origin="http://a")
    assert connect('origin="http://a"')[0] == Connect(path="/", origin="http://a")


def test_the_missing_origin_is_noted_once():
    root, notes = read("<r><request><websocket type='connect'/></request></r>")
    reader = Requests(Options(Path()), "/", "ts_websocket")
    for _ in range(2):
        assert reader.read(root.children[0], in_loop=False) == (Connect(),)

    assert len(notes) == 1


def test_headers_and_subprotocols_are_sent_but_for_those_of_the_upgrade():
    headers = (
        '<http_header name="X-A" value="b"/><http_header name="Host" value="c"/>'
        '<http_header name="Sec-WebSocket-Extensions" value="permessage-deflate"/>'
        '<http_header name="Authorization" value="me:pw" encoding="base64"/>'
    )
    step, notes = connect('origin="http://a" subprotocols="v1, v2" path="/live"', headers)

    assert step.headers == {"X-A": "b", "Authorization": "bWU6cHc="}
    assert step.subprotocols == ("v1", "v2")
    assert len(notes) == 2


def test_a_message_is_sent_as_it_stands_and_awaits_its_reply():
    assert message(" hello ")[0] == Send(text="hello", frame="binary", ack=True)
    assert message("x", 'frame="text" ack="no_ack"')[0] == Send(text="x")


def test_variables_are_put_in_where_the_request_says_so():
    assert message("%%_a%%", subst="true") == (
        Send(text="%%_a%%", frame="binary", ack=True, subst=True),
        [],
    )
    for subst in ("false", "all_except_body"):
        step, notes = message("%%_a%%", subst=subst)
        assert not step.subst
        assert notes


def test_nothing_is_looked_for_where_there_is_no_reply():
    beside = "<match>a</match>"
    step, notes = message("x", 'ack="no_ack"', beside)

    assert (step.match, len(notes)) == ((), 1)
    assert message("x", 'ack="no_ack"')[1] == []


def test_of_the_reply_to_a_connect_only_headers_are_read():
    header = '<dyn_variable name="a" header="X-A"/>'
    text = '<dyn_variable name="b" re="(.)"/><match>a</match>'
    found, notes = request(f'{header}{text}<websocket type="connect" origin="http://a"/>')

    assert found.extract[0] == Extract(var="a", by="header", expr="X-A")
    assert len(notes) == 2


def test_requests_of_the_older_plugin_are_understood():
    step, notes = request('<websocket type="send">a</websocket>')
    assert (step, len(notes)) == (Send(text="a", ack=True), 1)
    assert request('<websocket type="ping">PING</websocket>')[0] == Ping()
    assert request('<websocket type="connect" url="/b" origin="http://a"/>')[0].path == "/b"


def test_a_close_is_a_close():
    assert request('<websocket type="close"/>') == (Close(), [])


@pytest.mark.parametrize(
    "inner",
    [
        '\n<http url="/"/>',
        '\n<raw data="a"/>',
        "\n<dance/>",
        '\n<websocket type="pong"/>',
        '\n<websocket type="connect" path="a"/>',
        '\n<websocket type="connect" path="/a b"/>',
        '<websocket type="connect">\n<cookie name="a"/></websocket>',
        '<websocket type="connect">\n<http_header value="a"/></websocket>',
        '<websocket type="connect">\n<http_header name="A" value="&#10;"/></websocket>',
        '<websocket type="message">\n<http_header name="A"/></websocket>',
        '\n<websocket type="message" ack="local"/>',
        '\n<dyn_variable name="a" header="b"/><websocket type="message"/>',
        '\n<dyn_variable name="a" header="b/c"/><websocket type="connect"/>',
    ],
)
def test_what_is_no_request_is_refused_at_its_line(inner):
    assert refused(lambda: request(inner))[0] == 2


@pytest.mark.parametrize(
    "inner",
    [
        "",
        '<websocket type="close"/><websocket type="close"/>',
        '<match>a</match><websocket type="close"/>',
    ],
)
def test_a_request_is_one_websocket_and_its_reply(inner):
    assert refused(lambda: request(inner))[0] == 1


@pytest.mark.parametrize("text", ["%%module:function%%", "100%%"])
def test_erlang_in_a_text_is_refused(text):
    assert refused(lambda: message(text, subst="true"))[0] == 1
    assert message(text)[0].text == text


def test_a_unique_id_is_the_users_number():
    step, notes = message("join:%%ts_user_server:get_unique_id%%", subst="true")

    assert (step.text, step.subst, len(notes)) == ("join:%%_tsung_userid%%", True, 1)


def test_a_session_of_http_sends_http_until_it_changes():
    root, _ = read('<r><request><http url="/a"/></request></r>')
    reader = Requests(Options(Path()), "/live", "ts_http")
    (step,) = reader.read(root.children[0], in_loop=True)

    assert isinstance(step, HttpStep)
    reader.changed("ts_websocket")
    assert refused(reader.read, read("<request><http url='/a'/></request>")[0], in_loop=False)
    root, _ = read('<request><websocket type="close"/></request>')
    assert reader.read(root, in_loop=False) == (Close(),)


def test_a_protocol_over_websocket_connects_by_its_first_request():
    steps = requests(
        "ts_mqtt",
        '<mqtt type="publish" topic="t"/>',
        '<mqtt type="disconnect"/>',
        '<mqtt type="publish" topic="t"/>',
        subprotocols="mqtt",
    )
    kinds = [type(step).__name__ for step in steps]

    assert steps[0] == Connect(path="/chat", subprotocols=("mqtt",))
    (_, published) = requests("ts_mqtt", '<match>a</match><mqtt type="subscribe" topic="t"/>')
    assert published.match == (Match(pattern="a"),)
    assert kinds == ["Connect", "Send", "Send", "Close", "Connect", "Send"]
    assert requests("ts_jabber", '<jabber type="raw" data="a"/>', carrier_path="/live") == [
        Connect(),
        Send(text="a", frame="binary"),
    ]


@pytest.mark.parametrize(
    ("inner", "in_loop"),
    [
        ('<mqtt type="disconnect"/>', True),
        ('<match loop_back="1">a</match><mqtt type="disconnect"/>', False),
        ('<websocket type="close"/>', False),
    ],
)
def test_what_a_protocol_over_websocket_has_not_is_refused(inner, in_loop):
    assert refused(requests, "ts_mqtt", inner, in_loop=in_loop)[0] == 2
