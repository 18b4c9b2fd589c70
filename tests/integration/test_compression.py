"""Compressed messages under the whole command, against servers that others wrote."""

import asyncio
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from loadgen.net.handshake import accept_of
from loadgen.planfile import read_plan
from tests.processes import run, serving

USERS = 6
LONG = "news of the day, " * 500
SESSION = f"""
LONG = {LONG!r}

async def session(user):
    ws = await user.connect()
    assert await ws.receive(timeout=10) == LONG
    for message in ("short", LONG, "", b"\\0\\xff" * 999, LONG):
        await ws.send(message)
        assert await ws.receive(timeout=10) == message
    await ws.ping(timeout=10)
    await ws.close()
"""
"""It receives one long message, and exchanges five."""


TALK = """
hold = "sessions"
[[sessions]]
kind = "python"
name = "talk"
file = "talk.py"
"""
"""A plan whose users have that session."""


async def greet_and_echo(connection: ServerConnection) -> None:
    await connection.send(LONG)
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def library(*, anew: bool = False) -> AsyncIterator[str]:
    """The websockets library's server; `anew`: it takes over no context."""
    factory = ServerPerMessageDeflateFactory(True, True, 9, 9)
    options = {"compression": None, "extensions": [factory]} if anew else {}
    async with serve(greet_and_echo, "127.0.0.1", 0, **options) as found:
        yield f"ws://127.0.0.1:{found.sockets[0].getsockname()[1]}/"


@asynccontextmanager
async def aiohttp_server() -> AsyncIterator[str]:
    """aiohttp's server, which compresses wherever it is offered."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(LONG)
        async for message in socket:
            await (socket.send_str if message.type.name == "TEXT" else socket.send_bytes)(
                message.data
            )
        return socket

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(*chosen: tuple[bytes, bytes]) -> AsyncIterator[str]:
    """A server that chooses an extension and sends bytes after its 101, pair by pair."""
    pairs = cycle(chosen)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        extension, after = next(pairs)
        key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Extensions: " + extension + b"\r\nSec-WebSocket-Accept: "
            + accept_of(key) + b"\r\n\r\n" + after
        )  # fmt: skip
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def summary_of(folder, *options):
    """Runs with one local agent; returns summary.json, and samples by their files."""
    fixed = ("--local", "1", "--listen", "127.0.0.1:0", "--out", str(folder / "runs"), "--json")
    load = ("--max", str(USERS), "--rate", "100")
    ended = await asyncio.to_thread(run, "loadgen-coord", *fixed, *load, *options)
    assert ended.returncode == 0, ended.stderr
    (directory,) = (folder / "runs").iterdir()
    samples = {path.stem: path.read_text() for path in directory.glob("errors/*")}
    return json.loads(ended.stdout.splitlines()[-1]) | {"samples": samples}


def session_in(folder):
    path = folder / "talk.py"
    path.write_text(SESSION)
    return "--hold", "sessions", "--session", str(path)


ANEW = (
    "server_no_context_takeover; client_no_context_takeover;"
    " server_max_window_bits=9; client_max_window_bits=9"
)
TWELVE = "server_max_window_bits=12; client_max_window_bits=12"
OWN = "client_no_context_takeover; client_max_window_bits=10"
SERVERS = {
    "--compress": {
        f"permessage-deflate; {TWELVE}": library,
        f"permessage-deflate; {ANEW}": lambda: library(anew=True),
        "permessage-deflate": aiohttp_server,
    },
    f"--compress={ANEW}": {f"permessage-deflate; {ANEW}": library},
    f"--compress={OWN}": {f"permessage-deflate; {OWN}": aiohttp_server},
}
"""What is offered, and by what they choose the servers that it is offered to in one run."""


@pytest.mark.parametrize(("option", "servers"), SERVERS.items(), ids=["any", "anew", "own"])
async def test_sessions_talk_compressed(tmp_path, option, servers):
    count = USERS * len(servers)
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(server()) for server in servers.values()]
        plan = tmp_path / "plan.toml"
        (tmp_path / "talk.py").write_text(SESSION)
        targets = "".join(f'[[targets]]\nurl = "{url}"\n' for url in urls)
        plan.write_text(TALK + targets)
        summary = await summary_of(tmp_path, option, "--plan", str(plan), "--max", str(count))
    users = Counter(map(read_plan(plan).target_of, range(count)))

    assert summary["closed"] == {"done": count}, summary["samples"]
    assert summary["compression"] == {chosen: users[at] for at, chosen in enumerate(servers)}
    assert summary["messages_received"] == 6 * count
    assert summary["messages_compressed"] >= 5 * count  # the empty one need not be
    assert summary["bytes_sent"] < 1500 * count
    assert summary["bytes_received"] < 1500 * count


async def test_without_the_option_nothing_is_offered(tmp_path):
    async with library() as url:
        summary = await summary_of(tmp_path, url, *session_in(tmp_path))

    assert summary["closed"] == {"done": USERS}
    assert (summary["compress"], summary["compression"]) == ("", {})
    assert summary["messages_compressed"] == 0
    assert summary["bytes_received"] > 2 * len(LONG) * USERS


async def test_a_server_that_cannot_is_loaded_all_the_same(tmp_path):
    with serving("--workers", "1") as running:
        url = f"{running.address.ws}/v1/realtime"
        summary = await summary_of(tmp_path, url, "--compress", "--hold", "1", "--think", "0.3")

    assert summary["compress"] == "permessage-deflate; client_max_window_bits"
    assert summary["compression"] == {"none": USERS}
    assert summary["pongs"] > 0


async def test_a_loop_that_only_pings_counts_what_comes(tmp_path):
    """It inflates nothing: a text of Appwrite's says nothing to it."""
    async with library() as url:
        options = ("--compress", "--hold", "1", "--think", "0.3")
        summary = await summary_of(tmp_path, url, *options)

    assert summary["closed"] == {"drained": USERS}
    assert summary["messages_received"] == summary["messages_compressed"] == USERS
    assert summary["pongs"] > 0


async def test_a_loop_whose_pings_are_messages_reads_them(tmp_path):
    async def appwrite(connection: ServerConnection) -> None:
        await connection.send('{"type":"connected","data":{}}')
        async for message in connection:
            assert message == '{"type":"ping"}'
            await connection.send('{"type":"pong"}')

    async with serve(appwrite, "127.0.0.1", 0) as found:
        url = f"ws://127.0.0.1:{found.sockets[0].getsockname()[1]}/"
        options = ("--compress", "--ping", "app", "--hold", "1", "--think", "0.3")
        summary = await summary_of(tmp_path, url, *options)

    assert summary["closed"] == {"drained": USERS}
    assert summary["accepted"] == USERS
    assert summary["pongs"] == summary["pings"] > 0
    assert summary["messages_compressed"] == summary["messages_received"]


def compressed(payload: bytes) -> bytes:
    """Returns a server's frame of a compressed binary message."""
    stream = zlib.compressobj(wbits=-15)
    data = (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    return b"\xc2\x7f" + len(data).to_bytes(8, "big") + data


BOMB = compressed(bytes(17 * 2**20))
DEFLATE = b"permessage-deflate"
BROKEN = (
    {
        ("closed", "message_too_big"): (DEFLATE, BOMB, "inflates to more than"),
        ("closed", "protocol_error"): (
            DEFLATE,
            b"\xc1\x02\xff\xff",
            "a message that can't be inflated",
        ),
        ("failed", "bad_extension"): (
            b"x-webkit-deflate-frame",
            b"",
            "x-webkit-deflate-frame is another extension;"
            " `permessage-deflate; client_max_window_bits` was offered",
        ),
    },
    {
        ("closed", "protocol_error"): (DEFLATE, b"\xc9\x00", "reserved bits set"),
        ("failed", "bad_extension"): (
            DEFLATE + b"; server_max_window_bits=99",
            b"",
            "server_max_window_bits",
        ),
    },
)
"""What servers choose and send after it, by what becomes of it, with words of the sample.

A run has one sample for each reason.
"""


@pytest.mark.parametrize("broken", BROKEN)
async def test_what_is_wrong_is_a_reason_with_its_sample(tmp_path, broken):
    path = tmp_path / "wait.py"
    path.write_text("async def session(user):\n    await (await user.connect()).receive()\n")
    async with raw(*((chosen, after) for chosen, after, _ in broken.values())) as url:
        options = ("--compress", "--hold", "sessions", "--session", str(path))
        summary = await summary_of(tmp_path, url, *options)

    ends = {
        (kind, reason): count
        for kind in ("closed", "failed")
        for reason, count in summary[kind].items()
    }
    assert ends == dict.fromkeys(broken, USERS // len(broken))
    for (_, reason), (*_, words) in broken.items():
        assert words in summary["samples"][reason]
