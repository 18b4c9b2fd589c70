"""Every refused handshake explains itself, from the wire to the reports."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from coordinator.report.text import text_report
from coordinator.storage.reader import read_run
from loadgen.net.handshake import accept_of
from tests.processes import coordinator, eventually, get

SECRET = "sid-4711"
EACH = 4
"""Connections that get the same answer."""
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


def http(status: str, *lines: str, body: str = "") -> bytes:
    """Returns a reply with a body of a known length."""
    head = (f"HTTP/1.1 {status}", *lines, f"Content-Length: {len(body)}", "", body)
    return "\r\n".join(head).encode()


REPLIES: dict[str, tuple[bytes, str]] = {
    "http_403": (
        http("403 Forbidden", f"Set-Cookie: id={SECRET}", body="origin not allowed"),
        "\n\norigin not allowed\n",
    ),
    "http_429": (http("429 Too Many Requests", "Retry-After: 30"), "Requests; Retry-After: 30\n"),
    "http_302": (
        http("302 Found", "Location: wss://elsewhere/v2"),
        "it redirects to wss://elsewhere/v2: point the target there",
    ),
    "bad_accept": (UPGRADED + b"Sec-WebSocket-Accept: bad\r\n\r\n", "Sec-WebSocket-Accept"),
    "bad_upgrade": (b"HTTP/1.1 101 OK\r\nServer: x\r\n\r\n", "missing Connection header"),
    "bad_extension": (
        UPGRADED + b"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: x-zip\r\n\r\n",
        "Sec-WebSocket-Extensions: x-zip",
    ),
    "bad_subprotocol": (
        UPGRADED + b"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
        "Sec-WebSocket-Protocol: chat",
    ),
    "head_too_large": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "within 64 KiB"),
    "no_http": (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0-OpenSSH_"),  # the first packet says it
    "bad_handshake": (b"HTTP/1.1 101 OK\r\nno header\r\n\r\n", "line 2 of the reply"),
    "reset": (b"HTTP/1.1 101 Switching", "in the middle of its head"),
}
"""By reason: the reply, in which `{accept}` answers the key, and text of its sample."""


@contextmanager
def odd_server() -> Iterator[str]:
    """Answers the connections with each reply in turn; yields its URL.

    The last 5 bytes of each reply come in a packet of their own.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def serve() -> None:
            for _ in range(EACH):
                for reply, _ in REPLIES.values():
                    sock, _ = listener.accept()
                    with sock, suppress(OSError):
                        answer(sock, reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/realtime"
        thread.join(10)


def answer(sock: socket.socket, reply: bytes) -> None:
    """Reads the request and sends the reply in two packets."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = sock.recv(65536).partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    reply = reply.replace(b"{accept}", accept_of(key))
    sock.sendall(reply[:-5])
    sock.sendall(reply[-5:])
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(65536):
        pass


def test_each_refusal_has_its_reason_and_a_sample(tmp_path):
    total = EACH * len(REPLIES)
    options = ("--local", "1", "--max", str(total), "--rate", "200", "--hold", "2")
    with odd_server() as url, coordinator(tmp_path, url, *options) as coord:
        assert coord.end() == 0, coord.err
        said = coord.out
    summary = coord.summary()

    assert summary["failed"] == dict.fromkeys(sorted(REPLIES), EACH)
    assert summary["opened"] == 0
    for reason, (_, words) in REPLIES.items():
        path = f"errors/{reason}.txt"
        sample = (coord.folder / path).read_text()
        assert sample.startswith(f"{reason}\n\nuser ")
        assert words in sample
        wait = "Retry-After: 30; " if reason == "http_429" else ""
        assert f"{reason} {EACH} ({wait}{path})" in said
        assert f'href="{path}"' in (coord.folder / "report.html").read_text()
    assert summary["retry_after"] == {"http_429": "30"}
    assert "Retry-After: 30" in (coord.folder / "report.html").read_text()
    kept = b"".join(path.read_bytes() for path in coord.folder.rglob("*") if path.is_file())
    assert SECRET.encode() not in kept
    assert "errors/http_403.txt" in text_report(read_run(coord.folder).summary, "again")


def test_a_sample_is_served_while_the_run_goes_on(tmp_path):
    options = ("--local", "1", "--max", "100000", "--rate", "200")
    with odd_server() as url, coordinator(tmp_path, url, *options) as coord:
        (sample,) = eventually(lambda: [*tmp_path.glob("*/errors/http_403.txt")], "a sample")
        shown = get(f"{coord.url}/runs/{coord.folder.name}/errors/http_403.txt")
        assert shown == sample.read_text()
        assert "origin not allowed" in shown
