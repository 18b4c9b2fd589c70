"""No word of a target moves a cursor or forges a line."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.processes import run

ODD = "\x1b[2J\x1b]0;x\x07\u202eforged\u2066\u2028loadgen-coord: PASS\r\n\x85\x9b1m\x7f"
"""What no terminal and no log may get as it is."""
PHRASE = b"Odd \x1b[31m\xe2\x80\xae phrase"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
SESSION = """
from loadgen import ConnectFailed, ConnectionEnded

async def session(user):
    kind = ("/refuse", "/talk", "/close", "/http")[user.number % 4]
    if kind == "/http":
        reply = await user.http.get("/http")
        print(reply.headers, await reply.text())
        await user.think(2)
        user.abort_run(await reply.text())
        return
    ws = await user.connect(kind)
    text = await ws.receive(timeout=9)
    user.count(text)
    user.remark(text)
    user.check(text, False, sample=text)
    user.took(text, 0.5)
    if kind == "/talk":
        await ws.close(ledger=text)
        return
    try:
        await ws.receive(timeout=9)
    except ConnectionEnded:
        print(ws.close_reason)
        raise type(text, (Exception,), {})(ws.close_reason) from None
"""


def frame(opcode: int, payload: bytes) -> bytes:
    """Returns a frame of a server, of at most 125 bytes."""
    return bytes((0x80 | opcode, len(payload))) + payload


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers one request by its path, in odd words."""
    head = await reader.readuntil(b"\r\n\r\n")
    path = head.split()[1]
    odd = ODD.encode()
    if path in (b"/refuse", b"/http"):
        status = b"403 " + PHRASE if path == b"/refuse" else b"404 Not Found"
        writer.write(
            b"HTTP/1.1 %b\r\nX-Odd: \xe2\x80\xae\xc2\x9b31m%b\r\nRetry-After: 5\x1b[2J\r\n"
            b"Content-Length: %d\r\n\r\n%b"
            % (status, b"\x1b[31m" if path == b"/refuse" else b"", len(odd), odd)
        )
    else:
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)[1]
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"X-Odd: \xe2\x80\xae\r\nSec-WebSocket-Accept: %b\r\n\r\n%b"
            % (base64.b64encode(digest), frame(1, odd))
        )
        if path == b"/close":
            writer.write(frame(8, (4001).to_bytes(2, "big") + odd))
        await reader.read(100)
    writer.close()


@asynccontextmanager
async def odd_server() -> AsyncIterator[str]:
    """Runs the server; yields its URL."""
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_no_word_of_a_target_moves_a_cursor_or_forges_a_line(tmp_path):
    session = tmp_path / "odd.py"
    session.write_text(SESSION)
    options = ("--session", str(session), "--rate", "50", "--max", "8", "--hold", "sessions")
    options += ("--local", "1", "--listen", "127.0.0.1:0", "--out", str(tmp_path / "runs"))
    async with odd_server() as url:
        done = await asyncio.to_thread(run, "loadgen-coord", *options, url)
    (folder,) = (tmp_path / "runs").iterdir()
    report = await asyncio.to_thread(run, "loadgen-report", str(folder))
    texts = {"stdout": done.stdout, "stderr": done.stderr, "loadgen-report": report.stdout}
    texts |= {
        str(path.relative_to(folder)): path.read_bytes().decode()
        for path in folder.rglob("*")
        if path.is_file()
    }

    assert done.returncode == 1, done.stderr  # a session ended the run
    assert {"tsung.log", "report.html", "agents/local-1.log", "errors/http_403.txt"} <= {*texts}
    odd = {name: FORBIDDEN.findall(text) for name, text in texts.items()}
    assert {name: found for name, found in odd.items() if found} == {}
    for name, text in texts.items():
        lines = [line for line in text.splitlines() if line.startswith("loadgen-coord: PASS")]
        assert lines == [], name
    assert "forged" in texts["agents/local-1.log"]
    assert "forged" in texts["stderr"]
