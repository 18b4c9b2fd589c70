"""The live page's port: the page, and its events for many viewers, fast and slow."""

import asyncio
import json
import re
import urllib.request
from http import HTTPStatus

import aiohttp
import pytest

from tests.processes import coordinator, target

RUN = ("--local", "1", "--rate", "200", "--max", "200", "--think", "1", "--hold", "600")
VIEWERS = 100


@pytest.fixture
def coord(tmp_path):
    with target("--workers", "1") as server, coordinator(tmp_path, *RUN, server.ws) as running:
        yield running
        running.process.kill()


async def events(reply):
    """Yields the events of a stream: (kind, id, content)."""
    fields = {}
    async for line in reply.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "" and "event" in fields:
            yield fields["event"], fields.get("id"), json.loads(fields["data"])
        fields = {} if name == "" else fields | {name: value}


async def seconds(http, url, count, **headers):
    """Returns the first `count` settled seconds of a viewer, with event ids."""
    found = []
    async with http.get(f"{url}/events", headers=headers) as reply:
        assert reply.headers["Content-Type"] == "text/event-stream"
        async for kind, event_id, content in events(reply):
            if kind == "second":
                found.append((content["second"], event_id))
                if len(found) == count:
                    return found
    raise AssertionError(f"the stream ended after {found}")


async def test_a_hundred_viewers_get_every_second_while_another_does_not_read(coord):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        async with http.get(f"{coord.url}/events"):  # it never reads
            found = await asyncio.gather(*(seconds(http, coord.url, 4) for _ in range(VIEWERS)))

            assert [[second for second, _ in each] for each in found] == [[0, 1, 2, 3]] * VIEWERS

            # A viewer that reconnects after second 1 continues with second 2.
            _, after = found[0][1]
            again = await seconds(http, coord.url, 2, **{"Last-Event-ID": after})
            assert [second for second, _ in again] == [2, 3]


async def admitted(http, url):
    """Returns the reply to a viewer that comes again as soon as it may."""
    while (reply := await http.get(url)).status == HTTPStatus.TOO_MANY_REQUESTS:
        reply.close()
        await asyncio.sleep(float(reply.headers["Retry-After"]))
    return reply


async def test_a_viewer_too_many_is_asked_to_come_again(coord):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        replies = [await admitted(http, f"{coord.url}/events") for _ in range(251)]

        assert [reply.status for reply in replies] == [200] * 250 + [503]
        assert "come again" in (await replies[-1].json())["error"]
        for reply in replies:
            reply.close()


def test_the_page_loads_nothing_from_outside_and_its_policy_says_so(coord):
    with urllib.request.urlopen(coord.url) as reply:
        policy = reply.headers["Content-Security-Policy"]
        page = reply.read().decode()

    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert re.findall(r"https?://(?!www\.w3\.org)", page) == []
    for path in re.findall(r'(?:src|href)="(/page/[^"]+)"', page):
        urllib.request.urlopen(coord.url + path).close()


async def test_viewers_get_the_end_of_the_run_before_the_coordinator_ends(tmp_path):
    run = ("--local", "1", "--rate", "100", "--max", "100", "--think", "1", "--hold", "1")
    with target("--workers", "1") as server, coordinator(tmp_path, *run, server.ws) as coord:
        async with aiohttp.ClientSession() as http, http.get(f"{coord.url}/events") as reply:
            received = [event async for event in events(reply)]

        assert received[0][0] == "run"
        assert received[-1][0] == "now"
        assert received[-1][2]["state"] == "done"
        assert received[-1][2]["ledger"] == {
            name: coord.summary()[name]
            for name in received[-1][2]["ledger"]
            if name in coord.summary()
        } | {"not_started": 0, "connecting": 0, "open": 0}
        assert coord.end() == 0
