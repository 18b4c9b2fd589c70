"""A recipe, and what must be true of a run of it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from tests.processes import coordinator

EXAMPLES = Path(__file__).parents[2] / "examples"
USERS = 20
RATE = 40
"""Users that arrive in a second."""
PATIENCE = 90.0
"""Seconds that a run may take."""


class Recipe(NamedTuple):
    """A protocol: its server, and the files of examples/ that speak it."""

    server: Callable[[], AbstractContextManager[str]]
    """Runs the server as long as its block lasts; gives the URL of its WebSocket endpoint."""
    files: tuple[str, ...]
    """Sessions (`.py`) and plans (`.toml`); each is a run of its own."""
    checks: frozenset[str]
    """The names of the checks that each file records for every user; they and others must hold."""
    beats: str = ""
    """The counter of heart-beats that its session answers or sends; each user has at least one.
    A plan answers by its `reply`, if it has one."""
    quick: bool = False
    """True for one that the gate plays."""


def faults(recipe: Recipe, file: str, url: str, folder: Path) -> str:
    """Runs a file of a recipe against its server; returns what is wrong."""
    is_plan = file.endswith(".toml")
    path = EXAMPLES / file
    beats = recipe.beats
    if is_plan:
        beats = "replies" if "reply" in path.read_text() else ""
    load = ("--max", str(USERS), "--rate", str(RATE), "--hold", "sessions")
    words = ("--local", "1", "--plan" if is_plan else "--session", str(path), *load, url)
    with coordinator(folder / file, *words) as run:
        assert run.end(PATIENCE) == 0, run.out + run.err
        lines = list(_wrong(run.summary(), recipe.checks, beats))
        if lines:
            lines.append(run.out)
            lines += [sample.read_text() for sample in (run.folder / "errors").glob("*")]
        return "\n".join(lines)


def _wrong(summary: dict[str, Any], checks: frozenset[str], beats: str) -> Iterator[str]:
    """Returns what is wrong with a run of a recipe, one line each."""
    figures = {
        "opened": (summary["opened"], USERS),
        "failed": (summary["failed"], {}),
        "closed": (summary["closed"], {"done": USERS}),
        "sessions that returned": (summary["sessions_done"], USERS),
        "sessions that failed": (summary["sessions_failed"], 0),
    }
    for figure, (found, expected) in figures.items():
        if found != expected:
            yield f"{figure}: {found}, not {expected}"
    for name in sorted(checks - set(summary["checks"])):
        yield f"check {name}: never made"
    for name, counts in summary["checks"].items():
        if counts["failed"] or (name in checks and counts["passed"] < USERS):
            yield f"check {name}: {counts}"
    counted = summary["counters"] | {"replies": summary["replies"]}
    if beats and counted.get(beats, 0) < USERS:
        yield f"heart-beats: {counted}"
