"""The parts of a target's URL, and texts that are no such URL."""

import re

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from loadgen.errors import PlanError
from loadgen.net.url import TargetUrl, interleaved, resolve
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
        "ws://target",
        "WSS://Target:9505?a=b",
        "ws://[::1]:80/a;b?c;d",
        "ws://bücher.test/käse/%20?ä=ö&c[]=d",
        "ws://target/ä",
        "ws://target:/",
        "ws://target?",
    ],
)
def test_the_parts_are_the_ones_that_websockets_finds(url):
    theirs = parse_uri(url)
    assert TargetUrl.parse(url) == TargetUrl(
        theirs.host, theirs.port, theirs.resource_name, theirs.secure
    )


@pytest.mark.parametrize("url", ["", "http://target/", "ws://", "ws:///a", "ws://target/#a"])
def test_a_mistake_is_named_as_websockets_names_it(url):
    with pytest.raises(InvalidURI) as theirs:
        parse_uri(url)
    with pytest.raises(PlanError, match=re.escape(f"({theirs.value})")):
        TargetUrl.parse(url)


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
    assert resolve("127.0.0.1", 9505) == ("127.0.0.1",)
    assert resolve("::1", 9505) == ("::1",)
    assert {"127.0.0.1", "::1"}.issuperset(resolve("localhost", 80))


@pytest.mark.parametrize(
    ("found", "order"),
    [
        (["::1", "::2", "10.0.0.1", "::3"], ("::1", "10.0.0.1", "::2", "::3")),
        (["10.0.0.1", "10.0.0.2", "::1"], ("10.0.0.1", "::1", "10.0.0.2")),
        (["10.0.0.2", "10.0.0.1", "10.0.0.2"], ("10.0.0.2", "10.0.0.1")),
        ([], ()),
    ],
)
def test_the_families_of_addresses_take_turns_and_the_resolvers_first_leads(found, order):
    assert interleaved(found) == order


@pytest.mark.parametrize(
    ("url", "path", "resource"),
    [
        ("ws+unix:///run/app.sock:/v1/realtime?a=b:c", "/run/app.sock", "/v1/realtime?a=b:c"),
        ("ws+unix:///run/app.sock", "/run/app.sock", "/"),
        ("ws+unix:///run/app.sock:", "/run/app.sock", "/"),
        ("WS+UNIX:/run/app.sock:/x", "/run/app.sock", "/x"),
        (f"ws+unix:///{'a' * 106}:/", f"/{'a' * 106}", "/"),
    ],
)
def test_the_url_of_a_unix_socket_has_a_path_and_a_resource(url, path, resource):
    parts = TargetUrl.parse(url)
    assert (parts.path, parts.resource, parts.secure) == (path, resource, False)
    assert parts.host_header == "localhost"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ws+unix://", "has no path"),
        ("ws+unix:///", "has no path"),
        ("ws+unix:///run/:/x", "has no path"),
        ("ws+unix://:/x", "has no path"),
        ("ws+unix://host/run/app.sock:/x", "names the host 'host'"),
        ("ws+unix:run/app.sock", "names the host 'run'"),
        ("ws+unix:///run/app.sock:x", "has a resource that does not begin with a slash"),
        ("ws+unix:///run/app.sock?x", "has a resource that does not begin with a slash"),
        ("ws+unix:///run/app.sock:/#x", "has a fragment"),
        ("wss+unix:///run/app.sock:/", "which has no TLS"),
        ("ws+tcp://target/", "is neither of TCP nor of ws+unix"),
        (f"ws+unix:///{'é' * 54}", "has a path of more than 107 bytes"),
    ],
)
def test_a_malformed_url_of_a_unix_socket_is_one_line(url, words):
    with pytest.raises(PlanError, match=re.escape(words)) as caught:
        TargetUrl.parse(url)
    assert str(caught.value).endswith("write ws+unix:///PATH.sock:/RESOURCE")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64, f"{'a.' * 130}b"])
def test_a_host_that_does_not_resolve_is_one_line(host):
    with pytest.raises(PlanError, match="does not resolve") as caught:
        resolve(host, 80)
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
