"""The past runs of an output directory: their list, reports, samples, archives."""

import asyncio
import gzip
import re
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from coordinator.http.static import HEADERS
from coordinator.report.html import html_report
from coordinator.report.template import render
from coordinator.report.text import outcome
from coordinator.run.summary import Summary
from coordinator.storage.journal import FILE as JOURNAL
from coordinator.storage.reader import read_run, read_summary
from loadgen.errors import OperatorError, PlanError
from loadgen.http.server import Handler
from loadgen.planfile import read_plan, to_toml

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")
MAX_PACKING = 2
"""Archives that are packed at the same time: packing takes a core, and the run needs it more."""
WRITE_TIMEOUT = 30.0
"""Seconds that a client may take to read a chunk of an archive."""
CHUNK_BYTES = 1 << 18
PLAN_FILE = "plan.toml"
UNSERVED = (JOURNAL, "feeders")
"""What no archive has: the journal and the rows of feeders."""
REPORT_HEADERS = {
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


class PastRuns:
    """The run directories below one directory."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._packing = asyncio.Semaphore(MAX_PACKING)

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
        body = await asyncio.to_thread(self._page)
        return web.Response(text=body, content_type="text/html", headers=HEADERS)

    def _page(self) -> str:
        runs = [PastRun(name, _summary_of(self._out / name)) for name in self.names()]
        return render("http/runs.html.j2", runs=runs, outcome=outcome)

    async def _report(self, request: web.Request) -> web.Response:
        folder = self._folder(request)
        try:
            text = await asyncio.to_thread(_report_of, folder)
        except OperatorError as error:
            raise web.HTTPNotFound(text=str(error)) from error
        return web.Response(text=text, content_type="text/html", headers=REPORT_HEADERS)

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
        response = web.StreamResponse(
            headers={
                "Content-Type": "application/gzip",
                "Content-Disposition": f'attachment; filename="{folder.name}.tar.gz"',
            }
        )
        async with self._packing:
            await response.prepare(request)
            await asyncio.to_thread(pack, folder, _Download(response, asyncio.get_running_loop()))
        await response.write_eof()
        return response


class _Download:
    """A file for the packing thread: a write returns when the client has read it."""

    def __init__(self, response: web.StreamResponse, loop: asyncio.AbstractEventLoop) -> None:
        self._response = response
        self._loop = loop

    def write(self, data: bytes) -> int:
        """Writes to the client; raises when it no longer reads, which ends the packing."""
        writing = asyncio.run_coroutine_threadsafe(self._response.write(bytes(data)), self._loop)
        writing.result(WRITE_TIMEOUT)
        return len(data)


def pack(folder: Path, sink: Any) -> None:
    """Writes a directory's regular files to a gzipped tar.

    The plan is in it as it is shown; the journal, which has the whole plan, and the rows of feeders
    are left out. Of a file that grows meanwhile, it writes what is in it now.
    """
    with (
        gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=1) as packed,
        tarfile.open(mode="w|", fileobj=packed, bufsize=CHUNK_BYTES) as archive,
    ):
        for path in _files(folder):
            with path.open("rb") as file:
                entry = archive.gettarinfo(
                    arcname=str(path.relative_to(folder.parent)), fileobj=file
                )
                if path == folder / PLAN_FILE:
                    plan = _plan_shown(path)
                    entry.size = len(plan)
                    archive.addfile(entry, BytesIO(plan))
                else:
                    archive.addfile(entry, file)


def _plan_shown(path: Path) -> bytes:
    """Returns a plan file without its secrets; one without any stays as it is."""
    try:
        plan = read_plan(path, runs=False)
    except PlanError as error:
        return f"# The plan could not be read, so it is not here: {error}\n".encode()
    shown = plan.redacted()
    return path.read_bytes() if shown == plan else to_toml(shown)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = parts[0] in UNSERVED or any(part.startswith(".") for part in parts)
        if path.is_file() and not path.is_symlink() and not hidden:
            yield path


def _report_of(folder: Path) -> str:
    """Returns the run's report, or renders it when the run directory has none."""
    path = folder / "report.html"
    return (
        path.read_text()
        if path.is_file() and not path.is_symlink()
        else html_report(read_run(folder))
    )


def _summary_of(folder: Path) -> Summary | None:
    try:
        return read_summary(folder)
    except (OSError, OperatorError):  # the coordinator died before the first one; or it is damaged
        return None
