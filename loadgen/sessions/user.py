"""A user as a session in Python sees it: what it may await, count and ask for."""

import asyncio
import reprlib
import traceback
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from types import coroutine
from typing import TYPE_CHECKING, Any

from loadgen.net.connection import Terms
from loadgen.net.connections import refuse
from loadgen.net.route import Route
from loadgen.plan.request import Headers, RequestError, with_origin
from loadgen.plan.seeded import SeededRandom
from loadgen.sessions.compressed import session_kind
from loadgen.sessions.driver import MAX_SAMPLE_LENGTH, SessionDriver
from loadgen.sessions.errors import CheckFailed, ConnectFailed
from loadgen.sessions.scenario import NO_SETUP, Scenario
from loadgen.sessions.think_times import ThinkTimes
from loadgen.sessions.waits import Awaited
from loadgen.sessions.websocket import WebSocket
from loadgen.stats.reasons import BAD_REQUEST, TIMEOUT
from loadgen.stats.recorder import (
    MAX_CHECK_SAMPLES,
    microseconds,
)
from loadgen.stats.tally import CHECK, MEET, name_of

if TYPE_CHECKING:
    from aiohttp import CookieJar

    from loadgen.sessions.http import UserHttp


def _failed_check(number: int, name: str, condition: object, sample: object) -> str:
    """Returns the sample of a failed check, with the author's line."""
    line = "".join(traceback.format_list(traceback.extract_stack(limit=3)[:1]))
    lines = [f"user {number}: check {name!r} failed: the condition was {reprlib.repr(condition)}"]
    if sample is not None:
        lines.append(sample if isinstance(sample, str) else repr(sample))
    return "\n".join([*lines, line])[:MAX_SAMPLE_LENGTH]


Session = Callable[["User"], Coroutine[Any, Any, None]]


class User(SessionDriver):
    """One user of the whole fleet, from its arrival to the end of its session."""

    __slots__ = ("_jar", "_random")

    def __init__(self, scenario: Scenario, number: int, due: float) -> None:
        super().__init__(scenario, number, due)
        self._jar: CookieJar | None = None
        """Its cookies; None until an HTTP reply sets one."""
        self._random: SeededRandom | None = None

    @property
    def agent(self) -> str:
        """The name of the agent that it runs on."""
        return self.scenario.agent

    @property
    def target(self) -> str:
        """The URL of its target."""
        return self.scenario.route_of(self.number).url

    @property
    def random(self) -> SeededRandom:
        """A generator like random.Random; one plan gives a user the same numbers."""
        if self._random is None:
            self._random = SeededRandom(self.scenario.seed, self.number)
        return self._random

    @property
    def vars(self) -> dict[str, Any]:
        """Values that the session keeps by name."""
        if self._vars is None:
            self._vars = {}
        return self._vars

    @property
    def http(self) -> "UserHttp":
        """HTTP requests: `async with user.http.post(url, json=…) as reply:`."""
        # Here, since it loads aiohttp: workers whose sessions send no request do without.
        from loadgen.sessions.http import UserHttp  # noqa: PLC0415

        return UserHttp(self)

    def cookie_jar(self, wanted: bool) -> "CookieJar | None":
        """Returns its cookies, or None; with `wanted` it makes a jar for them."""
        if self._jar is None and wanted:
            from loadgen.sessions.http import new_jar  # noqa: PLC0415

            self._jar = new_jar()
        return self._jar

    @property
    def row(self) -> Mapping[str, Any]:
        """Its row of the plan's feeders, read only and read anew each time.

        A user that comes back has the same one. Raises RuntimeError where the plan has no feeder
        for its session.
        """
        rows = self.scenario.rows
        if rows is None:
            raise RuntimeError(
                f"user.row needs a plan with [[feeders]] for the session {self.scenario.name!r}"
            )
        return rows[self.number]

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters of the plan, by name; read only.

        A name that the plan does not have raises KeyError.
        """
        return self.scenario.params

    @property
    def data(self) -> Any:
        """The value that the plan's setup returned; all users of a worker share it.

        Raises RuntimeError where the plan has no setup.
        """
        data = self.scenario.data
        if data is NO_SETUP:
            raise RuntimeError("user.data needs a plan with [setup], or --setup FILE.py")
        return data

    @property
    def think(self) -> ThinkTimes:
        """Think times in seconds: `think(30)`, `think.uniform(1, 5)` and others."""
        return ThinkTimes(self)

    @coroutine
    def connect(
        self,
        resource: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        origin: str = "",
        url: str = "",
        timeout: float | None = None,
        read_rate: float = 0.0,
    ) -> Generator[Any, Any, WebSocket]:
        """Opens a connection to the target.

        `resource` is another path and query. A header replaces the plan's of the same name, and
        `subprotocols` replace the plan's; one of them may be a str. `url` is another of the plan's
        targets, `timeout` is in seconds, `read_rate` the most that the connection reads, in bytes a
        second.

        Raises ConnectFailed, counted by its reason; ValueError for a URL that is not in the plan.
        """
        scenario = self.scenario
        route = scenario.route_to(self.number, url)
        own = with_origin((headers or {}).items(), origin)
        offer = (subprotocols,) if isinstance(subprotocols, str) else tuple(subprotocols)
        terms = self._terms(route, resource, own, offer, read_rate)
        if terms is None:
            yield None  # others get their turn: the session may try the same again at once
            raise ConnectFailed(BAD_REQUEST)
        now = monotonic()
        due = now if self.due is None else self.due
        answers = scenario.replies is not None
        kind = session_kind(terms, receives=scenario.receives, answers=answers)
        socket = kind(route.recorder, terms, self, due)
        planned = self.due is not None
        if planned and route.recorder is not self.recorder:
            self.recorder.moved += 1
            route.recorder.tally.launched += 1
        scenario.connections.dial(socket, route.dialer, now, planned=planned)
        self._hold((*self.sockets, socket))
        try:
            yield from self.wait_for(socket, Awaited.OPENING, timeout)
        except TimeoutError:
            scenario.connections.abort(socket, TIMEOUT)
            raise ConnectFailed(TIMEOUT) from None
        except asyncio.CancelledError:
            leaving = "" if self.tasks is None else self.tasks.reason
            scenario.connections.abort(socket, leaving or TIMEOUT)
            raise
        return socket

    def _terms(
        self,
        route: Route,
        resource: str,
        headers: Headers,
        subprotocols: tuple[str, ...],
        read_rate: float,
    ) -> Terms | None:
        """Returns the terms of a connection.

        Returns None, and counts it as failed, when its request can't be sent.
        """
        scenario = self.scenario
        try:
            return route.terms(0.0, resource, headers, scenario.wrap(read_rate), subprotocols)
        except RequestError as error:
            self.recorder.sample(BAD_REQUEST, self.number, f"{error}\n")
        refuse(self.recorder, BAD_REQUEST, planned=self.due is not None)
        self.due = None
        return None

    def count(self, name: str, by: int = 1) -> None:
        """Adds to a counter that the session names."""
        tally = self.recorder.tally
        if name not in tally.counters:
            name = self.recorder.name_for("counters", name, self.number)
        tally.count(name, by)

    def check(
        self, name: str, condition: object, *, fatal: bool = False, sample: object = None
    ) -> bool:
        """Counts a check as passed or failed; returns whether its condition is true.

        `sample` is what was checked: the report shows that of the first failure. A failed check
        that is `fatal` raises CheckFailed, which ends the session unless it is caught.
        """
        passed = bool(condition)
        tally = self.recorder.tally
        counted = name
        if name not in tally.checks:
            counted = self.recorder.name_for("checks", name, self.number)
        tally.check(counted, passed=passed)
        if not passed:
            reason = f"{CHECK}{name_of(name)}"
            if self.recorder.claim(reason, MAX_CHECK_SAMPLES):
                self.recorder.samples[reason] = _failed_check(self.number, name, condition, sample)
            if fatal:
                raise CheckFailed(name)
        return passed

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Times a block under a name; a block that raises is not timed."""
        begin = monotonic()
        yield
        self.took(name, monotonic() - begin)

    @contextmanager
    def transaction(self, name: str) -> Iterator[None]:
        """Times a block as `tr_NAME`; a block that raises is counted as `tr_NAME_failed`."""
        begin = monotonic()
        try:
            yield
        except BaseException:  # cancelled or drained in the middle is not done either
            self.count(f"tr_{name}_failed")
            raise
        self.took(f"tr_{name}", monotonic() - begin)

    def stamp(self, channel: str = "") -> str:
        """Returns the stamp of a publication, to be sent at once as a part of a message.

        Its delivery is measured: all subscribers of the channel have to receive it, without a
        channel all subscribers.

        Raises RuntimeError where the plan has no `[publish]` table with `by = "session"`.
        """
        deliveries = self.recorder.deliveries
        if deliveries is None or not deliveries.publisher:
            raise RuntimeError('user.stamp() needs a plan with [publish] and by = "session" in it')
        channel.encode()  # raises for surrogates, which can't be told to other workers
        return deliveries.publish(channel, monotonic())

    async def meet(self, users: int) -> None:
        """Waits until a number of users of the whole fleet have come to this call."""
        self.count(f"{MEET}{users}")
        await self.scenario.population.meeting(users)

    def remark(self, text: str) -> None:
        """Writes a line into the agent's log; a worker writes the first few each second."""
        self.recorder.remark(f"user {self.number}: {text}")

    def abort_run(self, why: str) -> None:
        """Drains the whole run, which has failed; `why` is for the report."""
        self.recorder.ask_for_end(why)

    def took(self, name: str, seconds: float) -> None:
        """Records a duration in seconds under a name."""
        tally = self.recorder.tally
        if name not in tally.timings:
            name = self.recorder.name_for("timings", name, self.number)
        tally.time(name, microseconds(seconds))
