"""Requests that users write: what is sent as it is, encoded, or refused."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.request import (
    MAX_SHOWN,
    RequestError,
    encoded_resource,
    request_mistakes,
    with_origin,
)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("/v1/realtime?project=console&channels[]=files", None),
        ('/x?filter={"a":[1]}|%20%zz', None),
        ("/a b?c=d e", "/a%20b?c=d%20e"),
        ("/café", "/caf%C3%A9"),
        ("/rooms?name=#general", "/rooms?name=%23general"),
        ("/😀\x80", "/%F0%9F%98%80%C2%80"),
    ],
)
def test_a_resource_is_sent_as_it_is_but_for_blanks_and_signs_beyond_ascii(text, sent):
    assert encoded_resource(text) == (sent or text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_resource_is_one_word_of_a_request_line_or_refused(text):
    try:
        sent = encoded_resource(f"/{text}")
    except RequestError:
        assert any(sign < " " or sign == "\x7f" for sign in text)
    else:
        assert sent.isascii()
        assert sent.isprintable()
        assert sent.split() == [sent]
        assert unquote(sent) == unquote(f"/{text}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "/x HTTP/1.1\r\nX-Injected: yes",
            r"resource '/x HTTP/1.1\r\nX-Injected: yes' has the character '\r' at place 11",
        ),
        ("/a\tb", r"has the character '\t' at place 2; write it as %XX"),
        ("/a\x00", r"'\x00'"),
        ("/a\x7f", r"'\x7f'"),
        ("/\ud800", r"'\ud800'"),
        ("x", "resource 'x' does not begin with /"),
        ("", "resource '' does not begin with /"),
        ("http://else.test/", "does not begin with /"),
        ("/\n" + "a" * 1000, "a" * (MAX_SHOWN - 3) + "'…"),
    ],
)
def test_what_would_change_the_request_line_is_refused(text, why):
    with pytest.raises(RequestError) as caught:
        encoded_resource(text)

    assert why in str(caught.value).replace("  ", " ")


def test_origin_is_a_header_where_it_is_given():
    assert with_origin([("A", "1")], "") == (("A", "1"),)
    assert with_origin([], "http://here") == (("Origin", "http://here"),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Project", "console"),
        ("x_y.z", "a\tb; ü"),
        ("Empty", ""),
        ("User-Agent", "Mozilla/5.0 (X11)"),
        ("Host", "rt.example.com:8443"),
        ("host", "[::1]:9505"),
        ("Origin", "http://here"),
        ("Cookie", "a=1; b=2"),
    ],
)
def test_a_header_of_a_users_own_is_sent(name, value):
    assert list(request_mistakes([(name, value)])) == []


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("Upgrade", "h2c", "belongs to the handshake, which loadgen writes itself; leave it out"),
        ("CONNECTION", "close", "belongs to the handshake"),
        ("Sec-WebSocket-Key", "x", "belongs to the handshake"),
        ("sec-websocket-whatever", "x", "belongs to the handshake"),
        ("Sec-WebSocket-Protocol", "mqtt", "by the key `subprotocols`"),
        ("Sec-WebSocket-Extensions", "permessage-deflate", "offer compression by --compress"),
        ("X-A", "a\r\nX-Injected: yes", r"has the character '\r' at place 1; leave it out"),
        ("X-A", "\x00", r"has the character '\x00' at place 0"),
        ("X-A", "ab\ud800", r"has the character '\ud800' at place 2"),
        ("X A", "a", "has the name 'X A'"),
        ("X:A", "a", "has the name 'X:A'"),
        ("X\r\nB", "a", r"has the name 'X\r\nB'"),
        ("", "a", "has the name ''"),
        ("Ä", "a", "has the name 'Ä'"),
        ("Host", "a b", "is no host"),
        ("Host", "https://a", "is no host"),
        ("Host", "a,b", "is no host"),
        ("Host", "bücher.example", "an international name in its form xn--"),
    ],
)
def test_a_header_that_would_change_the_request_is_refused_without_its_value(name, value, why):
    ((key, what),) = request_mistakes([("A", "b"), (name, value)])

    assert key == f"headers.{name}"
    assert why in what
    assert len(value) < 6 or value not in what


def test_a_header_is_sent_once():
    assert list(request_mistakes([("X-A", "1"), ("x-a", "2")])) == [
        ("headers.x-a", "is there a second time; write it once")
    ]
    assert list(request_mistakes([("Origin", "http://a")], origin="http://b")) == [
        ("headers.Origin", "is there a second time; write it once")
    ]


def test_an_origin_and_subprotocols_have_their_own_keys():
    assert list(request_mistakes([], ("mqtt", "v12.stomp"), "http://here")) == []
    assert [key for key, _ in request_mistakes([], ("a b", "c", "c", ""), "\n")] == [
        "origin",
        "subprotocols[0]",
        "subprotocols[2]",
        "subprotocols[3]",
    ]
