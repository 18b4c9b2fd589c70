"""The samples of refused handshakes, from whole replies of servers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.text import plain_lines
from loadgen.net.handshake import Handshake, accept_of, key_of
from loadgen.net.refusal import BODY_SIZE, awaits_body, explain

KEY = key_of(1)


def refused(head, body=b"", status="403 Forbidden"):
    """Returns the checked reply with a status, lines of headers and a body."""
    lines = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *head))
    reply = Handshake("target", "/").check(lines.encode("latin-1") + b"\r\n" + body, KEY)
    assert reply is not None
    assert reply.failure
    return reply


def test_a_sample_is_the_words_the_head_and_the_body():
    reply = refused(["Server: nginx", "Content-Length: 13"], b"project=None\n")

    assert explain(reply, 17) == (
        "user 17: the server answered 403 Forbidden\n"
        "\n"
        "HTTP/1.1 403 Forbidden\n"
        "Server: nginx\n"
        "Content-Length: 13\n"
        "\n"
        "project=None"
    )


def test_a_reply_without_a_body_is_its_head_alone():
    assert explain(refused(["Server: x"]), 0).endswith("\n\nHTTP/1.1 403 Forbidden\nServer: x")


@pytest.mark.parametrize("status", ["401 Unauthorized", "429 Too Many Requests", "503 Busy"])
def test_the_first_line_says_when_to_come_back(status):
    first = explain(refused(["retry-after:  120 "], status=status), 1).splitlines()[0]

    assert first == f"user 1: the server answered {status}; Retry-After: 120"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Again", "308 Moved"])
def test_a_redirect_says_where_to_point_the_target(status):
    first = explain(refused(["Location: wss://other/v1"], status=status), 1).splitlines()[0]

    assert first == (
        f"user 1: the server answered {status}; it redirects to wss://other/v1: point the target"
        " there, redirects are not followed"
    )


def test_only_a_redirect_with_a_location_says_so():
    assert "redirect" not in explain(refused([], status="302 Found"), 1)
    assert "redirect" not in explain(refused(["Location: /new"], status="201 Created"), 1)


@pytest.mark.parametrize(
    "lines",
    [
        ["Set-Cookie: session=secret; Path=/"],
        ["set-cookie:session=secret", "SET-COOKIE: b=secret"],
        ["Set-Cookie2 : session=secret"],
        ["Set-Cookie: session=", " secret;", "\tsecret"],
        ["X: a\rSet-Cookie: secret"],
    ],
    ids=["one", "two", "another name", "on several lines", "after a lone CR"],
)
def test_the_value_of_a_cookie_is_left_out(lines):
    sample = explain(refused([*lines, "Server: x"]), 1)

    assert "secret" not in sample
    assert "…" in sample
    assert sample.endswith("Server: x")


def test_a_cookie_in_the_body_is_left_out():
    assert "secret" not in explain(refused([], b"Seen:\r\nSet-Cookie: secret\r\n"), 1)


def test_the_body_is_its_first_bytes():
    sample = explain(refused([], b"a" * BODY_SIZE + b"b" * 9), 1)

    assert sample.endswith("a" * BODY_SIZE)


def test_bytes_that_are_no_text_are_shown_as_numbers():
    reply = Handshake("target", "/").check(b"\x15\x03\x01\x00\x1b[31m\xff\xc3\xbc\n", KEY)
    assert reply is not None

    assert explain(reply, 1).splitlines()[-1] == r"\x15\x03\x01\x00\x1b[31m\xffü"


@given(st.binary(max_size=3000), st.sampled_from([b"", b"HTTP/1.1 101 X\r\nA: ", b"HTTP/1.1 "]))
def test_a_sample_can_be_printed_and_kept_whole(data, before):
    data = before + data * 30 + b"\r\n\r\n" + data
    reply = Handshake("target", "/").check(data, KEY)
    if reply is None or reply.failure is None:
        return
    sample = explain(reply, 2_000_000)

    assert plain_lines(sample) == sample


@pytest.mark.parametrize(
    ("head", "body", "awaited"),
    [
        (["Content-Length: 3"], b"no", True),
        (["content-length:3"], b"no\n", False),
        (["Content-Length: 0"], b"", False),
        (["Content-Length: 9999999"], b"x" * (BODY_SIZE - 1), True),
        (["Content-Length: 9999999"], b"x" * BODY_SIZE, False),
        (["Transfer-Encoding: gzip, Chunked"], b"2\r\nno\r\n", True),
        (["Transfer-Encoding: chunked"], b"2\r\nno\r\n0\r\n\r\n", False),
        (["Transfer-Encoding: chunked"], b"x" * BODY_SIZE, False),
        (["Connection: close"], b"until the end of TCP", True),
    ],
)
def test_a_body_is_awaited_as_far_as_it_is_shown(head, body, awaited):
    assert awaits_body(refused(head, body)) is awaited


def test_no_body_follows_a_bad_101():
    assert not awaits_body(refused(["Upgrade: h2c"], status="101 Switching Protocols"))


def test_no_body_follows_a_valid_reply():
    valid = (
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_of(KEY) + b"\r\n\r\n"
    )
    reply = Handshake("target", "/").check(valid, KEY)
    assert reply is not None
    assert not awaits_body(reply)


def test_a_redirect_says_why_it_is_not_followed():
    reply = refused(["Location: /new"], status="302 Found")

    assert "; it redirects to /new: point the target there, only 5 are" in explain(
        reply, 1, "only 5 are"
    )
