"""The runs of an output directory: their list, reports, samples and archives."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from coordinator.http.chores import CHUNK_BYTES, PLAN_FILE, Reports, packed
from coordinator.http.places import Places, send
from coordinator.http.static import HEADERS
from coordinator.report.template import render
from coordinator.report.text import outcome
from coordinator.run.summary import Summary
from coordinator.storage.reader import read_summary
from loadgen.errors import OperatorError
from loadgen.http.server import Handler
from loadgen.http.shared import SharedAnswer
from loadgen.stats.ledger import Ledger

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")
MAX_READERS = 8
"""Clients that read reports at once."""
RESERVED_READERS = 4
"""More of them, with the token or the cookie."""
MAX_PACKING = 2
"""Archives that are packed at the same time; only clients with the token or the cookie get one."""
REPORT_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    # A report has its own policy; in a sandbox, no script in it can act as this page.
    "Content-Security-Policy": "sandbox allow-scripts",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class PastRun(NamedTuple):
    """A run directory in the list."""

    name: str
    summary: Summary | None
    """None where summary.json is missing or damaged."""


class CurrentRun(NamedTuple):
    """The coordinator's own run as it stands."""

    name: str
    """The name of its run directory, which is not among the past runs."""
    state: str
    age_s: float
    ledger: Ledger


class PastRuns:
    """The run directories below one directory, listed apart from the current run."""

    def __init__(self, out: Path, current: Callable[[], CurrentRun]) -> None:
        self._out = out
        self._current = current
        self._reports = Reports()
        self._readers = Places(MAX_READERS, RESERVED_READERS, "clients read reports")
        self._archives = Places(MAX_PACKING, 0, "archives are packed")
        self._shown = SharedAnswer(lambda: asyncio.to_thread(self._page, self._current()))

    def handlers(self) -> dict[str, Handler]:
        """Returns the handlers by the names of their routes."""
        return {
            "past_runs": self._list,
            "report": self._report,
            "sample": self._sample,
            "archive": self._pack,
        }

    def names(self) -> list[str]:
        """Returns the names of the runs, the newest first."""
        if not self._out.is_dir():
            return []
        return sorted(
            (path.name for path in self._out.iterdir() if self._is_run(path)), reverse=True
        )

    @staticmethod
    def _is_run(path: Path) -> bool:
        return (
            bool(NAME.fullmatch(path.name))
            and not path.is_symlink()
            and (path / PLAN_FILE).is_file()
        )

    def _folder(self, request: web.Request) -> Path:
        """Returns the directory of the run that a request names, and no other directory.

        Raises HTTPNotFound when there is no such run.
        """
        name = request.match_info["name"]
        path = self._out / name
        if not NAME.fullmatch(name) or not self._is_run(path):
            raise web.HTTPNotFound(text=f"no run has the name {name!r}; /runs lists the runs")
        return path

    async def _list(self, _: web.Request) -> web.Response:
        return web.Response(text=await self._shown.get(), content_type="text/html", headers=HEADERS)

    def _page(self, current: CurrentRun) -> str:
        past = (name for name in self.names() if name != current.name)
        runs = [PastRun(name, _summary_of(self._out / name)) for name in past]
        return render("http/runs.html.j2", current=current, runs=runs, outcome=outcome)

    async def _report(self, request: web.Request) -> web.StreamResponse:
        folder = self._folder(request)
        with self._readers.take(request):
            try:
                return await send(request, REPORT_HEADERS, self._report_of(folder))
            except OperatorError as error:
                raise web.HTTPNotFound(text=str(error)) from error

    async def _report_of(self, folder: Path) -> AsyncGenerator[bytes, None]:
        """Yields the run's report; renders it when the run directory has none."""
        path = folder / "report.html"
        if path.is_file() and not path.is_symlink():
            report = await asyncio.to_thread(path.read_bytes)
        else:
            report = await self._reports.of(folder)
        for begin in range(0, len(report), CHUNK_BYTES):
            yield report[begin : begin + CHUNK_BYTES]

    async def _sample(self, request: web.Request) -> web.Response:
        folder = self._folder(request)
        file = request.match_info["file"]
        path = folder / "errors" / file
        linked = path.is_symlink() or path.parent.is_symlink()
        if not NAME.fullmatch(file) or linked or not path.is_file():
            raise web.HTTPNotFound(text=f"this run has no sample {file!r}")
        text = await asyncio.to_thread(path.read_text, encoding="utf-8", errors="replace")
        return web.Response(text=text, content_type="text/plain", headers=HEADERS)

    async def _pack(self, request: web.Request) -> web.StreamResponse:
        folder = self._folder(request)
        headers = {
            "Content-Type": "application/gzip",
            "Content-Disposition": f'attachment; filename="{folder.name}.tar.gz"',
        }
        with self._archives.take(request):
            return await send(request, headers, packed(folder))


def _summary_of(folder: Path) -> Summary | None:
    try:
        return read_summary(folder)
    except (OSError, OperatorError):  # the coordinator died before the first one; or it is damaged
        return None
