"""Secrets by their names, and texts without their values."""

import pytest

from loadgen.plan.secrets import is_secret, secret_parameters, shown_header, shown_url


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
    ],
)
def test_a_header_is_shown_without_its_secret(name, value, shown):
    assert shown_header(name, value) == shown


def test_a_url_is_shown_without_the_values_of_secret_parameters():
    assert shown_url("GET /ws?token=abc&room=1 HTTP/1.1") == "GET /ws?token=…&room=1 HTTP/1.1"


def test_the_secret_parameters_of_a_query_are_decoded():
    assert secret_parameters("token=a%20b&room=1&password=") == [("token", "a b")]
