"""Secrets by their names, and texts without their values."""

import pytest

from loadgen.plan.secrets import (
    is_secret,
    secret_parameters,
    shown_header,
    shown_subprotocols,
    shown_text,
    shown_url,
    shown_urls,
)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("Authorization", True),
        ("Set-Cookie", True),
        ("X-Api-Key", True),
        ("access_token", True),
        ("password", True),
        ("passenger", False),
        ("Host", False),
        ("Sec-WebSocket-Key", False),
        ("sessions", False),
    ],
)
def test_a_secret_is_known_by_its_name(name, secret):
    assert is_secret(name) is secret


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Host", "a.example", "a.example"),
        ("Authorization", "Bearer abc", "Bearer …"),
        ("X-Api-Key", "abc", "…"),
        ("Set-Cookie", "sid=abc; Path=/", "sid=…; Path=/"),
        ("Cookie", "sid=abc; theme=dark", "sid=…; theme=…"),
        ("Set-Cookie", "abc; Path=/", "…"),
        ("Location", "/a?token=abc", "/a?token=…"),
        ("Sec-WebSocket-Protocol", f"talk, {'t' * 25}", "talk, hidden-2"),
    ],
)
def test_a_header_is_shown_without_its_secret(name, value, shown):
    assert shown_header(name, value) == shown


def test_a_url_is_shown_without_the_values_of_secret_parameters():
    assert shown_url("GET /ws?token=abc&room=1 HTTP/1.1") == "GET /ws?token=…&room=1 HTTP/1.1"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:pw@a.example/x?y=1", "http://…@a.example/x?y=1"),
        ("ws://a/?room=1&access%5Ftoken=abc#x", "ws://a/?room=1&access%5Ftoken=…#x"),
        ("ws://a/?token=&code=abc", "ws://a/?token=&code=…"),
    ],
)
def test_a_url_is_shown_without_its_user_and_with_the_names_of_its_parameters(url, shown):
    assert shown_url(url) == shown


def test_urls_that_would_look_the_same_are_told_apart():
    urls = ("ws://a/?token=x", "ws://b/", "ws://a/?token=y", "ws://a/?token=x")

    assert shown_urls(urls) == {
        "ws://a/?token=x": "ws://a/?token=…",
        "ws://b/": "ws://b/",
        "ws://a/?token=y": "ws://a/?token=…2",
    }


def test_a_subprotocol_that_may_be_a_token_is_a_number():
    assert shown_subprotocols(("graphql-transport-ws", "x" * 25)) == (
        "graphql-transport-ws",
        "hidden-2",
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"token": "a\\"bc", "age": 7}', '{"token": "…", "age": 7}'),
        ('{"otp": 123456}', '{"otp": …}'),
        ('{"code": "room_full"}', '{"code": "room_full"}'),
        ("{'password': 'abc'}", "{'password': '…'}"),
        ('"{\\"token\\": \\"abc\\"}"', '"{\\"token\\": \\"…\\"}"'),
        ('{"token": "cut off', '{"token": "…'),
        ("X-Auth-Token: abc\nServer: x", "X-Auth-Token: …\nServer: x"),
        ("  Set-Cookie: sid=abc; Path=/", "  Set-Cookie: sid=…; Path=/"),
        ("AuthError: no such user", "AuthError: no such user"),
        ("the target ws://a/?token=abc is full", "the target ws://a/?token=… is full"),
        ("token=abc&room=1", "token=…&room=1"),
        ('login(user, password="abc")', "login(user, password=…"),
        ("it ended with code=3", "it ended with code=3"),
    ],
)
def test_a_text_is_shown_without_what_its_names_call_secret(text, shown):
    assert shown_text(text) == shown


def test_the_secret_parameters_of_a_query_are_decoded():
    assert secret_parameters("token=a%20b&room=1&password=") == [("token", "a b")]
