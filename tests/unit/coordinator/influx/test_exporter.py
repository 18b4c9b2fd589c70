"""Seconds on their way to a receiver, which listens on a real socket."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from coordinator.influx import exporter as module
from coordinator.influx.exporter import Exporter, finish
from coordinator.influx.receiver import receiver_of
from coordinator.report.samples import Sample

BEGAN = 1_800_000_000.4


class Database:
    """A receiver that keeps the lines it takes; it answers with given statuses."""

    def __init__(self):
        self.lines = []
        self.statuses = []
        """The statuses of the next answers; after them all lines are taken."""
        self.requests = []
        self.received = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def write(self, request):
        self.requests.append(request)
        lines = (await request.text()).splitlines()
        self.received.set()
        await self.may_answer.wait()
        if self.statuses:
            return web.Response(status=self.statuses.pop(0), text="not\nnow")
        self.lines += lines
        return web.Response(status=204)

    @property
    def times(self):
        """The times of the lines, in their order."""
        return [int(line.rpartition(" ")[2]) for line in self.lines]


@asynccontextmanager
async def listening(database):
    """The URL of a database that listens."""
    app = web.Application()
    app.router.add_post("/write", database.write)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/write?db=load"
    finally:
        await runner.cleanup()


class Export:
    """An exporter that runs, with the warnings that it gave."""

    def __init__(self, url, **options):
        self.warnings = []
        self.exporter = Exporter(
            receiver_of(url), "r", lambda: BEGAN, self.warnings.append, **options
        )
        self.task = asyncio.create_task(self.exporter.run())

    def add(self, second, **figures):
        self.exporter.add(Sample(second, {"open": second, **figures}, {}, {}, []))

    async def end(self):
        """Ends it; returns how many seconds the receiver has, and how many are missing."""
        await finish([self.exporter], [self.task])
        summary = self.exporter.summary()
        return summary.seconds, summary.missing

    async def until(self, condition):
        async with asyncio.timeout(30):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.01)


@pytest.fixture
def quick(monkeypatch):
    """Short pauses between posts that fail."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "MAX_PAUSE", 0.02)


async def test_seconds_are_posted_as_they_come_with_their_wall_time():
    database = Database()
    async with listening(database) as url:
        export = Export(url)
        export.add(0)
        await export.until(lambda: database.lines)
        export.add(1)
        export.add(2)

        assert await export.end() == (3, 0)
    assert database.times == [1_800_000_000, 1_800_000_001, 1_800_000_002]
    assert "open=2i" in database.lines[-1]
    assert database.requests[0].query == {"db": "load", "precision": "s"}
    assert export.warnings == []


async def test_a_corrected_second_is_posted_again():
    database = Database()
    async with listening(database) as url:
        export = Export(url)
        database.may_answer.clear()
        export.add(0)
        await database.received.wait()
        export.add(0, late=7)
        database.may_answer.set()

        assert await export.end() == (1, 0)
    assert database.times == [1_800_000_000] * 2
    assert ("late=7i" in database.lines[0], "late=7i" in database.lines[1]) == (False, True)


async def test_a_receiver_that_is_down_gets_the_seconds_later(quick):
    database = Database()
    database.statuses = [503, 429, 401]
    async with listening(database) as url:
        export = Export(url)
        export.add(0)
        await export.until(lambda: database.lines)

        assert await export.end() == (1, 0)
    name = url.partition("?")[0]
    assert export.warnings == [
        f"--export {name} takes no seconds (it answers 503: not now); they wait"
    ]
    assert export.exporter.summary().error == ""


async def test_nothing_listens_and_the_end_does_not_wait_for_it():
    export = Export("http://127.0.0.1:1/write")
    export.add(0)
    export.add(1)
    await export.until(lambda: export.warnings)

    assert await export.end() == (0, 2)
    assert len(export.warnings) == 1
    assert "http://127.0.0.1:1/write can't be reached (Cannot connect" in export.warnings[0]
    assert export.exporter.summary().error.startswith("can't be reached")


async def test_a_receiver_that_never_answers_is_left_at_the_end(monkeypatch):
    monkeypatch.setattr(module, "END_TIMEOUT", 0.05)
    database = Database()
    database.may_answer.clear()
    async with listening(database) as url:
        export = Export(url)
        export.add(0)
        await database.received.wait()

        assert await export.end() == (0, 1)
        assert export.task.cancelled()
        assert export.exporter.summary().error == "has not taken them yet"


async def test_refused_seconds_are_not_sent_again(quick):
    database = Database()
    database.statuses = [400]
    async with listening(database) as url:
        export = Export(url)
        export.add(0)
        await export.until(lambda: export.warnings)
        export.add(1)

        assert await export.end() == (1, 1)
    assert database.times == [1_800_000_001]
    assert (
        "refuses seconds (it answers 400: not now); they are not sent again" in export.warnings[0]
    )
    assert export.exporter.summary().error == "refuses seconds (it answers 400: not now)"


async def test_more_seconds_than_may_wait_are_dropped_with_one_warning():
    export = Export("http://127.0.0.1:1/write", room=2)
    for second in range(5):
        export.add(second)

    assert await export.end() == (0, 5)
    assert [text for text in export.warnings if "dropped" in text] == [
        "--export http://127.0.0.1:1/write: more than 2 seconds wait; the oldest are dropped"
    ]


async def test_a_run_without_exports_has_nothing_to_finish():
    await finish([], [])


async def test_an_export_without_seconds_ends_at_once():
    export = Export("http://127.0.0.1:1/write")
    await asyncio.sleep(0)

    assert await export.end() == (0, 0)


async def test_credentials_are_sent():
    database = Database()
    async with listening(database) as url:
        export = Export(url.replace("//", "//:s3cret@"))
        export.add(0)
        assert await export.end() == (1, 0)

    assert database.requests[0].headers["Authorization"] == "Token s3cret"
