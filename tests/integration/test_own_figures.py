"""The own figures of sessions, in every form of the reports of real runs."""

import csv
import json
import re
from pathlib import Path

from tests.processes import coordinator, run, target

SESSION = """
async def session(user):
    await user.connect()
    while True:
        with user.transaction("login"):
            await user.think({think})
        user.count("logins, all")
        for time in range({every}):
            user.check("first", time == 0)
"""
LOAD = ("--local", "1", "--rate", "100", "--max", "20", "--hold", "4")


def test_what_sessions_count_check_and_time_is_in_every_form_and_comparison(tmp_path):
    folders = []
    with target("--workers", "1", "--mode", "echo") as server:
        for name, think, every in (("fast", 0.1, 2), ("slow", 0.4, 4)):
            path = tmp_path / f"{name}.py"
            path.write_text(SESSION.format(think=think, every=every))
            with coordinator(tmp_path / name, *LOAD, "--session", str(path), server.ws) as coord:
                assert coord.end() == 0
                folders.append(coord.folder)
    one, other = map(str, folders)

    in_markdown(one)
    in_csv(one, folders[0])
    in_html(folders[0])
    in_limits(one, other)
    side_by_side(one, other, tmp_path / "compared.html")


def in_markdown(one):
    """The tables have a row for each."""
    text = run("loadgen-report", one, "--format", "markdown").stdout
    for row in (
        r"\| tr\\_login \|",
        r"\| logins, all \|",
        r"\| first \| [\d,]+ \| [\d,]+ \| 50 % \|",
    ):
        assert re.search(row, text), text


def in_csv(one, folder):
    """The columns of all seconds add up to the run."""
    rows = list(csv.DictReader(run("loadgen-report", one, "--format", "csv").stdout.splitlines()))
    summary = json.loads((folder / "summary.json").read_text())

    def total(column):
        return sum(int(row[column] or 0) for row in rows)

    assert total("counter.logins, all") == summary["counters"]["logins, all"] > 0
    assert total("timing.tr_login_count") == summary["timings"]["tr_login"]["count"] > 0
    assert total("checks_passed.first") == summary["checks"]["first"]["passed"] > 0
    assert {row["check.first"] for row in rows} - {""} == {"50.0"}
    assert all(float(row["timing.tr_login_p50_ms"] or 100) >= 99 for row in rows)


def data_of(text, name):
    """The numbers that an HTML report contains."""
    return json.loads(
        re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text)[1]
    )


def in_html(folder):
    """The report's charts have the columns."""
    fleet = data_of((folder / "report.html").read_text(), "run")["fleet"]
    assert max(filter(None, fleet["timing tr_login p95"])) >= 99
    assert max(filter(None, fleet["counter logins, all"])) > 0
    assert 50.0 in fleet["check first"]


def in_limits(one, other):
    """The second run is worse by each of them, also in `any`; its names are checked."""
    assert run("loadgen-report", one, one, "--fail-on", "any").returncode == 0
    for limit, line in (
        (
            "tr_login_p95:20%",
            r"timing\.tr_login_p95: \S+ before, now \S+, \+\S+ %; 20 % are allowed",
        ),
        ("check.first:10%", r"check\.first: 50 before, now 25, -50\.0 %; 10 % are allowed"),
        ("counter.logins, all", r"counter\.logins, all: \S+ before, now \S+, -\S+ %; 5 % are"),
    ):
        worse = run("loadgen-report", one, other, "--fail-on", limit)
        assert worse.returncode == 1
        assert re.search(line, worse.stderr), worse.stderr
    every = run("loadgen-report", one, other, "--fail-on", "any")
    assert every.returncode == 1
    for name in ("check.first", "timing.tr_login_p99", "counter.logins, all"):
        assert f": {name}: " in every.stderr
    misspelt = run("loadgen-report", one, other, "--fail-on", "tr_logn_p95")
    assert (misspelt.returncode, misspelt.stderr.count("\n")) == (2, 1)
    assert "did you mean 'timing.tr_login_p95'?" in misspelt.stderr


def side_by_side(one, other, path: Path):
    """One file has the curves of both runs, and the table with what got worse."""
    done = run("loadgen-report", one, other, "--format", "html", "--output", str(path))
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    data = data_of(text, "comparison")
    assert data["own"] == {
        "counters": ["logins, all", "tr_login_failed"],
        "checks": ["first"],
        "timings": ["tr_login"],
        "beyond": 0,
    }
    fast, slow = (max(filter(None, of["fleet"]["timing tr_login p99"])) for of in data["runs"])
    assert slow > 2 * fast
    assert re.search(r'<td class="failed">worse \+\S+ %</td>', text)
