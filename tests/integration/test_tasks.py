"""Sessions that start tasks: one fleet whose sessions end in each way."""

from pathlib import Path

from tests.processes import coordinator, target

DOCS = Path(__file__).parents[2] / "docs"
START = "import asyncio\n\n\nasync def session(user):\n    ws = await user.connect()\n"
SESSIONS = {
    "gather": """    other = await user.connect()
    await ws.send("a")
    await other.send("b")
    got = await asyncio.gather(ws.receive(), other.receive())
    assert got == ["a", "b"], got
    tasks = {asyncio.create_task(ws.ping()), asyncio.create_task(ws.receive())}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    user.count("first", len(done))
    pending.pop().cancel()
    async with asyncio.TaskGroup() as group:
        group.create_task(ws.close())
        group.create_task(other.close())
""",
    "broken": """    asyncio.create_task(broken(ws))
    await user.think(600)


async def broken(ws):
    await ws.ping()
    raise LookupError("in a task")
""",
    "exits": """    asyncio.create_task(exits())
    await user.think(600)


async def exits():
    raise SystemExit
""",
    "stays": """    async with asyncio.TaskGroup() as group:
        group.create_task(stays(user, ws))


async def stays(user, ws):
    try:
        await ws.receive()
    finally:
        await ws.send("bye")
        user.count("byes", len(await ws.receive(timeout=5)) == 3)
""",
}
EACH = 10


def test_tasks_belong_to_their_session(tmp_path):
    files = {"reader": DOCS / "sessions" / "reader.py"}
    for name, text in SESSIONS.items():
        files[name] = tmp_path / f"{name}.py"
        files[name].write_text(START + text)
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f"rate = 100\nmax = {EACH * len(files)}\nhold = 5\n"
        + "".join(
            f'[[sessions]]\nkind = "python"\nname = "{name}"\nfile = "{file}"\n'
            for name, file in files.items()
        )
    )
    options = ("--local", "1", "--plan", str(plan), "--expect", "sessions_failed==0")
    with (
        target("--workers", "1", "--mode", "echo") as server,
        coordinator(tmp_path / "runs", *options, server.ws) as coord,
    ):
        assert coord.end(seconds=60) == 1, coord.err + coord.out
    summary = coord.summary()

    counters, closed = summary["counters"], summary["closed"]
    stays = closed["drained"]
    failed = closed["error_LookupError"] + closed["error_SystemExit"]
    readers = counters["echoes"] / 3
    assert closed.keys() == {"done", "drained", "error_LookupError", "error_SystemExit"}
    assert counters == {"echoes": 3 * readers, "first": counters["first"], "byes": stays}
    assert readers + counters["first"] + failed + stays == EACH * len(files)
    assert closed["done"] == readers + 2 * counters["first"]
    assert summary["sessions_failed"] == failed
    for name, line in (("LookupError", 'raise LookupError("in a task")'), ("SystemExit", "raise")):
        sample = (coord.folder / summary["tracebacks"][f"error_{name}"]).read_text()
        assert line in sample
