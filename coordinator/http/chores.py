"""Long work on a run directory, in a process of its own.

It makes the reports and archives that the port shows. The process has a low priority, so it
takes little from the run, and it ends at once when it is of no more use.
"""

import asyncio
import gzip
import os
import sys
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from coordinator.report.html import html_report
from coordinator.storage.journal import FILE as JOURNAL
from coordinator.storage.reader import read_run
from loadgen.errors import OperatorError, PlanError
from loadgen.planfile import read_plan, to_toml

LOW = 5
"""The nice value of the process, setpriority(2): beside another one on the same core it gets a
quarter of it. With less, a report would take minutes where agents keep all cores busy."""
RENDER_TIMEOUT = 120.0
"""Seconds that the rendering of a report may take."""
CHUNK_BYTES = 1 << 18
PLAN_FILE = "plan.toml"
UNSERVED = (JOURNAL, "feeders")
"""The journal and the rows of feeders, which no archive has."""


@asynccontextmanager
async def _chore(verb: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs this module as a process, which ends with the block."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, verb, str(folder)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=CHUNK_BYTES,
    )
    try:
        with suppress(ProcessLookupError):  # it has ended already
            os.setpriority(os.PRIO_PROCESS, child.pid, LOW)
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def render(folder: Path) -> bytes:
    """Returns the report of a run directory as HTML.

    Raises OperatorError when it can't be rendered.
    """
    async with _chore("render", folder) as child:
        try:
            async with asyncio.timeout(RENDER_TIMEOUT):
                report, complaint = await child.communicate()
        except TimeoutError as error:
            raise OperatorError(
                f"the report of {folder.name} takes more than {RENDER_TIMEOUT:.0f} s; render it"
                " with loadgen-report"
            ) from error
        if child.returncode != 0:
            raise OperatorError(complaint.decode(errors="replace").strip().rpartition("\n")[2])
        return report


async def packed(folder: Path) -> AsyncGenerator[bytes, None]:
    """Yields the archive of a run directory in chunks, packed as they are taken.

    Raises OperatorError when it can't be packed to its end.
    """
    async with _chore("pack", folder) as child:
        assert child.stdout is not None
        while chunk := await child.stdout.read(CHUNK_BYTES):
            yield chunk
        if await child.wait() != 0:
            raise OperatorError(f"{folder.name} can't be packed to its end")


class Reports:
    """Renders reports, one at a time, each once for all who wait for it.

    A rendering whose last waiter goes away is cancelled.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._rendering: dict[Path, asyncio.Task[bytes]] = {}
        self._waiting: dict[Path, int] = {}

    async def of(self, folder: Path) -> bytes:
        """Returns the report of a run directory as HTML.

        Raises OperatorError when it can't be rendered.
        """
        if folder not in self._rendering:
            self._rendering[folder] = asyncio.create_task(self._render(folder))
        rendering = self._rendering[folder]
        self._waiting[folder] = self._waiting.get(folder, 0) + 1
        try:
            return await asyncio.shield(rendering)
        finally:
            self._waiting[folder] -= 1
            if not self._waiting[folder]:
                del self._waiting[folder], self._rendering[folder]
                rendering.cancel()

    async def _render(self, folder: Path) -> bytes:
        async with self._turn:
            return await render(folder)


# What the process does.


def pack(folder: Path, sink: Any) -> None:
    """Writes a directory's regular files to a gzipped tar.

    The plan is in it as it is shown; the journal, which has the whole plan, and the rows of feeders
    are left out. Of a file that grows meanwhile, it writes what is in it now.
    """
    with (
        gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=1) as compressed,
        tarfile.open(mode="w|", fileobj=compressed, bufsize=CHUNK_BYTES) as archive,
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


def main(verb: str, folder: Path) -> None:
    """Writes a report or an archive to standard output."""
    if verb == "pack":
        pack(folder, sys.stdout.buffer)
        return
    try:
        report = html_report(read_run(folder))
    except OperatorError as error:
        raise SystemExit(str(error)) from error
    sys.stdout.buffer.write(report.encode(errors="replace"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
