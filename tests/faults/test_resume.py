"""A coordinator is killed during a run, and another one resumes the run.

It does so from the run directory.
"""

import asyncio
import signal
import sys
from contextlib import ExitStack
from time import monotonic

import pytest

from coordinator.http.server import Server
from coordinator.run.run import Run
from coordinator.storage.journal import read_snapshot
from loadgen.plan.plan import Plan
from loadgen.values import Endpoint
from tests.processes import (
    PATIENCE,
    Command,
    Coordinator,
    agent,
    children,
    command,
    coordinator,
    eventually,
    is_gone,
    local_agents,
    opens,
)
from tests.processes import (
    run as ran,
)


class Resumed(Coordinator):
    """A coordinator that resumes the run of another one."""

    def __init__(self, before: Coordinator, *arguments: str) -> None:
        self._resumed_folder = before.folder
        Command.__init__(self, command("loadgen-coord", "--resume", str(before.folder), *arguments))

    @property
    def folder(self):
        """The run directory, which is that of the run before."""
        return self._resumed_folder


def kill(coord: Coordinator) -> None:
    coord.send(signal.SIGKILL)
    coord.process.wait()


class Compacting(Coordinator):
    """A coordinator whose journal begins with a snapshot after a few calls."""

    def __init__(self, out, *arguments: str) -> None:
        self._folder = out
        options = ("--listen", "127.0.0.1:0", "--out", str(out))
        Command.__init__(self, [sys.executable, "-m", "tests.small_journal", *options, *arguments])


@pytest.mark.parametrize("kind", [Coordinator, Compacting])
def test_a_resumed_run_misses_no_count(tmp_path, server, kind):
    """It is killed during the arrivals, and the agents go on.

    They keep their seconds, and post all of them later.
    """
    options = (
        "--agents",
        "2",
        "--max",
        "600",
        "--rate",
        "100",
        "--think",
        "1",
        "--hold",
        "4",
        "--expect",
        "lost<=0",
    )
    with ExitStack() as stack:
        first = server.stats()
        coord = kind(tmp_path, *options, server.ws)
        stack.callback(coord.close)
        coord.says("waiting for agents")
        early = ran("loadgen-coord", "--resume", str(coord.folder))
        assert (early.returncode, "coordinator lives" in early.stderr) == (2, True)
        agents = [
            stack.enter_context(agent(coord.url, "--once", "--name", name)) for name in ("a", "b")
        ]
        eventually(lambda: server.stats()["open"] > 100, "100 are open")
        eventually(lambda: len(coord.rows()) > 1, "some seconds are settled")
        kill(coord)
        if kind is Compacting:
            assert read_snapshot(coord.folder) is not None
        before = server.stats()["opened"]
        eventually(lambda: server.stats()["opened"] > before + 50, "the agents continue")

        again = Resumed(coord)
        stack.callback(again.close)
        assert again.end() == 0, again.err
        assert [one.end() for one in agents] == [0, 0]
        opens(server, 0)
        stats = {name: server.stats()[name] - first[name] for name in ("opened", "closed", "pings")}
        summary = again.summary()
        assert "Traceback" not in again.err
    assert (summary["verdict"], summary["planned"], summary["opened"], summary["lost"]) == (
        "pass",
        600,
        600,
        0,
    )
    assert summary["closed"] == {"drained": 600}
    assert (stats["opened"], stats["closed"], stats["pings"]) == (600, 600, summary["pings"])
    assert summary["histograms"]["handshake"]["count"] == 600
    assert summary["expectations"] == [{"expr": "lost<=0", "value": 0.0, "held": True}]
    latest = {row["second"]: row for row in again.rows()}
    assert sorted(latest) == list(range(len(latest)))
    assert sum(row["fleet"]["rates"]["launched"] for row in latest.values()) == 600
    assert "journal.ndjson" not in {path.name for path in again.folder.iterdir()}


def test_what_is_lost_without_a_coordinator_is_reassigned_once_the_run_is_resumed(tmp_path, server):
    options = ("--agents", "2", "--max", "200", "--rate", "500", "--think", "1", "--hold", "600")
    with ExitStack() as stack:
        coord = stack.enter_context(coordinator(tmp_path, *options, server.ws))
        agents = [
            stack.enter_context(agent(coord.url, "--once", "--name", name)) for name in ("a", "b")
        ]
        eventually(lambda: coord.state()["ledger"]["open"] == 200, "all are open")
        kill(coord)
        agents[0].send(signal.SIGKILL)
        again = Resumed(coord)
        stack.callback(again.close)
        again.says("agent b gets what a left unfinished: 100 to launch again")
        eventually(lambda: again.state()["ledger"]["open"] == 200, "all are open again")
        again.send(signal.SIGINT)
        assert again.end() == 130
        summary = again.summary()
    assert (summary["lost"], summary["relaunched"], summary["closed"]) == (
        100,
        100,
        {"drained": 200},
    )


async def test_agents_wait_while_the_journal_is_replayed():
    """The replay takes longer than agents wait for a silent coordinator.

    It is that of a long run.
    """
    run = Run(Plan(target="ws://127.0.0.1:9/"), 2)
    patience = 1.0
    serving = Server(run, monotonic)
    listen = await serving.start(Endpoint("127.0.0.1", 0))
    try:
        with agent(f"http://{listen}", "--orphan-after", f"{patience:g}") as patient:
            async with asyncio.timeout(PATIENCE):
                while not run.agents.ready(monotonic()):  # noqa: ASYNC110 -- no event
                    await asyncio.sleep(0.05)
            (joined,) = run.agents.ready(monotonic())
            serving.awaits_journal = True
            await asyncio.sleep(3 * patience)
            serving.awaits_journal = False
            begin = monotonic()
            async with asyncio.timeout(PATIENCE):
                while joined.seen < begin:  # noqa: ASYNC110 -- no event
                    await asyncio.sleep(0.05)
            assert "no word from the coordinator" not in patient.err
    finally:
        await serving.stop()


def test_local_agents_end_with_their_coordinator_and_the_resumed_run_counts_them_as_lost(
    tmp_path, server
):
    options = ("--local", "2", "--max", "200", "--rate", "500", "--think", "1", "--hold", "600")
    with coordinator(tmp_path, *options, server.ws) as coord:
        eventually(
            lambda: coord.state()["ledger"]["open"] == 200,
            lambda: f"all are open: {coord.state()} {coord.err}",
        )
        local = [*children(coord.pid), *local_agents(coord.pid).values()]
        kill(coord)
        eventually(lambda: all(map(is_gone, local)), "its agents have ended")
        opens(server, 0)
        again = Resumed(coord, "--json")
        try:
            assert again.end() == 3, again.err
        finally:
            again.close()
    summary = again.summary()
    assert (summary["verdict"], summary["opened"], summary["lost"]) == ("lost", 200, 200)


def test_only_the_directory_of_an_unfinished_run_can_be_resumed(tmp_path, server):
    options = ("--local", "1", "--max", "10", "--rate", "500", "--hold", "1")
    with coordinator(tmp_path, *options, server.ws) as coord:
        assert coord.end() == 0
    for folder, why in ((coord.folder, "that run is over"), (tmp_path, "it is no run directory")):
        refused = ran("loadgen-coord", "--resume", str(folder))
        assert (refused.returncode, refused.stdout) == (2, "")
        assert why in refused.stderr
    refused = ran("loadgen-coord", "--resume", str(coord.folder), "--rate", "5")
    assert "leave --rate out" in refused.stderr
