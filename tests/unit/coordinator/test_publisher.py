"""The publisher against a real HTTP server."""

import asyncio
import ssl
from collections import Counter
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

import coordinator.publisher as module
from coordinator.publisher import TOO_MANY, Publisher
from loadgen.plan.publish import Publish
from loadgen.stats.delivery import stamp_of

TARGET = "ws://127.0.0.1:9/v1/realtime?channels[]=a&channels[]=b"


class Diary:
    """A publisher against a server: its reports, and what the server gets."""

    def __init__(self):
        self.may_publish = True
        self.published = []
        self.failed = Counter()
        self.warned = []
        self.bodies = []

    async def until(self, condition):
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 -- conditions are about real sockets
                await asyncio.sleep(0.001)


@asynccontextmanager
async def publishing(answer=None, rate=1000.0, url="http://127.0.0.1:{port}/", **table):
    """A publisher that publishes to a server; `answer` is the server's handler."""
    diary = Diary()

    async def handler(request):
        diary.bodies.append(await request.text())
        return await answer() if answer else web.Response(status=201)

    app = web.Application()
    app.router.add_post("/", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    publisher = Publisher(
        Publish(url=url.format(port=port), rate=rate, body="{{channel}} {{stamp}}", **table),
        [TARGET],
        "here-run-1",
        tls=ssl.create_default_context(),
        may_publish=lambda: diary.may_publish,
        published=diary.published.append,
        failed=lambda reason: diary.failed.update([reason]),
        warn=diary.warned.append,
    )
    running = asyncio.create_task(publisher.run())
    try:
        yield diary
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await runner.cleanup()


async def test_each_channel_in_turn_has_streams_of_its_own():
    async with publishing(rate=20.0) as diary:
        await diary.until(lambda: len(diary.published) >= 6)

        channels = {one.stream: one.channel for one in diary.published}
        assert all(one.channel == channels[one.stream] for one in diary.published)
        counts = Counter(one.channel for one in diary.published)
        assert counts.keys() == {"a", "b"}
        assert abs(counts["a"] - counts["b"]) <= 1
        stamps = {stamp_of(body.partition(" ")[2].encode()) for body in diary.bodies}
        assert {one.stamp for one in diary.published} <= stamps
        assert diary.failed == {}


async def test_a_stream_goes_on_only_when_its_last_publication_is_answered():
    answered = asyncio.Event()

    async def answer():
        await answered.wait()
        return web.Response()

    async with publishing(answer, channels=("a",)) as diary:
        await diary.until(lambda: len(diary.bodies) >= 3)
        waiting = [stamp_of(body.partition(" ")[2].encode()) for body in diary.bodies]
        assert len({stamp.stream for stamp in waiting}) == len(waiting)
        assert {stamp.number for stamp in waiting} == {0}
        answered.set()
        await diary.until(lambda: any(one.number > 0 for one in diary.published))


async def test_a_publication_without_a_soon_answer_counts_as_sent(monkeypatch):
    monkeypatch.setattr(module, "COUNTS_AFTER", 0.001)
    answered = asyncio.Event()

    async def answer():
        await answered.wait()
        return web.Response(status=500)

    async with publishing(answer, rate=20.0) as diary:
        await diary.until(lambda: len(diary.published) >= 2)
        assert diary.failed == {}
        answered.set()
        await diary.until(lambda: diary.failed["http_500"] >= 2)


async def test_it_publishes_only_while_it_may():
    async with publishing() as diary:
        await diary.until(lambda: diary.published)
        diary.may_publish = False
        await diary.until(lambda: len(diary.published) == len(diary.bodies))
        diary.may_publish = True
        count = len(diary.published)
        await diary.until(lambda: len(diary.published) > count)


async def test_an_answer_that_is_no_success_is_a_failure_and_warned_of_once():
    async def answer():
        return web.Response(status=503, text="too\nbusy")

    async with publishing(answer) as diary:
        await diary.until(lambda: diary.failed["http_503"] >= 3)

        assert diary.published == []
        (warning,) = diary.warned
        assert warning.endswith("answered 503: too busy")


async def test_a_server_that_is_not_there_is_a_failure():
    async with publishing(url="http://127.0.0.1:1/") as diary:
        await diary.until(lambda: diary.failed["ClientConnectorError"] >= 2)

        assert len(diary.warned) == 1


async def test_a_header_that_http_can_not_carry_is_a_failure():
    async with publishing(headers={"X": "{{channel}}"}, channels=("a\nb",)) as diary:
        await diary.until(lambda: diary.failed["ValueError"] >= 2)


@pytest.mark.parametrize("most", [3])
async def test_unanswered_publications_are_bounded(monkeypatch, most):
    monkeypatch.setattr(module, "MAX_UNANSWERED", most)
    answered = asyncio.Event()

    async def answer():
        await answered.wait()
        return web.Response()

    async with publishing(answer) as diary:
        await diary.until(lambda: diary.failed[TOO_MANY] >= 2)
        await diary.until(lambda: len(diary.bodies) == most)
        answered.set()
        await diary.until(lambda: len(diary.published) >= most)
