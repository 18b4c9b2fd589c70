"""Publishes by HTTP at a steady rate, each publication with a stamp.

The coordinator's process is the one place that does: so all stamps are on one host's clock.
"""

import asyncio
import itertools
import ssl
from collections.abc import Callable, Sequence
from time import monotonic

import aiohttp

from loadgen.plan.publish import HttpRequest, Publish
from loadgen.plan.secrets import shown_text
from loadgen.stats.delivery import Published

PUBLISH_TIMEOUT = 10.0
"""Seconds that the server may take to answer a publication."""
COUNTS_AFTER = 2.0
"""Seconds without an answer after which a publication counts as sent all the same."""
MAX_UNANSWERED = 500
"""Publications without an answer at which further ones fail."""
LOOK_EVERY = 0.05
"""Seconds between two looks whether publications may be sent."""
TOO_MANY = "too_many_unanswered"
"""The reason of those that fail so."""


class Lane:
    """One stream of publications to a channel.

    Each is sent once the one before it is answered, so that their order is certain. A publication
    that is due before that takes another lane.
    """

    def __init__(self, stream: str, channel: str) -> None:
        self.stream = stream
        self.channel = channel
        self.number = 0
        """The number of the next publication."""

    def next(self, now: float) -> Published:
        """Returns the next publication, sent at `now` on the monotonic clock, in seconds."""
        published = Published(self.stream, self.number, int(now * 1_000_000), self.channel)
        self.number += 1
        return published


class Publisher:
    """Sends the publications of a run.

    `may_publish` returns True while they are to be sent. `published` is called with each that the
    server has accepted, or that it has not answered soon; `failed` with the reason of each failure,
    and `warn` with a line for the operator when a reason is new.
    """

    def __init__(
        self,
        publish: Publish,
        urls: Sequence[str],
        name: str,
        *,
        tls: ssl.SSLContext,
        may_publish: Callable[[], bool],
        published: Callable[[Published], None],
        failed: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """`urls` are the plan's targets, `name` begins the names of its streams.

        `tls` is for an https:// server.
        """
        self._publish = publish
        self._target = urls[0]
        self._name = name
        self._tls = tls
        self._may_publish = may_publish
        self._published = published
        self._failed = failed
        self._warn = warn
        self._warned: set[str] = set()
        self._unanswered = 0
        self._channels = publish.channels_in(tuple(urls))
        self._free: dict[str, list[Lane]] = {channel: [] for channel in self._channels}
        """The lanes of each channel whose last publication is answered."""
        self._lanes = 0

    async def run(self) -> None:
        """Publishes until it is cancelled.

        A publication that is late is sent at once, none is left out: the rate holds on average.
        """
        timeout = aiohttp.ClientTimeout(total=PUBLISH_TIMEOUT)
        connector = aiohttp.TCPConnector(limit=MAX_UNANSWERED, ssl=self._tls)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as http,
            asyncio.TaskGroup() as sending,
        ):
            due = 0.0
            for sequence in itertools.count():
                while not self._may_publish():
                    due = 0.0
                    await asyncio.sleep(LOOK_EVERY)
                due = due or monotonic()
                sending.create_task(self._send(http, sequence))
                due += 1 / self._publish.rate
                await asyncio.sleep(due - monotonic())

    async def _send(self, http: aiohttp.ClientSession, sequence: int) -> None:
        if self._unanswered >= MAX_UNANSWERED:
            self._fail(TOO_MANY, f"{MAX_UNANSWERED} publications have no answer")
            return
        lane = self._lane_to(self._channels[sequence % len(self._channels)])
        published = lane.next(monotonic())
        request = self._publish.request(
            self._target, stamp=published.stamp.text, sequence=sequence, channel=lane.channel
        )
        self._unanswered += 1
        answer = asyncio.create_task(_ask(http, request))
        try:
            await asyncio.wait([answer], timeout=COUNTS_AFTER)
            unanswered = not answer.done()
            if unanswered:  # the server may deliver it, whatever it answers
                self._published(published)
            failure = await answer
        finally:
            answer.cancel()
            self._unanswered -= 1
        if failure is not None:
            self._fail(*failure)
            return
        self._free[lane.channel].append(lane)
        if not unanswered:
            self._published(published)

    def _lane_to(self, channel: str) -> Lane:
        """Returns a free lane; a lane whose publication failed is never free again."""
        if self._free[channel]:
            return self._free[channel].pop()
        self._lanes += 1
        return Lane(f"{self._name}.{self._lanes - 1}", channel)

    def _fail(self, reason: str, detail: str) -> None:
        self._failed(reason)
        if reason not in self._warned:
            self._warned.add(reason)
            self._warn(f"a publication could not be sent: {shown_text(' '.join(detail.split()))}")


async def _ask(http: aiohttp.ClientSession, request: HttpRequest) -> tuple[str, str] | None:
    """Sends a request; returns the reason and the details of a failure.

    None where the answer is 2xx.
    """
    method, url, headers, body = request
    try:
        async with http.request(method, url, headers=headers, data=body) as reply:
            text = (await reply.content.read(200)).decode("utf-8", "replace")
            if 200 <= reply.status < 300:
                return None
            return f"http_{reply.status}", f"{url} answered {reply.status}: {text}"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        # ValueError: the channel makes a header or a URL that HTTP can't carry.
        return type(error).__name__, f"{url}: {error or type(error).__name__}"
