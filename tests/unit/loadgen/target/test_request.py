"""An opening request is judged from its bytes alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from loadgen.net.handshake import Handshake
from loadgen.target.request import (
    MAX_HEAD,
    Refusal,
    Resource,
    Upgrade,
    Verdict,
    accept_of,
    judge,
    resource_of,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
RESOURCE = "/v1/realtime?project=console&channels[]=files"
REQUEST = Handshake("127.0.0.1:9505", RESOURCE).request(KEY)


def test_judges_the_rfc_s_own_example():
    """The accept key of RFC 6455 section 1.3."""
    verdict = judge(REQUEST + b"rest")

    assert verdict == Upgrade(
        b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", Resource("/v1/realtime", "console", ("files",)), b"rest"
    )


def test_judges_the_library_s_request():
    """The websockets library writes header names in another case.

    It sends more headers too.
    """
    client = ClientProtocol(
        parse_uri("ws://127.0.0.1:9505/v1/realtime?channels%5B%5D=a&channels[]=b%20c&channels[]=a")
    )
    client.send_request(client.connect())

    verdict = judge(b"".join(client.data_to_send()))

    assert isinstance(verdict, Upgrade)
    assert verdict.accept == accept_of(client.key.encode())
    assert verdict.resource == Resource("/v1/realtime", "", ("a", "b c"))


@given(st.integers(0, len(REQUEST) - 1))
def test_waits_for_the_whole_head(size):
    assert judge(REQUEST[:size]) is Verdict.INCOMPLETE


def replaced(old: bytes, new: bytes) -> bytes:
    assert old in REQUEST
    return REQUEST.replace(old, new)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(replaced(b"GET", b"POST"), 400, id="not GET"),
        pytest.param(replaced(b"HTTP/1.1", b"HTTP/1.0"), 400, id="HTTP/1.0"),
        pytest.param(replaced(b"GET /v1", b"GET  /v1"), 400, id="no request line"),
        pytest.param(
            replaced(b"Connection: Upgrade", b"Connection: close"), 400, id="no Connection: Upgrade"
        ),
        pytest.param(replaced(b"Version: 13", b"Version: 8"), 426, id="an old version"),
        pytest.param(replaced(b"Sec-WebSocket-Version: 13\r\n", b""), 426, id="no version"),
        pytest.param(replaced(b"Sec-WebSocket-Key: " + KEY + b"\r\n", b""), 400, id="no key"),
        pytest.param(replaced(KEY, b"c2hvcnQ="), 400, id="a short key"),
        pytest.param(replaced(KEY, b"*" * 24), 400, id="a key not in base64"),
        pytest.param(
            replaced(KEY, KEY + b"\r\nSec-WebSocket-Key: " + KEY),
            400,
            id="two keys (RFC 6455 section 11.3.1)",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD, 431, id="a head without end"),
        pytest.param(
            b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n",
            431,
            id="a long head in one piece",
        ),
        pytest.param(b"\x16\x03\x01\x02\x00\x01", 400, id="a TLS hello"),
    ],
)
def test_refuses(request_, status):
    verdict = judge(request_)

    assert isinstance(verdict, Refusal)
    assert verdict.status == status
    assert verdict.reply.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Length: %d\r\n" % len(verdict.reply.split(b"\r\n\r\n", 1)[1]) in verdict.reply


def test_says_which_version_it_speaks():
    """RFC 6455 section 4.4."""
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in Refusal(426, "").reply


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /publish HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_leaves_other_http_to_aiohttp(request_):
    assert judge(request_) is Verdict.PLAIN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Upgrade: websocket", b"UPGRADE:WebSocket"),
        (b"Upgrade: websocket", b"Upgrade: h2c, websocket"),
        (b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"),
        (b"Connection: Upgrade", b"Connection: keep-alive\r\nConnection: upgrade"),
    ],
)
def test_takes_headers_in_any_case_and_in_lists(old, new):
    assert isinstance(judge(replaced(old, new)), Upgrade)


def test_the_project_s_header_wins_over_the_query():
    """As in Appwrite's app/init/realtime/connection.php."""
    verdict = judge(replaced(b"Host:", b"X-Appwrite-Project: other\r\nHost:"))

    assert isinstance(verdict, Upgrade)
    assert verdict.resource.project == "other"


@pytest.mark.parametrize(
    ("target", "resource"),
    [
        (b"/", Resource("/", "", ())),
        (b"/v1/realtime?", Resource("/v1/realtime", "", ())),
        (b"/v1/realtime?channels[]=", Resource("/v1/realtime", "", ("",))),
        (b"/v1/realtime?project=a%2Fb&channels=x", Resource("/v1/realtime", "a/b", ())),
        (b"/v1/realtime?channels[]=%ff\xff", Resource("/v1/realtime", "", ("��",))),
    ],
)
def test_reads_a_target(target, resource):
    assert resource_of(target) == resource


@given(st.binary())
def test_judges_anything(data):
    judge(data)
    judge(b"GET " + data + b" HTTP/1.1\r\nUpgrade: websocket\r\n" + data + b"\r\n\r\n")
