"""Handshakes with the websockets library's server, and replies made by hand."""

from base64 import b64decode
from http import HTTPStatus
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from loadgen.net.handshake import MAX_HEAD_SIZE, Handshake, Reply, accept_of, key_of
from loadgen.plan.compress import Compress
from loadgen.plan.request import RequestError
from loadgen.stats.reasons import is_reason
from loadgen.version import VERSION
from tests.unit.plans import words
from tests.unit.strategies import cuts, pieces

RESOURCE = "/v1/realtime?project=console&channels[]=files"
KEY = key_of(0x1234)
OTHER = key_of(0x5678)
keys = st.integers(0, 2**128 - 1).map(key_of)


def handshake(*headers: tuple[str, str], **more: object) -> Handshake:
    return Handshake("server.test:9505", RESOURCE, headers, **more)


def answered(
    request: bytes, status: int = 101, **options: object
) -> tuple[ServerProtocol, Request, bytes]:
    """Returns the library's server, the request that it read, and its reply."""
    server = ServerProtocol(**options)
    server.receive_data(request)
    (understood,) = server.events_received()
    response = (
        server.accept(understood) if status == 101 else server.reject(HTTPStatus(status), "no\n")
    )
    server.send_response(response)
    return server, understood, b"".join(server.data_to_send())


def head(*lines: bytes, status: bytes = b"HTTP/1.1 101 Switching Protocols") -> bytes:
    return b"\r\n".join((status, *lines)) + b"\r\n\r\n"


UPGRADE = b"Upgrade: websocket"
CONNECTION = b"Connection: Upgrade"
ACCEPT = b"Sec-WebSocket-Accept: " + accept_of(KEY)
VALID = head(UPGRADE, CONNECTION, ACCEPT)


def test_the_example_of_the_rfc():
    """RFC 6455 section 1.3."""
    assert accept_of(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@given(st.integers(0, 2**128 - 1))
def test_a_key_is_sixteen_bytes_in_base64(number):
    assert b64decode(key_of(number), validate=True) == number.to_bytes(16, "big")


@given(keys)
def test_a_server_accepts_our_request_and_we_its_reply(key):
    ours = handshake(("X-Appwrite-Project", "console"), ("Origin", "http://server.test"))
    server, request, reply = answered(ours.request(key))

    assert server.state is OPEN
    assert request.path == RESOURCE
    assert request.headers["Host"] == "server.test:9505"
    assert request.headers["X-Appwrite-Project"] == "console"
    assert request.headers["Origin"] == "http://server.test"
    assert ours.check(reply, key) == Reply(None, reply, b"")


def test_a_header_of_the_users_own_replaces_a_default():
    """A server refuses a request with two Host lines (RFC 9112 section 3.2)."""
    plain = answered(handshake().request(KEY))[1].headers
    own = answered(handshake(("host", "rt.test"), ("user-agent", "x")).request(KEY))[1].headers

    assert plain.get_all("Host") == ["server.test:9505"]
    assert plain.get_all("User-Agent") == [f"loadgen/{VERSION}"]
    assert own.get_all("Host") == ["rt.test"]
    assert own.get_all("User-Agent") == ["x"]


@given(words, words)
def test_no_value_changes_the_request(resource, value):
    """The library's server reads the same lines whatever the values hold."""
    try:
        ours = Handshake("target", f"/{resource}", (("X-Own", value),))
    except RequestError:
        assert not (resource + value).isprintable()
        return
    request = answered(ours.request(KEY))[1]
    sent = request.headers.get("X-Own", "").encode("latin-1", "surrogateescape")

    assert request.path == ours.resource
    assert unquote(request.path) == unquote(f"/{resource}")
    assert sent == value.strip(" \t").encode()
    assert len(list(request.headers.raw_items())) == 7


def test_what_can_not_be_sent_names_its_key():
    with pytest.raises(RequestError, match=r"`headers\.Upgrade` belongs to the handshake"):
        handshake(("Upgrade", "h2c"))
    with pytest.raises(RequestError, match=r"`subprotocols\[0\]` is 'a b'"):
        handshake(subprotocols=("a b",))
    with pytest.raises(RequestError, match="resource 'x' does not begin with /"):
        Handshake("target", "x")


def test_one_handshake_serves_many_connections():
    """The second reply is compared with the learnt one, with the same result."""
    ours = handshake()
    replies = [answered(ours.request(key))[2] for key in (KEY, OTHER, KEY)]

    assert [
        ours.check(reply, key) for reply, key in zip(replies, (KEY, OTHER, KEY), strict=True)
    ] == [Reply(None, reply, b"") for reply in replies]


@pytest.mark.parametrize(
    "lines",
    [
        (UPGRADE, CONNECTION, ACCEPT, b"Server: swoole", b"Sec-WebSocket-Version: 13"),
        (
            b"upgrade:WebSocket",
            b"connection:   upgrade  ",
            b"SEC-WEBSOCKET-ACCEPT:" + accept_of(KEY),
        ),
        (UPGRADE, b"Connection: keep-alive, Upgrade", ACCEPT),
        (UPGRADE, CONNECTION, ACCEPT, b"Set-Cookie: a=1", b"Set-Cookie: b=2"),
        (b"X-Echo: " + accept_of(KEY), UPGRADE, CONNECTION, ACCEPT),
    ],
    ids=[
        "plain",
        "other case and spacing",
        "two connection options",
        "repeated cookies",
        "accept value twice",
    ],
)
def test_replies_of_other_servers_are_valid(lines):
    ours = handshake()
    reply = head(*lines)

    assert [ours.check(reply, KEY) for _ in range(2)] == [Reply(None, reply, b"")] * 2


WRONG = {
    "no Upgrade": ("bad_upgrade", (CONNECTION, ACCEPT)),
    "another Upgrade": ("bad_upgrade", (b"Upgrade: h2c", CONNECTION, ACCEPT)),
    "an Upgrade that is none": ("bad_upgrade", (b"Upgrade: @", CONNECTION, ACCEPT)),
    "no Connection": ("bad_upgrade", (UPGRADE, ACCEPT)),
    "another Connection": ("bad_upgrade", (UPGRADE, b"Connection: close", ACCEPT)),
    "no accept": ("bad_accept", (UPGRADE, CONNECTION)),
    "an empty accept": ("bad_accept", (UPGRADE, CONNECTION, b"Sec-WebSocket-Accept: ")),
    "the accept of another key": (
        "bad_accept",
        (UPGRADE, CONNECTION, b"Sec-WebSocket-Accept: " + accept_of(OTHER)),
    ),
    "the key itself": ("bad_accept", (UPGRADE, CONNECTION, b"Sec-WebSocket-Accept: " + KEY)),
    "an accept with a byte after it": ("bad_accept", (UPGRADE, CONNECTION, ACCEPT + b"x")),
    "an accept in lower case": (
        "bad_accept",
        (UPGRADE, CONNECTION, b"Sec-WebSocket-Accept: " + accept_of(KEY).lower()),
    ),
    "two accepts": ("bad_accept", (UPGRADE, CONNECTION, ACCEPT, ACCEPT)),
    "the accept in another header": (
        "bad_accept",
        (UPGRADE, CONNECTION, b"X-Accept: " + accept_of(KEY)),
    ),
    "an extension never offered": (
        "bad_extension",
        (UPGRADE, CONNECTION, ACCEPT, b"Sec-WebSocket-Extensions: permessage-deflate"),
    ),
    "a subprotocol never offered": (
        "bad_subprotocol",
        (UPGRADE, CONNECTION, ACCEPT, b"Sec-WebSocket-Protocol: no-extension"),
    ),
    "an extension and a subprotocol": (
        "bad_extension",
        (
            UPGRADE,
            CONNECTION,
            ACCEPT,
            b"Sec-WebSocket-Protocol: chat",
            b"Sec-WebSocket-Extensions: permessage-deflate",
        ),
    ),
    "a line that is no header": ("bad_handshake", (UPGRADE, CONNECTION, ACCEPT, b"rubbish")),
    "a header on two lines": (
        "bad_handshake",
        (UPGRADE, CONNECTION, ACCEPT, b"Set-Cookie: a=1;", b" secret"),
    ),
}


def failures(ours, *replies, key=KEY):
    """Returns the reasons for which replies are refused."""
    return [ours.check(reply, key).failure for reply in replies]


@pytest.mark.parametrize(("reason", "lines"), WRONG.values(), ids=WRONG)
def test_a_101_that_does_not_answer_our_request_says_what_is_wrong(reason, lines):
    reply = handshake().check(head(*lines), KEY)

    assert (reply.failure, reply.head, reply.rest) == (reason, head(*lines), b"")
    assert is_reason("failed", reason)
    assert reply.words
    assert "secret" not in reply.words


@pytest.mark.parametrize(("reason", "lines"), WRONG.values(), ids=WRONG)
def test_it_says_the_same_after_a_valid_reply_was_learnt(reason, lines):
    ours = handshake()
    ours.check(VALID, KEY)

    assert failures(ours, head(*lines)) == [reason]


def test_a_valid_reply_is_valid_only_for_its_own_key():
    ours = handshake()
    ours.check(VALID, KEY)

    assert failures(ours, VALID, key=OTHER) == ["bad_accept"]


def test_a_bad_reply_is_not_learnt():
    ours = handshake()

    assert failures(ours, *[head(CONNECTION, ACCEPT)] * 2) == ["bad_upgrade"] * 2


@pytest.mark.parametrize("chosen", ["news", "chat, superchat"])
def test_only_one_subprotocol_that_was_offered_may_be_chosen(chosen):
    ours = handshake(subprotocols=("chat", "superchat"))
    choice = f"Sec-WebSocket-Protocol: {chosen}".encode()
    reply = ours.check(head(UPGRADE, CONNECTION, ACCEPT, choice), KEY)

    assert reply.failure == "bad_subprotocol"
    assert chosen in reply.words


def test_headers_that_negotiate_nothing_are_not_counted():
    """Not their number, and not their length; the library would do both."""
    cookies = (b"Set-Cookie: a=1",) * 200
    lines = (UPGRADE, CONNECTION, ACCEPT, *cookies, b"X-Long: ".ljust(20_000, b"x"))

    assert failures(handshake(), head(*lines)) == [None]


def test_a_subprotocol_that_was_offered_may_be_chosen():
    ours = handshake(subprotocols=("chat", "superchat"))
    server, _, reply = answered(ours.request(KEY), subprotocols=["superchat"])

    assert server.subprotocol == "superchat"
    assert ours.check(reply, KEY) == Reply(None, reply, b"")


@pytest.mark.parametrize("status", [301, 302, 401, 403, 404, 429, 500, 503])
def test_another_status_is_named(status):
    ours = handshake()
    _, _, reply = answered(ours.request(KEY), status)

    refused = ours.check(reply, KEY)
    assert (refused.failure, refused.rest) == (f"http_{status}", b"no\n")
    assert refused.head + refused.rest == reply


def test_a_status_without_a_phrase_is_named():
    assert handshake().check(head(status=b"HTTP/1.0 503"), KEY).failure == "http_503"


@pytest.mark.parametrize(
    "status",
    [
        b"HTTP/1.1 abc",
        b"HTTP/1.1 1010 Yes",
        b"HTTP/1.1",
        b"HTTP/1.1  101 Two Spaces",
        b"HTTP/1.7 101 X",
    ],
)
def test_a_malformed_status_line_is_a_bad_handshake(status):
    assert (
        handshake().check(head(UPGRADE, CONNECTION, ACCEPT, status=status), KEY).failure
        == "bad_handshake"
    )


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"S",
        b"HTTX",
        b"http/1.1 101",
        b"HTTP/2.0 101",
        b"\x16\x03\x01",
        b"\r\n\r\n",
        b"\x81\x02hi",
    ],
)
def test_what_cannot_become_a_reply_is_refused_at_once(garbage):
    reason = "bad_handshake" if garbage.startswith(b"HTTP/") else "no_http"

    assert failures(handshake(), garbage) == [reason]


def test_a_port_that_speaks_tls_is_told_apart():
    alert = bytes.fromhex("15030100020228")

    assert "wss://" in handshake().check(alert, KEY).words
    assert "wss://" not in handshake().check(b"SSH-2.0-x", KEY).words


@pytest.mark.parametrize("status", [101, 404])
def test_a_reply_is_waited_for_until_its_last_byte(status):
    """There is no result before the head is whole, wherever it is cut."""
    ours = handshake()
    _, _, reply = answered(ours.request(KEY), status)
    end = reply.index(b"\r\n\r\n") + 4

    assert [ours.check(reply[:at], KEY) for at in range(end)] == [None] * end
    assert ours.check(reply[:end], KEY) == handshake().check(reply, KEY)._replace(rest=b"")


@given(st.binary(max_size=40), st.booleans())
def test_the_bytes_after_the_head_are_returned(rest, learnt):
    ours = handshake()
    if learnt:
        ours.check(VALID, KEY)

    assert ours.check(VALID + rest, KEY) == Reply(None, VALID, rest)


def test_a_head_that_does_not_end_is_too_large():
    ours = handshake()
    endless = b"HTTP/1.1 101 Switching Protocols\r\nX: ".ljust(MAX_HEAD_SIZE + 1, b"x")

    assert ours.check(endless[:MAX_HEAD_SIZE], KEY) is None
    assert failures(ours, endless) == ["head_too_large"]


def test_an_overlong_head_is_refused_however_it_arrives():
    """Both in one piece and in two."""
    overlong = head(UPGRADE, CONNECTION, ACCEPT, b"X: " + b"x" * MAX_HEAD_SIZE)

    assert failures(handshake(), overlong[:-1], overlong) == ["head_too_large"] * 2


EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("interim", [EARLY, CONTINUE, CONTINUE * 2000], ids=["103", "100", "many"])
@pytest.mark.parametrize("learnt", [False, True])
def test_interim_replies_before_the_101_are_skipped(interim, learnt):
    """RFC 9110 section 15.2; the bytes after the 101 still belong to the first frame."""
    ours = handshake()
    if learnt:
        ours.check(VALID, KEY)

    assert ours.check(interim + VALID + b"frame", KEY) == Reply(None, VALID, b"frame")
    assert ours.check(interim + VALID[:-1], KEY) is None
    assert ours.check(interim, KEY) is None


def test_what_follows_an_interim_reply_may_be_a_refusal():
    ours = handshake()
    _, _, reply = answered(ours.request(KEY), 403)

    refused = ours.check(EARLY + reply, KEY)
    assert (refused.failure, refused.head + refused.rest) == ("http_403", reply)


def test_interim_replies_without_end_are_too_large():
    ours = handshake()
    endless = EARLY * (MAX_HEAD_SIZE // len(EARLY) + 1)

    assert ours.check(endless[:MAX_HEAD_SIZE], KEY) is None
    assert failures(ours, endless) == ["head_too_large"]


@given(st.binary(max_size=80), cuts)
def test_no_bytes_raise(data, cuts):
    """Neither alone nor within a reply that is valid but for them."""
    for reply in (
        data,
        b"HTTP/1.1 " + data,
        head(UPGRADE, CONNECTION, data),
        head(data, UPGRADE, CONNECTION, ACCEPT),
    ):
        so_far = b""
        for piece in pieces(reply, cuts):
            so_far += piece
            result = handshake().check(so_far, KEY)
            assert result is None or isinstance(result, Reply)


def test_a_reply_in_an_older_http_is_no_upgrade():
    """RFC 6455 section 4.1 wants HTTP/1.1 or later."""
    reply = head(UPGRADE, CONNECTION, ACCEPT, status=b"HTTP/1.0 101 Switching Protocols")

    assert failures(handshake(), reply) == ["bad_handshake"]


bits = st.none() | st.integers(9, 15)
offers = st.builds(Compress, server_max_window_bits=bits, client_max_window_bits=bits)
servers = st.builds(ServerPerMessageDeflateFactory, st.booleans(), st.booleans(), bits, bits)


@given(offers, st.booleans(), st.booleans(), servers)
def test_both_sides_agree_on_the_same_compression(offer, server_anew, client_anew, factory):
    offer = Compress(
        server_no_context_takeover=server_anew,
        client_no_context_takeover=client_anew,
        server_max_window_bits=offer.server_max_window_bits,
        client_max_window_bits=offer.client_max_window_bits,
        level=3,
    )
    ours = handshake(compress=offer)
    server, request, reply = answered(ours.request(KEY), extensions=[factory])
    (theirs,) = server.extensions

    for key in (KEY, KEY, OTHER):
        _, _, again = answered(ours.request(key), extensions=[factory])
        found = ours.check(again, key)
        agreement = found.agreement
        assert (found.failure, found.rest, agreement.level) == (None, b"", 3)
        assert agreement.server_takeover != theirs.local_no_context_takeover
        assert agreement.client_takeover >= (not theirs.remote_no_context_takeover)
        assert agreement.server_bits == theirs.local_max_window_bits
        assert agreement.client_bits <= theirs.remote_max_window_bits
    assert request.headers["Sec-WebSocket-Extensions"] == offer.offer
    assert reply.count(b"Sec-WebSocket-Extensions") == 1


DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate"


def test_a_server_may_choose_no_compression():
    reply = handshake(compress=Compress()).check(VALID, KEY)

    assert reply == Reply(None, VALID, b"")


def test_servers_behind_a_balancer_may_choose_differently():
    ours = handshake(compress=Compress())
    plain, first, second = VALID, head(UPGRADE, CONNECTION, ACCEPT, DEFLATE), b""
    second = head(UPGRADE, CONNECTION, ACCEPT, DEFLATE + b"; server_no_context_takeover")
    found = [ours.check(reply, KEY).agreement for reply in (plain, first, second, first, plain)]

    assert [agreement and str(agreement) for agreement in found] == [
        None,
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate",
        None,
    ]


def test_replies_that_differ_elsewhere_share_an_agreement():
    ours = handshake(compress=Compress())
    dates = (b"Date: now", b"Date: then")
    first, second = (
        ours.check(head(UPGRADE, CONNECTION, ACCEPT, DEFLATE, date), KEY) for date in dates
    )

    assert first.agreement is second.agreement is not None


def test_connections_to_all_resources_share_an_agreement():
    """Without context takeover it holds the one deflater of the worker."""
    reply = head(UPGRADE, CONNECTION, ACCEPT, DEFLATE)
    first, second = (
        Handshake("target", resource, compress=Compress()).check(reply, KEY)
        for resource in ("/?user=1", "/?user=2")
    )

    assert first.agreement is second.agreement is not None


def test_an_unusual_reply_may_choose_compression_too():
    ours = handshake(compress=Compress())
    reply = head(UPGRADE, b"Connection: keep-alive, Upgrade", ACCEPT, DEFLATE)

    assert str(ours.check(reply, KEY).agreement) == "permessage-deflate"


@pytest.mark.parametrize("value", [b"", b" ", b"\t"])
def test_an_empty_choice_is_none(value):
    ours = handshake(compress=Compress())
    empty = b"Sec-WebSocket-Extensions:" + value

    assert ours.check(head(UPGRADE, CONNECTION, ACCEPT, empty), KEY).agreement is None


def test_a_choice_may_be_quoted():
    ours = handshake(compress=Compress())
    quoted = DEFLATE + b'; server_max_window_bits="10"; client_max_window_bits = "9"'

    found = ours.check(head(UPGRADE, CONNECTION, ACCEPT, quoted), KEY).agreement

    assert (found.server_bits, found.client_bits) == (10, 9)


@pytest.mark.parametrize("asked", [None, 9])
@pytest.mark.parametrize("choice", [b"=8", b' = "8"'])
def test_a_window_of_eight_bits_is_served_by_one_of_nine(asked, choice):
    ours = handshake(compress=Compress(client_max_window_bits=asked))
    eight = DEFLATE + b"; client_max_window_bits" + choice

    found = ours.check(head(UPGRADE, CONNECTION, ACCEPT, eight), KEY)

    assert found.failure is None
    assert (found.agreement.client_bits, found.agreement.server_bits) == (9, 15)


NARROW = Compress(server_max_window_bits=10, server_no_context_takeover=True)
NARROW_CHOICE = b"; server_no_context_takeover; server_max_window_bits="


@pytest.mark.parametrize(
    ("offer", "choice", "why"),
    [
        (Compress(), b"x-webkit-deflate-frame", "x-webkit-deflate-frame is another extension"),
        (Compress(), b"permessage-deflate, permessage-deflate", "duplicate permessage-deflate"),
        (Compress(), b"permessage-deflate; level=9", "level"),
        (Compress(), b"permessage-deflate; server_max_window_bits=16", "server_max_window_bits"),
        (Compress(), b"permessage-deflate; client_max_window_bits=85", "client_max_window_bits"),
        (Compress(), b"permessage-deflate; server_no_context_takeover=1", "context_takeover"),
        (Compress(), b"permessage-deflate; ;", "invalid"),
        (Compress(), b",", "invalid"),
        (Compress(), b", ,", "invalid"),
        (Compress(), b"\xff", "invalid"),
        (NARROW, b"permessage-deflate", "expected server_no_context_takeover"),
        (NARROW, b"permessage-deflate" + NARROW_CHOICE + b"11", "unsupported server_max_window"),
        (
            Compress(client_max_window_bits=9),
            b"permessage-deflate; client_max_window_bits=10",
            "unsupported client_max_window_bits",
        ),
    ],
)
@pytest.mark.parametrize("learnt", [False, True])
def test_a_choice_of_what_was_not_offered_says_so(offer, choice, why, learnt):
    """Also after a valid reply was learnt."""
    ours = handshake(compress=offer)
    if learnt:
        ours.check(VALID, KEY)
    reply = head(UPGRADE, CONNECTION, ACCEPT, b"Sec-WebSocket-Extensions: " + choice)

    refused = ours.check(reply, KEY)

    assert (refused.failure, refused.agreement) == ("bad_extension", None)
    assert why in refused.words
    assert refused.words.endswith(f"`{offer.offer}` was offered")


def test_a_mistake_elsewhere_comes_before_the_choice():
    ours = handshake(compress=Compress())

    assert failures(ours, head(UPGRADE, CONNECTION, DEFLATE)) == ["bad_accept"]
    assert failures(ours, head(UPGRADE, CONNECTION, ACCEPT, DEFLATE, b"rubbish")) == [
        "bad_handshake"
    ]
