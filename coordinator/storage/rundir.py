"""The run directory: written while the run goes on, a line a second, and read again by reports."""

import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader, HistogramLogWriter

from coordinator.run.run import Run
from coordinator.run.summary import SCHEMA, Summary
from coordinator.run.timeline import Entry, Row
from coordinator.scrape import Scrape
from coordinator.storage.files import Appender, SecondsFile
from coordinator.text import clean_name, traceback_file
from loadgen.errors import OperatorError
from loadgen.plan.plan import Plan
from loadgen.planfile import read_plan, to_toml
from loadgen.stats.histogram import HIGHEST, Histogram
from loadgen.stats.tally import Tally
from loadgen.version import VERSION
from loadgen.wire import WIRE, Message, from_wire

FOLLOWS = ("seconds.ndjson", "histograms.hlog", "tsung.log")
"""What follows line by line from what was said to a run."""


class RunDir:
    """One run directory, being written. What can't be written is said once by `complaint` and
    never stops the run."""

    def __init__(self, path: Path, plan: Plan, started: datetime) -> None:
        self.path = path
        self.complaint = ""
        """Why something could not be written; empty as long as everything was."""
        self._started = started
        self._appenders: dict[str, Appender] = {}
        (path / "agents").mkdir(exist_ok=True)
        (path / "plan.toml").write_bytes(to_toml(plan))
        self.seconds = SecondsFile(path / "seconds.ndjson")
        """The settled seconds."""
        self._histograms = Appender(path / "histograms.hlog")
        self._histograms.append(_log_head(started))

    @classmethod
    def create(cls, out: Path, plan: Plan, started: datetime) -> "RunDir":
        """Makes `<out>/<start-time>-<name>/`, never one that exists; raises OperatorError when
        it can't be written."""
        stem = f"{started:%Y%m%dT%H%M%SZ}-{_slug(plan.servers[0].url)}"
        try:
            out.mkdir(parents=True, exist_ok=True)
            return cls(_fresh(out, stem), plan, started)
        except OSError as error:
            raise OperatorError(
                f"--out {out} can't be written ({error.strerror}); give another directory"
            ) from error

    @classmethod
    def reopen(cls, path: Path, plan: Plan, started: datetime) -> "RunDir":
        """Takes up one that was not finished: what followed from the words of its journal is to
        be written anew."""
        try:
            for name in FOLLOWS:
                (path / name).unlink(missing_ok=True)
            return cls(path, plan, started)
        except OSError as error:
            raise OperatorError(f"--resume {path} can't be written ({error.strerror})") from error

    def log_of(self, agent: str) -> Path:
        """The log file of an agent."""
        return self.path / "agents" / f"{clean_name(agent)}.log"

    def write_run(self, run: Run) -> None:
        """Writes run.json: versions, and each agent's machine, limits, share and preflight."""
        agents = [
            {
                "name": member.name,
                "version": member.hello.version,
                "wire": member.hello.wire,
                "max_connections": member.hello.max_connections,
                "limits": member.hello.limits,
                "machine": member.hello.machine,
                "status": member.status,
                "refusal": member.refusal,
                "share": member.share,
                "connections": member.planned,
                "preflight": member.warning,
            }
            for member in run.members.values()
        ]
        facts = {
            "schema": 1,
            "version": VERSION,
            "wire": WIRE,
            "started": f"{self._started:%Y-%m-%dT%H:%M:%SZ}",
            "targets": run.plan.urls,
            "wanted": run.wanted,
            "drain_after_s": run.progress.drain_after if run.progress.drain_after < inf else None,
            "agents": agents,
        }
        self._replace("run.json", msgspec.json.format(msgspec.json.encode(facts), indent=2))

    def write_entry(self, entry: Entry) -> None:
        """Appends a settled second and its histograms."""
        with self._tolerating("seconds.ndjson"):
            self.seconds.append(entry.row.second, msgspec.json.encode(entry.row) + b"\n")
        with self._tolerating("histograms.hlog"):
            self._histograms.append(_log_lines(entry.row.second, entry.fresh))

    def write_tsung(self, data: bytes) -> None:
        """Appends to tsung.log."""
        if data:
            with self._tolerating("tsung.log"):
                self._appender("tsung.log").append(data)

    def write_summary(self, summary: Summary) -> None:
        """Writes summary.json in one piece."""
        self._replace("summary.json", msgspec.json.format(summary.to_json(), indent=2))

    def write_traceback(self, reason: str, text: str) -> None:
        """Writes the sample traceback of a reason; where another reason has the same file, it is
        appended."""
        path = self.path / traceback_file(reason)
        with self._tolerating(traceback_file(reason)):
            path.parent.mkdir(exist_ok=True)
            with path.open("a", encoding="utf-8", errors="replace") as file:
                file.write(f"{reason}\n\n{text}\n")

    def write_reading(self, reading: Scrape) -> None:
        """Appends a scrape of a watched server to watched.ndjson."""
        with self._tolerating("watched.ndjson"):
            self._appender("watched.ndjson").append(msgspec.json.encode(reading) + b"\n")

    def write_report(self, text: str) -> None:
        """Writes report.html in one piece."""
        self._replace("report.html", text.encode())

    def write_note(self, agent: str, text: str) -> None:
        """Appends a line to an agent's log."""
        name = f"agents/{self.log_of(agent).name}"
        with self._tolerating(name):
            self._appender(name).append(f"{text}\n".encode())

    def _appender(self, name: str) -> Appender:
        if name not in self._appenders:
            self._appenders[name] = Appender(self.path / name)
        return self._appenders[name]

    def _replace(self, name: str, data: bytes) -> None:
        with self._tolerating(name):
            half = self.path / f".{name}.new"
            half.write_bytes(data + b"\n")
            half.replace(self.path / name)

    @contextlib.contextmanager
    def _tolerating(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.complaint = self.complaint or (
                f"{self.path / name} can't be written ({error.strerror}); the run goes on"
                " without it"
            )

    def close(self) -> None:
        """Closes its files."""
        self.seconds.close()
        for appender in (self._histograms, *self._appenders.values()):
            appender.close()


def _slug(target: str) -> str:
    return clean_name(urlsplit(target).netloc).replace(".", "-").replace("_", "-")


def _fresh(out: Path, stem: str) -> Path:
    for number in range(1, 1000):
        path = out / (stem if number == 1 else f"{stem}-{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise AssertionError("a thousand runs in one second")


def _log_head(started: datetime) -> bytes:
    # The library's own output_start_time calls a method that datetime does not have.
    buffer = io.StringIO()
    writer = HistogramLogWriter(buffer)
    writer.output_log_format_version()
    writer.output_comment(
        f"[StartTime: {started.timestamp():f} (seconds since epoch), {started.isoformat(' ')}]"
    )
    writer.output_base_time(started.timestamp() * 1000)
    writer.output_comment(
        "Microseconds inside, one interval a settled second and a histogram, tagged with its name."
    )
    writer.output_legend()
    return buffer.getvalue().encode()


def _log_lines(second: int, tally: Tally) -> bytes:
    buffer = io.StringIO()
    writer = HistogramLogWriter(buffer)
    own = {
        f"timing.{clean_name(name, 'unnamed')}": histogram
        for name, histogram in tally.timings.items()
    }
    for name, histogram in (tally.histograms() | own).items():
        if histogram.counts:
            buffer.write(f"Tag={name},")
            _log_interval(writer, second, histogram)
    return buffer.getvalue().encode()


def _log_interval(writer: HistogramLogWriter, second: int, histogram: Histogram) -> None:
    # Stamps instead of arguments: the writer takes an argument of 0 for none.
    hdr = histogram.to_hdr()
    hdr.set_start_time_stamp(second * 1000)
    hdr.set_end_time_stamp((second + 1) * 1000)
    writer.output_interval_histogram(hdr, max_value_unit_ratio=1000.0)


class AgentFacts(msgspec.Struct):
    """An agent in run.json."""

    name: str
    machine: dict[str, Any]
    """Versions and kernel settings, by name."""


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
    plan_text: str
    """plan.toml, without the texts of sessions and data files."""
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
    plan = read_plan(path / "plan.toml")
    return RunRecord(
        path.resolve().name,
        summary,
        rows,
        plan,
        to_toml(plan.redacted()).decode(),
        _facts(path),
        _histograms(path),
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
    try:
        return from_wire(data, kind)
    except msgspec.DecodeError as error:
        where = file if line is None else f"line {line} of {file}"
        raise OperatorError(f"{where} is damaged: {error}") from error


def _watched(path: Path) -> list[Scrape]:
    file, readings = path / "watched.ndjson", []
    for line in file.read_bytes().splitlines() if file.exists() else ():
        with contextlib.suppress(msgspec.DecodeError):  # torn, as a line of seconds.ndjson may be
            readings.append(msgspec.json.decode(line, type=Scrape))
    return readings


def _facts(path: Path) -> RunFacts:
    file = path / "run.json"
    try:
        return _decode(file.read_bytes(), RunFacts, file)
    except FileNotFoundError:  # a published run may leave out what its machines are
        return RunFacts()


def _histograms(path: Path) -> dict[str, list[tuple[int, int]]]:
    """The intervals of histograms.hlog added up by their tags; a last line that is torn is left
    out."""
    log = path / "histograms.hlog"
    if not log.exists():
        return {}
    reader = HistogramLogReader(str(log), HdrHistogram(1, HIGHEST, 2))
    whole: dict[str, HdrHistogram] = {}
    try:
        # The library raises what it stumbles over in a torn line: an index, a value, zlib's or
        # base64's own error.
        with contextlib.suppress(ValueError, IndexError, zlib.error):
            while (interval := reader.get_next_interval_histogram()) is not None:
                whole.setdefault(interval.get_tag(), HdrHistogram(1, HIGHEST, 2)).add(interval)
    finally:
        reader.input_file.close()
    return {
        tag: [
            (step.value_iterated_to, step.count_added_in_this_iter_step)
            for step in one.get_recorded_iterator()
        ]
        for tag, one in whole.items()
    }


def _rows(path: Path) -> list[Row]:
    """The rows of seconds.ndjson, or of seconds.ndjson.gz: a published run may be compressed."""
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
