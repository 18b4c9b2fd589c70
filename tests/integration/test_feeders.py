"""Whole runs whose users have rows of data, and scripts that send and read bytes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request

from tests.processes import run

LOCAL = ("--local", "1", "--listen", "127.0.0.1:0", "--json")
USERS = 40


class Recording:
    """An echo server that records the requests and the messages that it gets."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Request] = []
        self.messages: list[str | bytes] = []

    @property
    def url(self) -> str:
        """The URL of its root."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def queries(self) -> list[dict[str, str]]:
        """The parameters of each request."""
        parsed = (parse_qs(urlsplit(request.path).query) for request in self.requests)
        return [{name: values[0] for name, values in query.items()} for query in parsed]

    async def echo(self, connection: ServerConnection) -> None:
        """Records each message and sends it back."""
        async for message in connection:
            self.messages.append(message)
            await connection.send(message)


@asynccontextmanager
async def recording() -> AsyncIterator[Recording]:
    """A server on a free port."""
    server = Recording()

    def note(_: ServerConnection, request: Request) -> None:
        server.requests.append(request)

    async with serve(server.echo, "127.0.0.1", 0, process_request=note) as found:
        server.port = found.sockets[0].getsockname()[1]
        yield server


async def coord(folder: Path, *options: str, code: int = 0):
    """Runs loadgen-coord in a folder, with one local agent where no option says more."""
    out = ("--out", str(folder / "runs"))
    ended = await asyncio.to_thread(run, "loadgen-coord", *LOCAL, *out, *options)
    assert ended.returncode == code, ended.stderr
    return ended


def summary_in(ended) -> dict:
    return json.loads(ended.stdout.splitlines()[-1])


def run_of(folder: Path) -> Path:
    (directory,) = (folder / "runs").iterdir()
    return directory


def write_users(folder: Path, count: int = USERS) -> Path:
    path = folder / "users.csv"
    rows = [f'u{number:04},"Doe, Jo {number}",tok+/{number:04}==' for number in range(count)]
    path.write_text("\n".join(["id,name,token", *rows]) + "\n")
    return path


SCRIPT = """
target = "{url}/hold"
rate = 400
max = {users}
hold = "sessions"

[[feeders]]
file = "users.csv"
{more}

[[sessions]]
kind = "script"
name = "users"
steps = [
  {{ do = "connect", subst = true, path = "/?unique=%%_id%%", headers = {{ X = "%%name%%" }} }},
  {{ do = "send", text = "I am %%name%%", subst = true, ack = true }},
  {{ do = "close" }},
]
"""


async def test_each_user_of_a_script_has_its_row_on_any_agent(tmp_path):
    write_users(tmp_path)
    async with recording() as server:
        plan = tmp_path / "plan.toml"
        plan.write_text(SCRIPT.format(url=server.url, users=USERS, more=""))
        summary = summary_in(await coord(tmp_path, "--plan", str(plan), "--local", "2"))
        names = [request.headers["X"] for request in server.requests]

    assert summary["closed"] == {"done": USERS}
    assert sorted(query["unique"] for query in server.queries) == [
        f"u{number:04}" for number in range(USERS)
    ]
    assert sorted(names) == sorted(f"Doe, Jo {number}" for number in range(USERS))
    assert sorted(server.messages) == sorted(f"I am {name}" for name in names)


async def test_rows_stand_in_a_file_of_the_run_directory_and_nowhere_else(tmp_path):
    write_users(tmp_path)
    async with recording() as server:
        plan = tmp_path / "plan.toml"
        plan.write_text(SCRIPT.format(url=server.url, users=USERS, more=""))
        await coord(tmp_path, "--plan", str(plan))
        first = server.queries.copy()
        directory = run_of(tmp_path)
        rows = directory / "feeders" / "users.jsonl"
        assert json.loads(rows.read_text().splitlines()[1]) == ["u0001", "Doe, Jo 1", "tok+/0001=="]
        assert rows.stat().st_mode & 0o077 == 0
        holders = [path.name for path in directory.rglob("*") if path.is_file()]
        assert [
            name for name in holders if b"tok+/0001" in next(directory.rglob(name)).read_bytes()
        ] == ["users.jsonl"]

        server.requests.clear()
        again = tmp_path / "again"
        await coord(again, "--plan", str(directory / "plan.toml"))

    key = "unique"
    assert sorted(server.queries, key=lambda query: query[key]) == sorted(
        first, key=lambda query: query[key]
    )


SESSION = """
async def session(user):
    row = user.row
    ws = await user.connect("/?id=" + row["id"])
    await ws.send(f"{user.number} {row['name']}")
    await ws.receive()
    await ws.close()
"""


async def test_sessions_in_python_have_rows_of_a_feeder_on_the_command_line(tmp_path):
    users = write_users(tmp_path, 5)
    session = tmp_path / "session.py"
    session.write_text(SESSION)
    async with recording() as server:
        options = ("--session", str(session), "--rate", "400", "--max", "20", "--hold", "sessions")
        summary = summary_in(
            await coord(tmp_path, *options, "--feeder", f"{users}:shared", server.url)
        )

    assert summary["closed"] == {"done": 20}
    assert sorted(server.messages) == sorted(f"{n} Doe, Jo {n % 5}" for n in range(20))


async def test_the_built_in_loop_fills_target_and_headers_from_rows(tmp_path):
    users = write_users(tmp_path, 6)
    async with recording() as server:
        summary = summary_in(
            await coord(
                tmp_path,
                *("--rate", "100", "--max", "6", "--hold", "1", "--loops", "0"),
                *("--feeder", str(users), "--header", "Authorization: Bearer %%token%%"),
                f"{server.url}/?id=%%id%%",
            )
        )

    assert summary["opened"] == 6
    found = {
        (query["id"], request.headers["Authorization"])
        for query, request in zip(server.queries, server.requests, strict=True)
    }
    assert found == {(f"u{n:04}", f"Bearer tok+/{n:04}==") for n in range(6)}


async def test_users_beyond_the_last_row_end_as_no_row(tmp_path):
    write_users(tmp_path, 30)
    async with recording() as server:
        plan = tmp_path / "plan.toml"
        plan.write_text(SCRIPT.format(url=server.url, users=USERS, more='at_end = "stop"'))
        ended = await coord(tmp_path, "--plan", str(plan))

    summary = summary_in(ended)
    assert summary["closed"] == {"done": 30}
    assert summary["failed"] == {"no_row": 10}
    assert summary["sessions_failed"] == 10
    assert "30 rows for 40 users; 10 users end as no_row" in ended.stderr
    sample = (run_of(tmp_path) / "errors" / "no_row.txt").read_text()
    assert "feeder 'users' has no row left" in sample


async def test_more_users_than_unique_rows_are_refused(tmp_path):
    write_users(tmp_path, 30)
    plan = tmp_path / "plan.toml"
    plan.write_text(SCRIPT.format(url="ws://127.0.0.1:1", users=USERS, more=""))

    ended = await coord(tmp_path, "--plan", str(plan), code=2)

    assert "`feeders[0]`: 'users' has 30 rows for 40 users" in ended.stderr
    assert not (tmp_path / "runs").exists()


async def test_the_name_of_a_file_is_not_taken_for_its_lines(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text('max = 1000\nfiles = { users = "13-users.csv" }\n')

    ended = await coord(tmp_path, "--plan", str(plan), "--dry-run", code=2)

    assert "plan.toml, line 2: `files.users` is the text '13-users.csv'" in ended.stderr
    assert "[[feeders]]" in ended.stderr


MQTT = r"""
target = "{url}/mqtt"
rate = 50
max = 2
hold = "sessions"
[[sessions]]
kind = "script"
name = "mqtt"
steps = [
  {{ do = "connect" }},
  {{ do = "send", hex = "10 0e 00 04 4d 51 54 54 04 02 00 02 00 02 61 62", ack = true, extract = [
    {{ var = "keep", expr = "^100e(.{{4}})", form = "hex" }},
  ], match = [ {{ pattern = "6162$", form = "hex", when = "nomatch", do = "abort" }} ] }},
  {{ do = "send", base64 = "wAA=", ack = true, match = [
    {{ pattern = "^wAA=$", form = "base64", when = "nomatch", do = "abort" }},
  ] }},
  {{ do = "send", hex = "ff %%keep%%", subst = true, ack = true }},
  {{ do = "send", frame = "binary", text = "\u00c0", ack = true }},
  {{ do = "close" }},
]
"""


async def test_bytes_are_sent_and_read_as_bytes(tmp_path):
    async with recording() as server:
        plan = tmp_path / "plan.toml"
        plan.write_text(MQTT.format(url=server.url))
        ended = await coord(tmp_path, "--plan", str(plan))

    assert summary_in(ended)["closed"] == {"done": 2}
    assert sorted(server.messages) == sorted(
        2
        * [b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x02\x00\x02ab", b"\xc0\0", b"\xff\0\x04", b"\xc3\x80"]
    )
    assert "sessions[0].steps[4].text: it is sent as UTF-8, 'À' as the bytes c3 80" in ended.stderr


SURROGATES = r"""
async def session(user):
    ws = await user.connect()
    bad = "\ud800"
    case = user.number
    if case == 0:
        await ws.send(bad)
    elif case == 1:
        user.count(bad)
    elif case == 2:
        user.remark(bad)
    elif case == 3:
        raise ValueError(bad)
    elif case == 4:
        await ws.close(ledger=bad)
    elif case == 5:
        print(bad)
    elif case == 6:
        with user.time(bad):
            pass
    elif case == 7:
        await user.connect("/" + bad)
    elif case == 8:
        await user.connect(headers={"X": bad})
    elif case == 9:
        await ws.close(ledger="x" * 100_000)
    elif case == 10:
        user.remark("x" * (20 << 20))
    elif case == 11:
        await ws.send_json(bad)
    elif case == 12:
        await user.connect(subprotocols=[bad])
    elif case == 13:
        await user.connect(origin=bad)
    await user.think(1.5)
"""


async def test_a_text_without_bytes_ends_its_own_user_at_most(tmp_path):
    session = tmp_path / "session.py"
    session.write_text(SURROGATES)
    async with recording() as server:
        options = ("--session", str(session), "--rate", "400", "--max", "40", "--hold", "sessions")
        ended = await coord(tmp_path, *options, server.url)

    summary = summary_in(ended)
    assert summary["lost"] == 0
    assert "is gone" not in ended.stderr
    closed = summary["closed"]
    assert closed.pop("error_UnicodeEncodeError") == 2
    assert closed.pop("error_ValueError") == 1
    assert closed.pop("_") == closed.pop("x" * 80) == 1
    assert sum(closed.values()) == 35
    samples = {path.stem: path.read_text() for path in run_of(tmp_path).glob("errors/*")}
    assert "session.py" in samples["error_UnicodeEncodeError"]
    assert "\\ud800" in samples["error_ValueError"]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("users.csv", "id,token\na,b\nc\n", "users.csv, line 3: 1 fields, but there are 2 columns"),
        ("users.jsonl", '{"id": 1}\n{"ip": 2}\n', "users.jsonl, line 2: it lacks the field 'id'"),
        ("users.py", "def rows():\n    yield {'id': 1}\n    1 / 0\n", "failed after 1 rows: Zero"),
    ],
)
async def test_a_row_that_can_not_be_used_is_refused_with_its_line(tmp_path, name, text, line):
    path = tmp_path / name
    path.write_text(text)

    ended = await coord(tmp_path, "--feeder", str(path), "--dry-run", code=2)

    assert line in ended.stderr
