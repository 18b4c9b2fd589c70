"""The parts of a target's URL, and texts that are no such URL."""

import pytest
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from loadgen.errors import PlanError
from loadgen.net.url import TargetUrl
from loadgen.plan.plan import TARGET


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("ws://target/", TargetUrl("target", 80, "/", secure=False)),
        ("wss://target", TargetUrl("target", 443, "/", secure=True)),
        (
            "ws://target:9505/a/b?c=d&e[]=f",
            TargetUrl("target", 9505, "/a/b?c=d&e[]=f", secure=False),
        ),
        ("ws://[::1]:9505/", TargetUrl("::1", 9505, "/", secure=False)),
        ("WS://Target:80/Path", TargetUrl("target", 80, "/Path", secure=False)),
        (
            TARGET,
            TargetUrl(
                "127.0.0.1", 9505, "/v1/realtime?project=console&channels[]=files", secure=False
            ),
        ),
    ],
)
def test_a_url_has_its_parts(url, parts):
    assert TargetUrl.parse(url) == parts


@pytest.mark.parametrize(
    "url",
    [
        "",
        "target",
        "http://target/",
        "ws://",
        "ws:///path",
        "ws://target:many/",
        "ws://target:99999/",
        "ws://[::1/",
        "ws://target/#fragment",
    ],
)
def test_a_text_that_is_no_websocket_url_is_one_line_with_the_fix(url):
    with pytest.raises(PlanError, match="write ws://HOST:PORT/PATH") as caught:
        TargetUrl.parse(url)
    assert repr(url) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ws://target/",
        "ws://target:80/",
        "ws://target:443/",
        "ws://target:9505/",
        "wss://target/",
        "wss://target:443/",
        "wss://target:80/",
        "ws://[::1]/",
        "ws://[::1]:9505/",
    ],
)
def test_the_host_header_is_the_one_that_websockets_would_send(url):
    assert (
        TargetUrl.parse(url).host_header == ClientProtocol(parse_uri(url)).connect().headers["Host"]
    )


def test_an_address_resolves_to_itself():
    assert TargetUrl.parse("ws://127.0.0.1:9505/").resolve() == "127.0.0.1"
    assert TargetUrl.parse("ws://[::1]:9505/").resolve() == "::1"
    assert TargetUrl.parse("ws://localhost/").resolve() in ("127.0.0.1", "::1")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64, f"{'a.' * 130}b"])
def test_a_host_that_does_not_resolve_is_one_line(host):
    with pytest.raises(PlanError, match="does not resolve") as caught:
        TargetUrl(host, 80, "/", secure=False).resolve()
    assert host in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ws://target/a b", "ws://target/\r\nX: y", "ws://target/\0", " ws://target/"]
)
def test_a_url_that_would_break_the_request_line_is_refused(url):
    with pytest.raises(PlanError, match="has a blank or control character; write %20"):
        TargetUrl.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "ws://user:secret@target:9505/v1",
        "wss://user:se:cret@target/",
        "ws://secret@target/",
        "ws://:secret@target/",
        "ws://user:sec@ret@target/",
        "user:secret@target",
    ],
)
def test_a_url_with_a_user_is_refused_rather_than_stripped_of_it(url):
    with pytest.raises(PlanError) as caught:
        TargetUrl.parse(url)
    assert "\n" not in str(caught.value)
    assert "send the header Authorization" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ws://user:secret@target:9505/v1",
        "ws://user:sec/ret@target/",
        "ws://user:sec?ret@target/",
        "ws://u:sec ret@t/",
    ],
)
def test_no_message_shows_a_password(url):
    with pytest.raises(PlanError) as caught:
        TargetUrl.parse(url)
    assert "sec" not in str(caught.value)
    assert "ret" not in str(caught.value)


def test_an_at_sign_after_the_host_is_part_of_the_resource():
    assert TargetUrl.parse("ws://target/@me?mail=a@b").resource == "/@me?mail=a@b"
