"""Connections that are open and no longer answer, as whole runs report them."""

import os
import signal
from contextlib import ExitStack

from tests.processes import agent, coordinator, eventually, get, opens, serving, target

COUNT = 200
LOAD = ("--agents", "1", "--max", str(COUNT), "--rate", "400", "--think", "1", "--hold", "600")


def figures(summary: dict, *names: str) -> list:
    """Returns the figures of a summary; no ping is left out of them."""
    ends = ("pongs", "pongs_skipped", "pongs_missing", "pings_cut")
    pings = summary["pings"]
    assert pings == sum(summary[end] for end in ends) == summary["histograms"]["ping_rtt"]["count"]
    return [summary[name] for name in names]


def test_a_server_that_hangs_is_seen_and_fails_the_run(tmp_path):
    """It answers nothing from the middle of the hold on; connections stay open."""
    expected = ("open_peak>=200", "failed==0", "lost==0")
    broken = ("alive_min>=198", "pongs_missing==0", "drained_unanswered==0")
    options = [f"--expect={expr}" for expr in (*expected, *broken)]
    with (
        serving("--workers", "1", start_new_session=True) as server,
        coordinator(tmp_path, server.address.ws, *LOAD, *options) as coord,
        agent(coord.url) as loading,
    ):
        opens(server.address, COUNT)
        eventually(lambda: coord.state()["alive"] == COUNT, "all are alive")
        assert loading.metric('loadgen_connections_alive{within="2"}') == COUNT
        os.killpg(server.pid, signal.SIGSTOP)
        try:
            eventually(lambda: coord.state()["alive"] == 0, "none is alive")
            assert coord.state()["ledger"]["open"] == COUNT
            assert (
                f'loadgen_connections_alive{{agent="{coord.state()["agents"][0]["name"]}"'
                in get(f"{coord.url}/metrics")
            )
            coord.send(signal.SIGTERM)  # drains the run
            assert coord.end(60.0) == 130
        finally:
            os.killpg(server.pid, signal.SIGCONT)
        summary = coord.summary()
        assert summary["closed"] == {"drained": COUNT}
        assert figures(summary, "drained_unanswered", "alive_within_s", "alive_min") == [
            COUNT,
            2,
            0,
        ]
        assert summary["pongs_missing"] >= COUNT
        assert summary["histograms"]["ping_rtt"]["max"] > 5000  # the drain waited for pongs
        held = {result["expr"]: result["held"] for result in summary["expectations"]}
        assert held == dict.fromkeys(expected, True) | dict.fromkeys(broken, False)
        assert f"of {summary['pings']:,} pings unanswered" in coord.out
        rows = [row["fleet"] for row in coord.rows()]
        full = [row for row in rows if row["ledger"]["open"] == COUNT]
        assert len(full) > summary["plateau_s"] > 0


def test_only_the_connections_that_answer_are_alive(tmp_path):
    with ExitStack() as stack:
        good = stack.enter_context(target("--workers", "1"))
        mute = stack.enter_context(target("--workers", "1", "--vice", "no-pong"))
        plan = tmp_path / "plan.toml"
        plan.write_text(
            f"rate = 400.0\nmax = {COUNT}\nthink = 1.0\nhold = 600.0\n"
            + "".join(f'[[targets]]\nurl = "{server.ws}"\n' for server in (good, mute))
        )
        coord = stack.enter_context(
            coordinator(tmp_path / "runs", "--plan", str(plan), "--agents", "1")
        )
        stack.enter_context(agent(coord.url))
        eventually(lambda: good.stats()["open"] + mute.stats()["open"] == COUNT, "all are open")
        answering = good.stats()["open"]
        assert 0.3 * COUNT < answering < 0.7 * COUNT
        eventually(lambda: coord.state()["alive"] == answering, lambda: f"{coord.state()['alive']}")
        coord.send(signal.SIGTERM)
        coord.end(60.0)
        summary = coord.summary()
        assert summary["closed"] == {"drained": COUNT}
        missing, unanswered, alive = figures(
            summary, "pongs_missing", "drained_unanswered", "alive_min"
        )
        assert missing >= COUNT - answering
        assert unanswered == 0
        assert 0 < alive <= answering


FLOOD = """
from os.path import exists

async def session(user):
    ws = await user.connect()
    while not exists({path!r}):
        await user.think(0.1)
    for _ in range(32):
        user.count("begun")
        await ws.send(bytes(1 << 20))
"""


def test_what_a_server_does_not_read_is_not_sent(tmp_path):
    """Three users of 32 MiB each wait in the middle, for a server that stands still."""
    stopped = tmp_path / "stopped"
    (tmp_path / "flood.py").write_text(FLOOD.format(path=str(stopped)))
    load = ("--local", "1", "--max", "3", "--hold", "600", "--session", str(tmp_path / "flood.py"))
    with (
        serving("--workers", "1", start_new_session=True) as server,
        coordinator(tmp_path / "runs", server.address.ws, *load) as coord,
    ):
        opens(server.address, 3)
        os.killpg(server.pid, signal.SIGSTOP)
        try:
            stopped.touch()
            begun = [0]

            def stuck() -> bool:
                begun.append(coord.state()["counters"].get("begun", 0))
                return begun[-1] >= 3 and len(begun) > 200 and len({*begun[-200:]}) == 1

            eventually(stuck, lambda: f"they go on sending: {begun}")
            coord.send(signal.SIGTERM)  # drains the run
            assert coord.end(60.0) == 130
        finally:
            os.killpg(server.pid, signal.SIGCONT)
        summary = coord.summary()
        assert f" {summary['messages_unsent']} not taken by the kernel," in coord.out
    assert summary["messages_unsent"] > 0
    assert summary["messages_sent"] + summary["messages_unsent"] == begun[-1] < 96
    assert summary["messages_sent"] <= summary["bytes_sent"] >> 20 < 96
    assert (summary["sessions_done"], summary["sessions_failed"]) == (3, 0)
