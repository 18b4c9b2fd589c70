"""Past runs by HTTP: `/runs` lists those of the output directory, opens their reports, and hands
out archives."""

import asyncio
import gzip
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from coordinator.http.static import HEADERS
from coordinator.report.html import html_report
from coordinator.report.template import render
from coordinator.report.text import outcome
from coordinator.run.summary import Summary
from coordinator.storage.rundir import read_run, read_summary
from loadgen.errors import OperatorError

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")
AT_ONCE = 2
"""Archives that are packed at the same time: packing takes a core, and the run needs it more."""
WITHIN = 30.0
"""Seconds that whoever downloads may take over a piece."""
PIECE = 1 << 18
REPORT_HEADERS = {
    # A report has its own policy; in a sandbox, whatever it were to hold could not speak for this
    # page.
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
        self._packing = asyncio.Semaphore(AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """The list, and of each run the report and the archive."""
        return [
            web.get("/runs", self._list),
            web.get("/runs/{name}/report.html", self._report),
            web.get("/runs/{name}.tar.gz", self._pack),
        ]

    def names(self) -> list[str]:
        """The runs there are, the newest first."""
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
            and (path / "plan.toml").is_file()
        )

    def _folder(self, request: web.Request) -> Path:
        """The directory of the run that a request names; nothing else can be reached by a name."""
        name = request.match_info["name"]
        path = self._out / name
        if not NAME.fullmatch(name) or not self._is_run(path):
            raise web.HTTPNotFound(
                text=f"there is no run {name!r} here; /runs lists those there are"
            )
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
    """A file for the packing thread to write to: each piece waits until whoever downloads has
    taken it."""

    def __init__(self, response: web.StreamResponse, loop: asyncio.AbstractEventLoop) -> None:
        self._response = response
        self._loop = loop

    def write(self, data: bytes) -> int:
        """Hands a piece on; raises when nobody takes it any more, which ends the packing."""
        writing = asyncio.run_coroutine_threadsafe(self._response.write(bytes(data)), self._loop)
        writing.result(WITHIN)
        return len(data)


def pack(folder: Path, sink: Any) -> None:
    """Writes a directory's regular files to a gzipped tar: those of the run that goes on as long
    as they are now."""
    with (
        gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=1) as packed,
        tarfile.open(mode="w|", fileobj=packed, bufsize=PIECE) as archive,
    ):
        for path in _files(folder):
            with path.open("rb") as file:
                entry = archive.gettarinfo(
                    arcname=str(path.relative_to(folder.parent)), fileobj=file
                )
                archive.addfile(entry, file)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not path.is_symlink() and not hidden:
            yield path


def _report_of(folder: Path) -> str:
    """The run's own report, or, where there is none, one that is made now."""
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
