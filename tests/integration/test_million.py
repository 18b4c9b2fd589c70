"""The driver of the headline run, with few connections.

It prints, exits and publishes as promised.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def million(*options: object) -> subprocess.CompletedProcess[str]:
    """The driver, run to its end."""
    command = [sys.executable, "-m", "tests.million", *map(str, options)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )


def row(page: str, claim: str) -> list[str]:
    """The cells of a claim in the published table.

    They are the claim and a cell for each run.
    """
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {claim} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_runs_are_published_beside_each_other(tmp_path):
    """A connection that is held too short for a ping verifies nothing.

    That fails the run.
    """
    few = (
        "--rate",
        500,
        "--agents",
        2,
        "--hold",
        1,
        "--out",
        tmp_path / "runs",
        "--publish",
        tmp_path / "docs",
    )

    short = million("--count", 500, *few)
    silent = million("--count", 600, "--ping", "none", *few)

    assert short.returncode == 1, short.stdout + short.stderr
    assert "verified alive" in short.stdout
    assert "published:" in silent.stdout, silent.stdout + silent.stderr
    page = (tmp_path / "docs" / "README.md").read_text()
    assert row(page, "claim") == ["asked", "ping-30s-500-grain-50ms", "silent-600-grain-50ms"]
    assert row(page, "all open at once")[1:] == ["yes: 500", "yes: 600 (asked: 600)"]
    assert row(page, "verified alive by ping and pong")[1:] == [
        "**NO**: 0; 0 of 0 pings answered",
        "–",
    ]
    assert row(page, "ledger is the target's own")[2].startswith(
        "yes: opened 600, closed 600, pings 0"
    )
    assert str(tmp_path) not in page
    published = {path.name for path in (tmp_path / "docs" / "silent-600-grain-50ms").iterdir()}
    assert published >= {
        "machine.json",
        "memory.jsonl",
        "million.json",
        "seconds.ndjson.gz",
        "summary.json",
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--count", 60_000_000, "--agents", 1000), "gives out at"),
        (("--agents", 1), "ask for --agents 16"),
    ],
)
def test_what_the_machine_can_not_hold_is_refused_in_one_line(tmp_path, options, words):
    refused = million(*options, "--out", tmp_path)

    assert refused.returncode == 2
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("million: ")
    assert list(tmp_path.iterdir()) == []
