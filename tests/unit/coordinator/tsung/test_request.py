"""<request>: its message, its reply, and what follows from the reply."""

from pathlib import Path

import pytest

from coordinator.tsung.options import Options
from coordinator.tsung.request import Requests
from loadgen.plan.script import Close, Connect, Extract, Match, Send
from tests.unit.coordinator.tsung.elements import read, refused


def request(inner: str, attributes: str = ""):
    """Returns the step of a request, and the notes that were made of it."""
    root, notes = read(f"<request {attributes}>{inner}</request>")
    return Requests(Options(Path()), "/live").read(root), [note.text for note in notes]


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
    requests = Requests(Options(Path()), "/")
    for _ in range(2):
        assert requests.read(root.children[0]) == Connect()

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


def test_a_reply_is_matched_and_taken_apart():
    beside = (
        '<match do="loop" when="nomatch" max_loop="2" sleep_loop="1" name="m">\nok\n</match>'
        '<match do="log">a</match>'
        '<dyn_variable name="a" re="b(.)" decode="html_entities"/>'
        '<dyn_variable name="c" jsonpath="d.e"/>'
        '<dyn_variable name="f"/>'
    )
    step, notes = message("x", beside=beside)

    assert step.match == (
        Match(pattern="ok", when="nomatch", do="loop", max_loop=2, sleep_loop=1.0, name="m"),
        Match(pattern="a", do="log"),
    )
    taken = {extract.var: extract for extract in step.extract}
    assert taken["a"] == Extract(var="a", expr="b(.)", decode=True)
    assert taken["c"] == Extract(var="c", by="jsonpath", expr="d.e")
    assert "name=[\"']f[\"']" in taken["f"].expr
    assert len(notes) == 1


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


def test_a_close_is_a_close():
    assert request('<websocket type="close"/>') == (Close(), [])


@pytest.mark.parametrize(
    "inner",
    [
        '\n<http url="/"/>',
        "\n<dance/>",
        '\n<websocket type="ping"/>',
        '\n<websocket type="connect" path="a"/>',
        '\n<websocket type="connect" path="/a b"/>',
        '<websocket type="connect">\n<cookie name="a"/></websocket>',
        '<websocket type="connect">\n<http_header value="a"/></websocket>',
        '<websocket type="connect">\n<http_header name="A" value="&#10;"/></websocket>',
        '<websocket type="message">\n<http_header name="A"/></websocket>',
        '\n<websocket type="message" ack="local"/>',
        '\n<match apply_to_content="f">a</match><websocket type="message"/>',
        '\n<dyn_variable name="a" xpath="b"/><websocket type="message"/>',
        '\n<dyn_variable name="a" regexp="b"/><websocket type="message"/>',
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


@pytest.mark.parametrize(
    "text", ["%%ts_user_server:get_unique_id%%", "%%module:function%%", "100%%"]
)
def test_erlang_in_a_text_is_refused(text):
    assert refused(lambda: message(text, subst="true"))[0] == 1
    assert message(text)[0].text == text
