"""Talks with proxies over real sockets; each proxy answers from a list."""

import asyncio
import socket
from contextlib import contextmanager
from time import monotonic

import pytest

from loadgen.net.connection import Connection
from loadgen.net.dialer import Dialer
from loadgen.net.ports import SourcePorts
from loadgen.net.refusal import explain
from loadgen.net.tunnel import Tunnel, TunnelError
from loadgen.plan.proxy import ProxyUrl
from loadgen.stats.recorder import Recorder
from tests.unit.wire_ends import TERMS, Diary, tcp_pair, until

BASIC = b"Proxy-Authorization: Basic bG9hZDpzM2NyM3Q=\r\n"
LOGIN = b"\x01\x04load\x06s3cr3t"
BOUND = b"\x01\x7f\x00\x00\x01\x04\xd2"
"""The address that a proxy says it connects from."""


async def talk(url, answers, host="target", port=9505):
    """Asks a proxy that gives one answer for each message, b"" being the end.

    Returns the messages that it got, the refusal if there was one, and the next bytes.
    """
    near, far = tcp_pair()
    loop = asyncio.get_running_loop()
    got = []

    async def answer():
        for reply in answers:
            got.append(await loop.sock_recv(far, 65536))
            for at in range(len(reply)):  # byte by byte: no proxy has to send whole replies
                await loop.sock_sendall(far, reply[at : at + 1])
                await asyncio.sleep(0)
            if not reply:
                far.shutdown(socket.SHUT_WR)

    with near, far:
        answering = asyncio.create_task(answer())
        tunnel = Tunnel(loop, ProxyUrl.parse(url), host, port)
        refusal = None
        try:
            async with asyncio.timeout(5):
                await tunnel.open(near)
        except TunnelError as error:
            refusal = error
        answering.cancel()
        if refusal:
            return got, refusal, b""
        await loop.sock_sendall(far, b"the server's")
        return got, None, await loop.sock_recv(near, 65536)


async def test_connect_names_the_target_and_leaves_the_rest_to_the_server():
    answers = [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"
    ]
    got, refusal, rest = await talk("http://load:s3cr3t@proxy:1", answers)

    assert refusal is None
    assert rest == b"the server's"
    (request,) = got
    assert request.startswith(b"CONNECT target:9505 HTTP/1.1\r\nHost: target:9505\r\nUser-Agent: ")
    assert request.endswith(BASIC + b"\r\n")


async def test_connect_without_credentials_sends_none_and_brackets_an_ipv6_address():
    (request,), refusal, _ = await talk("http://proxy:1", [b"HTTP/1.0 200 OK\r\n\r\n"], "::1", 80)

    assert refusal is None
    assert request.startswith(b"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n")
    assert b"Authorization" not in request


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (b"HTTP/1.1 403 No way\r\n\r\n", "proxy_refused", "http://***:***@proxy:1 answered 403 No"),
        (b"HTTP/1.1 407 Who?\r\n\r\n", "proxy_auth", "answered 407 Who?"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "proxy_refused", "answered 502 Bad Gateway"),
        (b"SSH-2.0-x\r\n", "proxy_refused", "does not answer CONNECT with HTTP"),
        (b"HTTP/9 200 OK\r\n\r\n", "proxy_refused", "does not answer CONNECT with HTTP"),
        (b"", "proxy_refused", "closed the connection without a whole reply"),
    ],
)
async def test_a_connect_that_is_refused_says_why(answer, reason, words):
    _, refusal, _ = await talk("http://load:s3cr3t@proxy:1", [answer])

    assert refusal.reason == reason
    text = explain(refusal.reply, 1)
    assert words in text.partition("\n")[0]
    assert "s3cr3t" not in text


async def test_a_server_that_speaks_before_it_is_spoken_to_is_no_websocket():
    near, far = tcp_pair()
    loop = asyncio.get_running_loop()
    with near, far:
        await loop.sock_sendall(far, b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x\r\n")
        with pytest.raises(TunnelError) as caught:
            await Tunnel(loop, ProxyUrl.parse("http://proxy:1"), "target", 22).open(near)

    assert caught.value.reason == "no_http"
    assert "SSH-2.0-x" in explain(caught.value.reply, 1)


async def test_a_refusal_waits_for_the_begin_of_its_body():
    near, far = tcp_pair()
    loop = asyncio.get_running_loop()
    with near, far:
        tunnel = Tunnel(loop, ProxyUrl.parse("http://proxy:1"), "target", 80)
        await loop.sock_sendall(far, b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nnot")
        with pytest.raises(TunnelError) as caught:
            await tunnel.open(near)
        await loop.sock_sendall(far, b" today")
        whole = await tunnel.with_body(near, caught.value.reply)
        assert whole.rest == b"not today"
        far.shutdown(socket.SHUT_WR)
        cut = await tunnel.with_body(near, whole._replace(rest=b"not"))
        assert cut.rest == b"not"


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("target", b"\x03\x06target"),
        ("10.1.2.3", b"\x01\x0a\x01\x02\x03"),
        ("::1", b"\x04" + bytes(15) + b"\x01"),
    ],
)
@pytest.mark.parametrize("bound", [BOUND, b"\x03\x02abxy", b"\x04" + bytes(18)])
async def test_socks_names_the_target_and_leaves_the_rest_to_the_server(host, place, bound):
    got, refusal, rest = await talk("socks5h://proxy:1", [b"\x05\x00", b"\x05\0\0" + bound], host)

    assert refusal is None
    assert rest == b"the server's"
    assert got == [b"\x05\x01\x00", b"\x05\x01\x00" + place + b"\x25\x21"]


async def test_socks_logs_in_where_the_proxy_asks():
    url = "socks5://load:s3cr3t@proxy:1"
    asked, _, _ = await talk(url, [b"\x05\x02", b"\x01\x00", b"\x05\0\0" + BOUND])
    open_to_all, _, _ = await talk(url, [b"\x05\x00", b"\x05\0\0" + BOUND])

    assert asked[:2] == [b"\x05\x02\x00\x02", LOGIN]
    assert len(asked) == 3
    assert len(open_to_all) == 2


@pytest.mark.parametrize(
    ("url", "answers", "reason", "words"),
    [
        ("socks5://proxy:1", [b"\x05\xff"], "proxy_auth", "asks for credentials"),
        ("socks5://load:s3cr3t@proxy:1", [b"\x05\xff"], "proxy_auth", "accepts neither"),
        (
            "socks5://load:s3cr3t@proxy:1",
            [b"\x05\x02", b"\x01\x01"],
            "proxy_auth",
            "does not accept user and password",
        ),
        ("socks5://proxy:1", [b"\x05\x01"], "proxy_refused", "chose the method 1"),
        ("socks5://proxy:1", [b"\x05\x02"], "proxy_refused", "chose the method 2"),
        ("socks5://proxy:1", [b"HTTP/1.1 400 Bad\r\n"], "proxy_refused", "does not speak SOCKS5"),
        (
            "socks5://proxy:1",
            [b"\x05\x00", b"\x05\x05\0" + BOUND],
            "proxy_refused",
            "5: connection refused",
        ),
        ("socks5://proxy:1", [b"\x05\x00", b"\x05\x63\0\x01"], "proxy_refused", "99: unknown"),
        ("socks5://proxy:1", [b"\x05\x00", b"\x05\0\0\x09"], "proxy_refused", "unknown kind 9"),
        ("socks5://proxy:1", [b""], "proxy_refused", "without a whole reply"),
        ("socks5://proxy:1", [b"\x05\x00", b""], "proxy_refused", "without a whole reply"),
    ],
)
async def test_a_socks_proxy_that_refuses_says_why(url, answers, reason, words):
    _, refusal, _ = await talk(url, answers)

    assert refusal.reason == reason
    assert words in explain(refusal.reply, 1)
    assert "s3cr3t" not in str(refusal)


@contextmanager
def dialing(url, address):
    """A dialer through a proxy, its recorder, and its two pairs of address and port."""
    loop = asyncio.get_running_loop()
    recorder = Recorder(seed=1)
    pairs = SourcePorts(("127.0.9.3",), range(21_700, 21_702))
    tunnel = Tunnel(loop, ProxyUrl.parse(url), "target", 9505)
    dialer = Dialer(loop, address, pairs, recorder, tunnel=tunnel)
    try:
        yield dialer, recorder, pairs
    finally:
        dialer.close()


async def test_a_connection_starts_behind_the_proxy_and_gives_its_port_back():
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        with dialing("http://proxy:1", proxy.getsockname()) as (dialer, recorder, pairs):
            connection = Connection(recorder, TERMS, diary := Diary())
            dialer.dial(connection, monotonic())
            loop = asyncio.get_running_loop()
            sock, _ = proxy.accept()
            sock.setblocking(False)
            with sock:
                assert (await loop.sock_recv(sock, 65536)).startswith(b"CONNECT target:9505 ")
                assert recorder.tally.connect.total == 0
                await loop.sock_sendall(sock, b"HTTP/1.1 200 OK\r\n\r\n")
                assert (await loop.sock_recv(sock, 65536)).startswith(b"GET /v1/realtime ")
                assert recorder.tally.connect.total == 1
                connection.abort("drained")
                await until(diary.over.is_set)
            assert pairs.in_use == 0


async def test_a_refusal_is_the_end_with_one_sample_and_gives_the_port_back():
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        with dialing("http://proxy:1", proxy.getsockname()) as (dialer, recorder, pairs):
            for _ in range(2):
                dialer.dial(Connection(recorder, TERMS, diary := Diary()), monotonic())
                sock, _ = proxy.accept()
                with sock:
                    sock.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nwhy")
                    await until(diary.over.is_set)
                assert diary.entries == ["proxy_refused"]
            assert pairs.in_use == 0
            sample = recorder.take_samples()["proxy_refused"]
            assert sample.startswith("user 0: the proxy http://proxy:1 answered 403 No")
            assert sample.endswith("why")


async def test_a_proxy_that_breaks_off_is_a_reset():
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        with dialing("http://proxy:1", proxy.getsockname()) as (dialer, recorder, pairs):
            dialer.dial(Connection(recorder, TERMS, diary := Diary()), monotonic())
            sock, _ = proxy.accept()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
            await until(diary.over.is_set)
            assert diary.entries == ["reset"]
            assert pairs.in_use == 0


async def test_an_attempt_that_a_silent_proxy_holds_can_be_cancelled():
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        with dialing("socks5://proxy:1", proxy.getsockname()) as (dialer, recorder, pairs):
            for turns in (0, 5):  # before the first byte, and while the answer is awaited
                connection = Connection(recorder, TERMS, diary := Diary())
                dialer.dial(connection, monotonic())
                for _ in range(turns):
                    await asyncio.sleep(0.01)
                dialer.cancel(connection)
                connection.end("timeout")
                await until(lambda: pairs.in_use == 0)
                assert diary.entries == ["timeout"]
