"""Each example of the documents that makes load does what it says.

The rule. Commands run word for word, in a folder with the files that their page has, on a network
where the hosts that they name are targets. Plans run by `loadgen-coord --plan`. Those that take
minutes or thousands of users take seconds for minutes, and a tenth of their rates, so that a
five-hundredth of the users come; a part of a plan gets what it lacks. Sessions run with a hundred
users. Bounds of milliseconds may fail, since examples run beside each other.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest

from tests.debian import installed
from tests.examples.documents import ROOT, Example, examples
from tests.examples.inside import Place, Surroundings
from tests.examples.table import (
    files_for,
    is_played_by_a_command,
    mode_for,
    stand_in_for,
    why_not_here,
)

PLAYED = [
    one
    for one in examples()
    if one.kind != "report"
    and not why_not_here(one)
    and not (one.kind == "session" and is_played_by_a_command(one))
]
URL = re.compile(r"(ws|wss|https?)://([\w.-]+)(?::(\d+))?/")
WITHOUT_LOAD = ("--dry-run", "--write-plan", "--trace", "--plan-schema")
LACKING = "--rate 50 --max 200 --hold 10"
"""What a part of a plan does not say."""
GOOD = {"failed": {}, "unexpected": 0, "lost": 0, "sessions_failed": 0, "breaches": []}
"""What the ledger of a run says in which nothing went wrong."""


def hastened(plan: str) -> str:
    """Returns a plan that takes seconds for minutes, with a tenth of its rates.

    One that is short and small stays as it is.
    """
    if not re.search(r'"\d+[mh]"|^max = \d{4}', plan, re.MULTILINE):
        return plan
    faster = re.sub(r'"(\d+)m"', r'"\1s"', plan)
    faster = re.sub(r'"(\d+)h"', r'"\1m"', faster)
    fewer = re.sub(r"^(rate|rate_to|churn)( = )(\d+)", partial(_part, 10), faster, flags=re.M)
    return re.sub(r"^(max)( = )(\d+000)$", partial(_part, 500), fewer, flags=re.M)


def _part(of: int, found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{max(1, int(found[3]) // of)}"


def words_for(example: Example) -> str:
    """Returns the command line by which an example is played."""
    if example.kind == "command":
        return example.text
    if example.kind == "session":
        return "loadgen-coord --session example.py --local 2 --rate 50 --max 100"
    whole = {"target", "targets"} & set(tomllib.loads(example.text))
    return f"loadgen-coord --plan example.toml --local 2 {'' if whole else LACKING}"


def places_for(example: Example, words: str) -> list[Place]:
    """Returns the servers that an example expects."""
    if "--with-target" in words:
        return []
    named = {
        Place(
            kind in ("wss", "https"), host, int(port or (443 if kind in ("wss", "https") else 80))
        )
        for kind, host, port in URL.findall(example.text)
    }
    return sorted(named) or [Place(False, "127.0.0.1", 9505)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("example", PLAYED, ids=lambda one: one.title)
def test_an_example_does_what_it_says(tmp_path, example):
    if why := why_no_network():
        pytest.skip(why)
    files = files_for(example)
    if example.kind != "command":
        files |= {f"example.{'toml' if example.kind == 'plan' else 'py'}": example.text}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(hastened(text) if name.endswith(".toml") else text)
    words = words_for(example)
    here = Surroundings(
        str(tmp_path), places_for(example, words), mode_for(example), stand_in_for(example)
    )
    for tool, package in tools_for(here).items():
        installed(tool, package)  # there is no network inside
    inside = [sys.executable, "-m", "tests.examples.inside", json.dumps(here), words]

    done = subprocess.run(
        ["unshare", "--net", "--mount", *inside],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )

    assert done.returncode == 0 or slow_only(tmp_path / "runs"), done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    if not any(option in words for option in WITHOUT_LOAD):
        summary = summary_in(tmp_path / "runs")
        assert summary["opened"] > 0, done.stdout + done.stderr
        assert {name: summary[name] for name in GOOD} == GOOD, done.stdout
        publications = summary.get("publications")
        assert publications is None or (publications["sent"] and not publications["failed"])


def tools_for(here: Surroundings) -> dict[str, str]:
    """Returns the commands that an example needs, with their packages."""
    secure = any(place.secure for place in here.places)
    proxy = {"haproxy": "haproxy"} if secure else {}
    broker = {"mosquitto": "mosquitto"} if here.server == "tests.examples.broker" else {}
    return {"ip": "iproute2"} | proxy | broker


def summary_in(folder: Path) -> dict:
    """Returns summary.json of the only run in a folder."""
    (run,) = folder.iterdir()
    return json.loads((run / "summary.json").read_text())


def slow_only(folder: Path) -> bool:
    """True when a run failed by bounds of milliseconds alone."""
    if not folder.exists():
        return False
    failed = [one for one in summary_in(folder)["expectations"] if not one["held"]]
    return bool(failed) and all(one["expr"].endswith("ms") for one in failed)


def why_no_network() -> str:
    """Returns why this user can't make a network of its own; empty where it can."""
    if os.geteuid() or not all(map(shutil.which, ("unshare", "mount"))):
        return "needs root and util-linux: it gives each example a network of its own"
    return ""
