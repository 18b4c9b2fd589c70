"""The results of one run by its two sessions and its three targets."""

import csv
import re
from collections import Counter

from loadgen.planfile import read_plan
from tests.processes import agent, coordinator, eventually, get, opens, refusing_port, run

USERS = 120
PLAN = """\
rate = 400
max = {users}
hold = "2s"

[[sessions]]
name = "watcher"
kind = "loop"
think = "200ms"

[[sessions]]
name = "caller"
kind = "script"
steps = [{{ do = "connect", url = "{dead}" }}]

[[targets]]
url = "{server}"

[[targets]]
url = "{server}&channels[]=more"

[[targets]]
url = "{dead}"
weight = 0
"""
SUMS = ("launched", "opened", "pings", "pongs", "sessions_started", "sessions_failed", "bytes_sent")


def expected_of(path):
    """Returns how many users each session has, and each target, by the draws."""
    plan = read_plan(path)
    sessions, targets = Counter(), Counter()
    session_of, target_of = plan.session_of, plan.target_of
    for number in range(USERS):
        name = plan.session_specs[session_of(number)].name
        sessions[name] += 1
        targets[plan.servers[2 if name == "caller" else target_of(number)].url] += 1
    return sessions, targets


def test_results_are_split_by_session_and_by_target_everywhere(tmp_path, server):
    dead = f"ws://127.0.0.1:{refusing_port()}/"
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.format(users=USERS, server=server.ws, dead=dead))
    sessions, targets = expected_of(plan)
    watchers, callers = sessions["watcher"], sessions["caller"]
    assert min(watchers, callers, *targets.values()) > 10
    expected = {
        "session.watcher.failed<1%": True,
        "session.watcher.pongs>0": True,
        f"session.caller.failed.refused=={callers}": True,
        f"target.{server.ws}.failed==0": True,
        "session.caller.failed<1%": False,
        f"target.{dead}.failed<1%": False,
    }
    options = [f"--expect={expr}" for expr in expected]
    with coordinator(tmp_path / "runs", "--agents", "1", "--plan", str(plan), *options) as coord:
        with agent(coord.url) as loading:
            opens(server, watchers)
            reported = 'loadgen_connections_opened_total{session="watcher"}'
            eventually(lambda: loading.metric(reported) == watchers, "all are reported")
            failed = 'loadgen_connections_failed_total{reason="refused",session="caller"}'
            eventually(lambda: loading.metric(failed) == callers, "all failures are")
            eventually(
                lambda: (
                    f'reason="refused",session="caller"}} {callers}.0'
                    in get(f"{coord.url}/metrics")
                ),
                "the coordinator has them",
            )
            assert coord.state()["parts"]["session.watcher"]["opened"] > 0
            assert coord.end() == 1
        summary, rows, out = coord.summary(), coord.rows(), coord.out
        folder = coord.folder

    assert {one["expr"]: one["held"] for one in summary["expectations"]} == expected
    assert summary["breaches"] == []
    parts = summary["parts"]
    by_session = {name: parts[f"session.{name}"] for name in sessions}
    by_target = {url: parts[f"target.{url}"] for url in targets}
    assert {name: part["launched"] for name, part in by_session.items()} == sessions
    assert {url: part["launched"] for url, part in by_target.items()} == targets
    assert by_session["caller"]["failed"] == by_target[dead]["failed"] == {"refused": callers}
    assert by_session["watcher"]["opened"] == by_session["watcher"]["open_peak"] == watchers
    assert by_session["watcher"]["failed"] == {}
    assert by_session["caller"]["pings"] == by_target[dead]["opened"] == 0
    for split in (by_session, by_target):
        for name in SUMS:
            assert sum(part[name] for part in split.values()) == summary[name], name
        for kind in ("failed", "closed"):
            ends = sum((Counter(part[kind]) for part in split.values()), Counter())
            assert ends == summary[kind]
        handshakes = (part["histograms"].get("handshake") for part in split.values())
        assert sum(one["count"] for one in handshakes if one) <= watchers

    figures = [row["parts"]["session.watcher"] for row in rows]
    assert max(one["open"] for one in figures) == watchers
    assert sum(one.get("counts", {}).get("opened", 0) for one in figures) == watchers
    table = run("loadgen-report", str(folder), "--format", "csv").stdout
    read = list(csv.DictReader(table.splitlines()))
    assert sum(int(row["session.caller.failed"]) for row in read) == callers
    assert max(int(row[f"target.{server.ws}.open"]) for row in read) == targets[server.ws]
    assert any(row["session.watcher.ping_rtt_p95_ms"] for row in read)
    markdown = run("loadgen-report", str(folder), "--format", "markdown").stdout
    assert f"| caller | {callers} | 0 | {callers} (100 %) |" in markdown
    assert re.search(rf"^watcher +{watchers} +{watchers} ", out, re.MULTILINE)
    assert "All latencies and ends of watcher" in (folder / "report.html").read_text()
