"""Sends settled seconds to the receivers of `--export` while the run goes on.

A receiver that is slow or down never slows the run: its seconds wait, and what can't be sent in the
end is counted.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import aiohttp

from coordinator.influx.lines import lines_of
from coordinator.influx.pending import Pending
from coordinator.influx.receiver import LineReceiver
from coordinator.report.samples import Sample
from coordinator.run.summary import ExportSummary
from coordinator.text import one_line

MAX_WAITING = 3600
"""Seconds that wait for a receiver: an hour, in about 30 MB with 16 agents."""
MAX_BATCH = 60
"""Seconds in one post."""
POST_TIMEOUT = 10.0
"""Seconds that a receiver may take to answer."""
FIRST_PAUSE = 1.0
"""Seconds between a post that failed and the next one; each further failure doubles them."""
MAX_PAUSE = 30.0
"""The longest of these pauses, in seconds."""
END_TIMEOUT = 5.0
"""Seconds that the run waits for its receivers when it is over."""
MAX_ANSWER_BYTES = 4096
REFUSALS = (400, 413, 422)
"""The statuses with which a receiver says that it will never take these lines."""


class Exporter:
    """Sends the seconds of one run to one receiver.

    `run` is the name of the run, `began` returns the UNIX time of its second 0, `warn` is called
    with each line for the operator, and `room` is how many seconds may wait.
    """

    def __init__(
        self,
        receiver: LineReceiver,
        run: str,
        began: Callable[[], float],
        warn: Callable[[str], None],
        room: int = MAX_WAITING,
    ) -> None:
        self._receiver = receiver
        self._run = run
        self._began = began
        self._warn = warn
        self._room = room
        self._pending = Pending(room)
        self._awake = asyncio.Event()
        self._ending = asyncio.Event()
        self._failing = False
        """True when the last post failed."""
        self._error = ""
        """The reason that the last post to fail did."""
        self._dropped = False

    def add(self, sample: Sample) -> None:
        """Adds a settled second, or a newer version of one."""
        if self._pending.add(sample) and not self._dropped:
            self._dropped = True
            self._warn(
                f"--export {self._receiver.name}: more than {self._room:,} seconds wait; the"
                " oldest are dropped"
            )
        self._awake.set()

    async def run(self) -> None:
        """Sends seconds as they come, until `end` is called.

        It returns when all are sent, or a post fails after that.
        """
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._receiver.authorization:
            headers["Authorization"] = self._receiver.authorization
        timeout = aiohttp.ClientTimeout(total=POST_TIMEOUT)
        pause = FIRST_PAUSE
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http:
            while self._pending.waiting or not self._ending.is_set():
                if not self._pending.waiting:
                    self._awake.clear()
                    await self._awake.wait()
                elif await self._send(http):
                    pause = FIRST_PAUSE
                elif self._ending.is_set():
                    return
                else:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._ending.wait(), pause)
                    pause = min(2 * pause, MAX_PAUSE)

    def end(self) -> None:
        """Ends `run`: what waits is sent, and not tried again where that fails."""
        self._ending.set()
        self._awake.set()

    async def _send(self, http: aiohttp.ClientSession) -> bool:
        """Posts the oldest seconds; returns False when they have to be posted again."""
        batch = self._pending.first(MAX_BATCH)
        body = await asyncio.to_thread(self._body, batch)
        try:
            async with http.post(self._receiver.url, data=body, allow_redirects=False) as reply:
                answer = (await reply.content.read(MAX_ANSWER_BYTES)).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            self._fail(f"can't be reached ({error or type(error).__name__})", "the seconds wait")
            return False
        said = f"it answers {reply.status}{f': {answer}' if answer else ''}"
        if reply.ok and reply.status < 300:
            self._pending.take(batch)
            self._failing = False
            return True
        if reply.status in REFUSALS:
            self._pending.refuse(batch)
            self._fail(f"refuses seconds ({said})", "they are not sent again")
            return True
        self._fail(f"takes no seconds ({said})", "they wait")
        return False

    def _body(self, batch: Sequence[Sample]) -> bytes:
        began = round(self._began())
        lines = (line for one in batch for line in lines_of(one, self._run, began + one.second))
        return "\n".join(lines).encode()

    def _fail(self, reason: str, consequence: str) -> None:
        """Notes why a post failed; warns of the first of several that fail in a row."""
        reason = one_line(reason)
        if not self._failing:
            self._warn(f"--export {self._receiver.name} {reason}; {consequence}")
        self._failing = True
        self._error = reason

    def summary(self) -> ExportSummary:
        """Returns what the receiver has by now; what still waits counts as missing."""
        missing = self._pending.missing + self._pending.waiting
        error = self._error or "has not taken them yet"
        return ExportSummary(
            self._receiver.name, self._pending.taken, missing, error if missing else ""
        )


async def finish(exporters: Sequence[Exporter], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Ends the exporters that run as these tasks, within END_TIMEOUT."""
    for exporter in exporters:
        exporter.end()
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=END_TIMEOUT)
    for task in late:
        task.cancel()
    await asyncio.wait(tasks)
