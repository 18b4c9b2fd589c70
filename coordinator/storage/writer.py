"""Writes the run directory during the run: a line a second, and whole files."""

import contextlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from coordinator.run.agents import AgentState
from coordinator.run.publications import PublicationLine
from coordinator.run.run import Run
from coordinator.run.summary import Summary
from coordinator.run.timeline import Entry
from coordinator.scrape import Scrape
from coordinator.storage import hlog
from coordinator.storage.disk import Disk
from coordinator.storage.files import Appender, SecondsFile
from coordinator.text import clean_name, sample_file
from loadgen.errors import OperatorError
from loadgen.plan.feeder_file import keep_rows
from loadgen.plan.plan import Plan
from loadgen.planfile import to_toml
from loadgen.version import VERSION
from loadgen.wire import WIRE

REPLAYED_FILES = ("seconds.ndjson", "histograms.hlog", "tsung.log", "publications.ndjson")
"""The files that a replay of the journal writes again from their beginning."""


class RunDir:
    """One run directory, being written.

    A file that can't be written never stops the run, nor does a disk that stands still.
    """

    def __init__(self, path: Path, plan: Plan, started: datetime, disk: Disk) -> None:
        self.path = path
        self.unwritten: list[int] = []
        """The settled seconds that are in no file, since too much waited for the disk."""
        self._disk = disk
        self.complaint = ""
        """The first reason that a file could not be written; empty as long as all were."""
        self._started = started
        self._second_0: datetime | None = None
        self._appenders: dict[str, Appender] = {}
        (path / "agents").mkdir(exist_ok=True)
        keep_rows(plan.feeders, path)
        plan_file = path / "plan.toml"
        plan_file.touch(mode=0o600)  # it has the secrets of the plan, for its owner alone
        plan_file.write_bytes(to_toml(plan.kept))
        self.seconds = SecondsFile(path / "seconds.ndjson")
        """The settled seconds."""
        self._histograms = Appender(path / "histograms.hlog")

    @classmethod
    def create(cls, out: Path, plan: Plan, started: datetime, disk: Disk | None = None) -> "RunDir":
        """Makes `<out>/<start-time>-<name>/`, under a name that is not taken.

        Raises OperatorError when it can't be written.
        """
        stem = f"{started:%Y%m%dT%H%M%SZ}-{_slug(plan.servers[0].url)}"
        try:
            out.mkdir(parents=True, exist_ok=True)
            return cls(_make_unique(out, stem), plan, started, disk or Disk())
        except OSError as error:
            raise OperatorError(
                f"--out {out} can't be written ({error.strerror}); give another directory"
            ) from error

    @classmethod
    def reopen(
        cls,
        path: Path,
        plan: Plan,
        started: datetime,
        disk: Disk | None = None,
        mark: tuple[dict[str, int], dict[int, int]] = ({}, {}),
    ) -> "RunDir":
        """Opens the directory of a run that is resumed.

        What a replay of its journal writes again is removed from its files: all that came after
        the `mark` of its snapshot.

        Raises OperatorError when it can't be written, or lacks what the snapshot stands on.
        """
        sizes, places = mark
        try:
            for name in REPLAYED_FILES:
                _cut(path / name, sizes.get(name, 0))
            folder = cls(path, plan, started, disk or Disk())
        except OSError as error:
            raise OperatorError(f"--resume {path} can't be written ({error.strerror})") from error
        folder.seconds.places |= places
        return folder

    def mark(self) -> tuple[dict[str, int], dict[int, int]]:
        """Returns how far its files have come, in the thread of the disk.

        They are the sizes of those that a replay writes again, and the places of the seconds.
        """
        sizes = {
            name: (self.path / name).stat().st_size
            for name in REPLAYED_FILES
            if (self.path / name).exists()
        }
        return sizes, dict(self.seconds.places)

    def go_on(self, second_0: datetime) -> None:
        """Takes note of when second 0 began, in a run whose files go on."""
        self._second_0 = second_0

    def begin(self, second_0: datetime) -> None:
        """Takes note of when second 0 begins by the wall clock, before the first entry."""
        self._second_0 = second_0
        header = hlog.header(second_0)
        self._do("histograms.hlog", lambda: self._histograms.append(header), len(header))

    def log_of(self, agent: str) -> Path:
        """Returns the path of an agent's log."""
        return self.path / "agents" / f"{clean_name(agent)}.log"

    def write_run(self, run: Run) -> None:
        """Writes run.json: versions, and the machine, limits and share of each agent.

        Their preflight and their clocks are in it too.
        """
        agents = [
            {
                "name": agent.name,
                "version": agent.hello.version,
                "wire": agent.hello.wire,
                "max_connections": agent.hello.max_connections,
                "limits": agent.hello.limits,
                "machine": agent.hello.machine,
                "status": agent.status,
                "refusal": agent.refusal,
                "addresses": agent.shown_addresses(run.shown_urls),
                "share": agent.share,
                "connections": agent.planned,
                "preflight": agent.warning,
                "clock": self._clock_of(agent, run.start),
            }
            for agent in run.agents.by_id.values()
        ]
        facts = {
            "schema": 1,
            "version": VERSION,
            "wire": WIRE,
            "started": f"{self._started:%Y-%m-%dT%H:%M:%SZ}",
            "second_0": _in_milliseconds(self._second_0) if self._second_0 else None,
            "targets": list(run.shown_urls.values()),
            "wanted": run.wanted,
            "changes": run.steering.asked(),
            "drain_after_s": run.progress.drain_after if run.progress.drain_after < inf else None,
            "agents": agents,
        }
        self._replace("run.json", msgspec.json.format(msgspec.json.encode(facts), indent=2))

    def _clock_of(self, agent: AgentState, start: float) -> dict[str, Any] | None:
        """Returns an agent's clocks; None before they were compared with its own."""
        clock = agent.clock
        if clock is None or self._second_0 is None:
            return None
        return {
            "offset_s": round(clock.offset, 6),
            "bound_s": round(clock.bound, 6),
            "drift_ppm": clock.drift_ppm,
            "drift_bound_ppm": clock.drift_bound_ppm,
            "steps": clock.steps,
            "wall_ahead_s": round(clock.wall + start - self._second_0.timestamp(), 3),
        }

    def write_entry(self, entry: Entry) -> None:
        """Appends a settled second and its histograms."""
        second, line = entry.row.second, msgspec.json.encode(entry.row) + b"\n"
        if not self._do("seconds.ndjson", lambda: self.seconds.append(second, line), len(line)):
            self.unwritten.append(second)
        lines = hlog.lines(second, entry.fresh)
        self._do("histograms.hlog", lambda: self._histograms.append(lines), len(lines))

    def write_tsung(self, data: bytes) -> None:
        """Appends to tsung.log."""
        if data:
            self._append("tsung.log", data)

    def write_summary(self, summary: Summary) -> None:
        """Writes summary.json in one piece."""
        self._replace("summary.json", msgspec.json.format(summary.to_json(), indent=2))

    def write_sample(self, reason: str, text: str) -> None:
        """Appends a sample to the file of its reason.

        Several reasons may share a file.
        """
        path = self.path / sample_file(reason)
        data = f"{reason}\n\n{text}\n".encode(errors="replace")

        def write() -> None:
            path.parent.mkdir(exist_ok=True)
            with path.open("ab") as file:
                file.write(data)

        self._do(sample_file(reason), write, len(data))

    def write_scrape(self, scrape: Scrape) -> None:
        """Appends a scrape of a watched server to watched.ndjson."""
        self._append("watched.ndjson", msgspec.json.encode(scrape) + b"\n")

    def write_publication(self, line: PublicationLine) -> None:
        """Appends a settled publication to publications.ndjson."""
        self._append("publications.ndjson", msgspec.json.encode(line) + b"\n")

    def write_report(self, text: str) -> None:
        """Writes report.html in one piece."""
        self._replace("report.html", text.encode())

    def write_note(self, agent: str, text: str) -> None:
        """Appends a line to an agent's log."""
        self._append(f"agents/{self.log_of(agent).name}", f"{text}\n".encode())

    def _append(self, name: str, data: bytes) -> None:
        self._do(name, lambda: self._appender(name).append(data), len(data))

    def _appender(self, name: str) -> Appender:
        if name not in self._appenders:
            self._appenders[name] = Appender(self.path / name)
        return self._appenders[name]

    def _replace(self, name: str, data: bytes) -> None:
        def write() -> None:
            half = self.path / f".{name}.new"
            half.write_bytes(data + b"\n")
            half.replace(self.path / name)

        self._do(name, write, len(data))

    def _do(self, name: str, write: Callable[[], object], size: int) -> bool:
        """Has `size` bytes of a file written; returns False when too much waits already."""

        def tolerantly() -> None:
            try:
                write()
            except OSError as error:
                self._complain(name, error.strerror or str(error))

        fits = self._disk.do(tolerantly, size)
        if not fits:
            self._complain(name, "its disk stands still")
        return fits

    def _complain(self, name: str, reason: str) -> None:
        self.complaint = self.complaint or (
            f"{self.path / name} can't be written ({reason}); the run goes on without it"
        )

    def close(self) -> None:
        """Closes all files."""
        self._disk.do(self._close)

    def _close(self) -> None:
        self.seconds.close()
        for appender in (self._histograms, *self._appenders.values()):
            appender.close()


def _cut(path: Path, size: int) -> None:
    """Cuts a file to a size, and removes it where that is 0.

    Raises OperatorError when it is shorter.
    """
    if not size:
        path.unlink(missing_ok=True)
        return
    if not path.exists() or path.stat().st_size < size:
        raise OperatorError(
            f"--resume {path.parent}: {path.name} is shorter than the journal's snapshot says;"
            " restore it from a copy"
        )
    os.truncate(path, size)


def _in_milliseconds(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _slug(target: str) -> str:
    """Returns host and port of a URL as a part of a file name."""
    return clean_name(urlsplit(target).netloc).replace(".", "-").replace("_", "-")


def _make_unique(out: Path, stem: str) -> Path:
    """Makes the directory `stem`, or `stem-2`, `stem-3`… where that exists.

    Returns its path.
    """
    for number in range(1, 1000):
        path = out / (stem if number == 1 else f"{stem}-{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise AssertionError("a thousand runs in one second")
