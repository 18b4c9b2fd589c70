"""Reads a run directory, of a run that is over or still goes on."""

import contextlib
import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from coordinator.scrape import Scrape
from coordinator.storage import hlog
from loadgen.errors import OperatorError
from loadgen.plan.plan import Plan
from loadgen.planfile import read_plan, to_toml
from loadgen.wire import from_wire


class RunRecord(msgspec.Struct):
    """A run directory, read: its name, summary.json, and the rows of seconds.ndjson by second,
    corrections applied."""

    name: str
    summary: dict[str, Any]
    seconds: list[dict[str, Any]]
    plan: Plan
    plan_text: str
    """plan.toml, without the texts of sessions and data files."""
    facts: dict[str, Any]
    """run.json; empty where it is missing."""
    histograms: dict[str, list[tuple[int, int]]]
    """Of the whole run, from histograms.hlog: each filled bucket's value in microseconds, and how
    many values fell into it."""
    watched: list[Scrape] = []
    """Scrapes of watched servers; empty where nothing was watched."""


def read_run(path: Path) -> RunRecord:
    """Reads a run directory; raises OperatorError when it is none, or holds no summary."""
    try:
        summary = from_wire((path / "summary.json").read_bytes(), dict[str, Any])
        rows = _rows(_seconds(path).splitlines())
    except OSError as error:
        raise OperatorError(
            f"{path} is not a run directory ({error.filename}: {error.strerror})"
        ) from error
    except (EOFError, zlib.error) as error:
        raise OperatorError(f"{path / 'seconds.ndjson.gz'} is damaged: {error}") from error
    except msgspec.DecodeError as error:
        raise OperatorError(f"{path / 'summary.json'} is damaged: {error}") from error
    if summary.get("schema") != 1:
        raise OperatorError(
            f"{path / 'summary.json'} has schema {summary.get('schema')!r}; this loadgen reads"
            " schema 1"
        )
    plan = read_plan(path / "plan.toml")
    return RunRecord(
        path.resolve().name,
        summary,
        rows,
        plan,
        to_toml(plan.redacted()).decode(),
        _facts(path),
        hlog.read_buckets(path / "histograms.hlog"),
        _scrapes(path / "watched.ndjson"),
    )


def _scrapes(file: Path) -> list[Scrape]:
    scrapes = []
    for line in file.read_bytes().splitlines() if file.exists() else ():
        with contextlib.suppress(msgspec.DecodeError):  # torn, as a line of seconds.ndjson may be
            scrapes.append(msgspec.json.decode(line, type=Scrape))
    return scrapes


def _facts(path: Path) -> dict[str, Any]:
    # A published run may leave out what its machines are.
    with contextlib.suppress(FileNotFoundError):
        try:
            return from_wire((path / "run.json").read_bytes(), dict[str, Any])
        except msgspec.DecodeError as error:
            raise OperatorError(f"{path / 'run.json'} is damaged: {error}") from error
    return {}


def _seconds(path: Path) -> bytes:
    """Returns seconds.ndjson; in a run that is kept or published it may be compressed, to a
    tenth."""
    compressed = path / "seconds.ndjson.gz"
    return (
        gzip.decompress(compressed.read_bytes())
        if compressed.exists()
        else (path / "seconds.ndjson").read_bytes()
    )


def _rows(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Returns the newest row of each second, in order."""
    rows: dict[int, dict[str, Any]] = {}
    for line in lines:
        # A full disk or a killed coordinator leaves one line torn; the others stand.
        with contextlib.suppress(msgspec.DecodeError):
            row = from_wire(line, dict[str, Any])
            if isinstance(row.get("second"), int):
                rows[row["second"]] = row
    return [rows[number] for number in sorted(rows)]
