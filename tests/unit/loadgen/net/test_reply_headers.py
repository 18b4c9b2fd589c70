"""The headers of a reply: all values of each, in any case, and its cookies."""

import pytest

from loadgen.net.reply_headers import ReplyHeaders, cookies_of

STATUS = "HTTP/1.1 101 Switching Protocols"


def headers(*lines: str, encoding: str = "utf-8") -> ReplyHeaders:
    return ReplyHeaders("\r\n".join((STATUS, *lines, "", "")).encode(encoding))


def test_a_header_is_found_by_its_name_in_any_case():
    found = headers("Upgrade:  websocket ", "X-Empty:", "X-Time: 12:30")

    assert found["upgrade"] == found["UPGRADE"] == "websocket"
    assert (found.get("x-empty"), found["X-Time"]) == ("", "12:30")
    assert ("Upgrade" in found, "Server" in found, found.get("Server")) == (True, False, None)
    assert dict(found) == {"upgrade": "websocket", "x-empty": "", "x-time": "12:30"}
    assert len(found) == 3
    with pytest.raises(KeyError):
        found["Server"]


def test_a_repeated_header_has_all_its_values():
    found = headers("Set-Cookie: a=1; Path=/", "Via: x", "set-cookie: b=2", "VIA: y, z")

    assert found["Via"] == "x, y, z"
    assert found.getall("via") == ["x", "y, z"]
    assert found.getall("Set-Cookie") == ["a=1; Path=/", "b=2"]
    assert found.getall("Server") == []


def test_before_the_reply_there_are_none():
    assert dict(ReplyHeaders(b"")) == {}


@pytest.mark.parametrize(
    ("line", "cookies"),
    [
        ("lb=node3; Path=/; SameSite=None; Partitioned", {"lb": "node3"}),
        (" lb = node3 ;Expires=Wed, 21 Oct 2026 07:28:00 GMT", {"lb": "node3"}),
        ('user={"id":1}', {"user": '{"id":1}'}),
        ('quoted="a b"', {"quoted": '"a b"'}),
        ("empty=", {"empty": ""}),
        ("token=a=b==", {"token": "a=b=="}),
        ("nothing", {}),
        ("=value", {}),
    ],
)
def test_a_cookie_is_what_a_browser_sends_back(line, cookies):
    assert cookies_of(headers(f"Set-Cookie: {line}")) == cookies


def test_the_last_of_two_cookies_of_one_name_wins():
    found = headers("Set-Cookie: a=1", "Set-Cookie: b=2", "Set-Cookie: a=3")

    assert cookies_of(found) == {"a": "3", "b": "2"}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_values_beyond_ascii_are_read_in_the_encoding_that_they_have(encoding):
    assert headers("X-Name: Zoë", encoding=encoding)["x-name"] == "Zoë"
