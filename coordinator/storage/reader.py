"""Reads a run directory, of a run that is over or still goes on."""

import contextlib
import gzip
import re
import zlib
from pathlib import Path
from typing import Any

import msgspec

from coordinator.run.row import Row
from coordinator.run.summary import SCHEMA, Summary
from coordinator.scrape import Scrape
from coordinator.storage import hlog
from loadgen.errors import OperatorError
from loadgen.plan.plan import Plan
from loadgen.planfile import read_plan, to_toml
from loadgen.stats.histogram import MAX_VALUE
from loadgen.values import has_larger
from loadgen.wire import Message, from_wire

_LONG = re.compile(rb"(?<![0-9.])[0-9]{16,}|[0-9][eE]\+?[0-9]{2}")
"""A part of each number that may be too large for a report."""


class AgentFacts(msgspec.Struct):
    """An agent in run.json."""

    name: str
    machine: dict[str, Any]
    """Versions and kernel settings, by name."""
    addresses: dict[str, tuple[str, ...]] = {}
    """The addresses that it loaded last of each target, by URL; none in an older run."""


class RunFacts(msgspec.Struct):
    """The part of run.json that reports show; a published run may lack the file."""

    version: str = "unknown"
    """The version of loadgen that made the run."""
    started: str = ""
    agents: list[AgentFacts] = []


class RunRecord(msgspec.Struct):
    """A run directory, read."""

    name: str
    summary: Summary
    seconds: list[Row]
    """The rows of seconds.ndjson in ascending order, corrections applied."""
    plan: Plan
    """The plan, without what may be secret in it."""
    plan_text: str
    """The same as TOML."""
    facts: RunFacts
    histograms: dict[str, list[tuple[int, int]]]
    """The (microseconds, count) pairs of each histogram of the whole run, from histograms.hlog."""
    watched: list[Scrape] = []
    """Scrapes of watched servers; empty where none was watched."""


class _Versioned(msgspec.Struct):
    schema: Any = None


def read_run(path: Path) -> RunRecord:
    """Returns the contents of a run directory.

    Raises OperatorError when a file is missing, damaged or of another version.
    """
    try:
        summary = read_summary(path)
        rows = _rows(path)
    except OSError as error:
        raise OperatorError(
            f"{path} is not a run directory ({error.filename}: {error.strerror})"
        ) from error
    plan = read_plan(path / "plan.toml", runs=False).redacted()
    return RunRecord(
        path.resolve().name,
        summary,
        rows,
        plan,
        to_toml(plan).decode(),
        _facts(path),
        hlog.read_buckets(path / "histograms.hlog"),
        _watched(path),
    )


def read_summary(path: Path) -> Summary:
    """Returns the summary of a run directory.

    Raises OSError when summary.json can't be read, OperatorError when it is damaged or has the
    schema of another version.
    """
    file = path / "summary.json"
    data = file.read_bytes()
    schema = _decode(data, _Versioned, file).schema
    if schema != SCHEMA:
        raise OperatorError(f"{file} has schema {schema!r}; this loadgen reads schema {SCHEMA}")
    return _decode(data, Summary, file)


def _decode(data: bytes, kind: type[Message], file: Path, line: int | None = None) -> Message:
    where = file if line is None else f"line {line} of {file}"
    try:
        message = from_wire(data, kind)
        if _LONG.search(data) and has_larger(msgspec.to_builtins(message), MAX_VALUE):
            raise OperatorError(f"{where} is damaged: it has a number above {MAX_VALUE:,}")
    except msgspec.DecodeError as error:
        raise OperatorError(f"{where} is damaged: {error}") from error
    return message


def _watched(path: Path) -> list[Scrape]:
    file, readings = path / "watched.ndjson", []
    for line in file.read_bytes().splitlines() if file.exists() else ():
        with contextlib.suppress(msgspec.DecodeError):  # torn, as a line of seconds.ndjson may be
            readings.append(from_wire(line, Scrape))
    return readings


def _facts(path: Path) -> RunFacts:
    file = path / "run.json"
    try:
        # Kernel settings are shown as they are: fs.file-max is often 2^63 - 1.
        return from_wire(file.read_bytes(), RunFacts)
    except FileNotFoundError:  # a published run may leave out what its machines are
        return RunFacts()
    except msgspec.DecodeError as error:
        raise OperatorError(f"{file} is damaged: {error}") from error


def _rows(path: Path) -> list[Row]:
    """Returns the rows of seconds.ndjson, or of seconds.ndjson.gz.

    A published run may be compressed.
    """
    file = path / "seconds.ndjson"
    compressed = path / "seconds.ndjson.gz"
    if compressed.exists():
        file = compressed
        data = _decompress(file)
    else:
        data = file.read_bytes()
    rows: dict[int, Row] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if _is_json(line):
            row = _decode(line, Row, file, number)
            rows[row.second] = row
    return [rows[second] for second in sorted(rows)]


def _decompress(file: Path) -> bytes:
    try:
        return gzip.decompress(file.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise OperatorError(f"{file} is damaged: {error}") from error


def _is_json(line: bytes) -> bool:
    """False for a torn line.

    A full disk or a killed coordinator leaves such a line; the other lines are whole.
    """
    try:
        from_wire(line, msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True
