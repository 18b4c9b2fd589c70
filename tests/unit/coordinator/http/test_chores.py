"""Reports and archives that are made in processes of their own."""

import asyncio
import io
import os
import signal
import tarfile
from contextlib import aclosing
from pathlib import Path

import pytest

from coordinator.http.chores import LOW, Reports, pack, packed, render
from coordinator.report.html import html_report
from coordinator.storage.reader import read_run
from loadgen.errors import OperatorError
from tests.processes import children
from tests.unit.coordinator.folders import begun_folder, finished_folder
from tests.unit.wire_ends import until


def names_in(archive):
    """Returns the names of the files in a packed archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return opened.getnames()


async def read_all(chunks):
    """Returns the rest of an archive."""
    return b"".join([chunk async for chunk in chunks])


def chores():
    """Returns the process ids of the chores of this process."""
    return [
        child
        for child in children(os.getpid())
        if b"coordinator.http.chores" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def priority_of(pid):
    """Returns the nice value of a process."""
    return os.getpriority(os.PRIO_PROCESS, pid)


async def test_a_report_is_rendered_as_here(tmp_path):
    folder = finished_folder(tmp_path)

    assert (await render(folder)).decode() == html_report(read_run(folder))
    assert chores() == []


async def test_a_report_that_can_not_be_rendered_has_a_reason_of_one_line(tmp_path):
    with pytest.raises(OperatorError, match=r"^.*summary\.json.*$"):
        await render(begun_folder(tmp_path, "begun"))


async def test_a_report_is_rendered_once_for_all_who_wait_and_yields_to_others(tmp_path):
    folder = finished_folder(tmp_path)
    reports = Reports()
    waiting = [asyncio.create_task(reports.of(folder)) for _ in range(20)]
    await until(lambda: LOW in map(priority_of, chores()))
    waiting[0].cancel()
    texts = set(await asyncio.gather(*waiting[1:]))

    assert [text.decode() for text in texts] == [html_report(read_run(folder))]


async def test_the_rendering_ends_with_its_last_waiter(tmp_path):
    folder = finished_folder(tmp_path)
    reports = Reports()
    waiting = [asyncio.create_task(reports.of(folder)) for _ in range(3)]
    await until(chores)
    for task in waiting:
        task.cancel()
    await until(lambda: not chores())

    assert (await reports.of(folder)).startswith(b"<!")


async def test_reports_are_rendered_one_at_a_time(tmp_path):
    reports = Reports()
    folders = [finished_folder(tmp_path / str(number)) for number in range(2)]
    most = 0

    async def watch():
        nonlocal most
        while True:
            most = max(most, len(chores()))
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*map(reports.of, folders))
    watching.cancel()

    assert most == 1


async def test_an_archive_is_packed_as_it_is_read(tmp_path):
    folder = begun_folder(tmp_path, "run")
    (folder / "large").write_bytes(os.urandom(8 << 20))
    async with aclosing(packed(folder)) as chunks:
        first = await anext(chunks)
        assert len(chores()) == 1, "it waits for its reader"
        archive = first + await read_all(chunks)

    assert names_in(archive) == ["run/large", "run/plan.toml"]
    assert chores() == []


async def test_packing_ends_with_its_reader(tmp_path):
    folder = begun_folder(tmp_path, "run")
    (folder / "large").write_bytes(os.urandom(8 << 20))
    async with aclosing(packed(folder)) as chunks:
        await anext(chunks)

    assert chores() == []


async def test_an_archive_that_is_not_packed_to_its_end_is_not_taken_for_whole(tmp_path):
    folder = begun_folder(tmp_path, "run")
    (folder / "large").write_bytes(os.urandom(8 << 20))
    async with aclosing(packed(folder)) as chunks:
        await anext(chunks)
        os.kill(chores()[0], signal.SIGKILL)
        with pytest.raises(OperatorError, match="run can't be packed to its end"):
            await read_all(chunks)


def test_an_archive_has_neither_links_nor_hidden_files_nor_rows(tmp_path):
    folder = begun_folder(tmp_path, "run")
    (folder / "feeders").mkdir()
    (folder / "feeders" / "users.jsonl").write_text('["s3cret"]')
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / ".part").write_text("half")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "file").write_text("half")
    sink = io.BytesIO()
    pack(folder, sink)

    assert names_in(sink.getvalue()) == ["run/plan.toml"]
