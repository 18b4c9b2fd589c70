"""One worker whose users do more than talk: memory and CPU of each kind of user."""

import os
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import NamedTuple

from msgspec import structs

from loadgen.plan.feeder import Feeder
from loadgen.plan.plan import Plan
from loadgen.plan.reply import AutoReply
from loadgen.plan.session_file import read_session
from loadgen.process import raise_nofile
from loadgen.sessions.rows import file_of
from loadgen.wire import Sources
from tests.bench.goal import Goal
from tests.bench.job import START_IN, cpu_seconds, resident_bytes, seconds_of, working
from tests.login_server import login_process

USERS = 4000
RATE = 800.0
TURNS = 4
THINK = 2.0
SPARE = 4.0
"""Seconds that a busy machine may be late."""
SESSION = """
import asyncio


async def read(ws):
    while True:
        await ws.receive()


async def session(user):
    {before}
    ws = await user.connect("/ws")
    {after}
    for turn in range({turns}):
        await user.think({think})
        await ws.send("hello")
        {receive}
    await user.think(600)
"""
"""A session of each kind; its `before`, `after` and `receive` are lines."""


class Kind(NamedTuple):
    """A kind of user: the lines of its session that the plain one does not have."""

    name: str
    before: str = "pass"
    after: str = "pass"
    receive: str = "await ws.receive()"
    reply: tuple[AutoReply, ...] = ()


KINDS = (
    Kind("plain session"),
    Kind("user with a reader task", after="task = asyncio.create_task(read(ws))", receive="pass"),
    Kind("user with a feeder row", before="row = user.row"),
    Kind("user with an auto-reply", reply=(AutoReply(match="^:hello$", send="3"),)),
    Kind("user with an HTTP login", before='await user.http.post("/login", json={"user": "u"})'),
)
"""The kinds that are compared; the first one is the plain session."""


def run() -> list[Goal]:
    """Returns the memory and CPU of each kind of user, beside the plain one."""
    raise_nofile()
    with login_process() as port:
        figures = [_measured(port, kind) for kind in KINDS]
    (plain_kib, plain_us), *_ = figures
    return [
        goal
        for kind, (kib, us) in zip(KINDS, figures, strict=True)
        for goal in (
            Goal(f"memory: {kind.name}", kib, "KiB", None),
            Goal(f"memory: {kind.name} ÷ plain session", kib / plain_kib, "×", None),
            Goal(f"CPU of a connect and {TURNS} turns: {kind.name}", us, "µs", None),
            Goal(f"CPU: {kind.name} ÷ plain session", us / plain_us, "×", None),
        )
    ]


def _measured(port: int, kind: Kind) -> tuple[float, float]:
    """Returns the KiB and the µs that a worker takes for each user of a kind."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "session.py"
        path.write_text(SESSION.format(turns=TURNS, think=THINK, **kind._asdict()))
        spec = structs.replace(read_session(path), reply=kind.reply)
    rows = [b'["u%07d","tok+/%07d=="]\n' % (row, row) for row in range(USERS)]
    feeder = Feeder(file="users.csv", columns=("name", "token"), count=USERS)
    hold = TURNS * THINK + SPARE
    plan = Plan(rate=RATE, max=USERS, hold=hold, sessions=(spec,), feeders=(feeder,))
    file = file_of([b"".join(rows)])
    with working(port, plan, [Sources(("127.0.2.6",), 20_000, 60_000)], file) as (process,):
        os.close(file)
        sleep(START_IN * 0.9)  # the job is read, and what its session needs is imported
        before = cpu_seconds(process.pid), resident_bytes(process.pid)
        *_, end = seconds_of(process, ceil(USERS / RATE + hold) - 1)
        assert end.held.open == USERS, f"{kind.name}: {end.held.open} of {USERS} are open"
    kib = (end.rss - before[1]) / USERS / 1024
    return kib, (end.cpu_s - before[0]) / USERS * 1e6
