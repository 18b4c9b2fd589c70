"""The users of one worker, from their arrivals to their ends."""

from asyncio import Future, get_running_loop
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from loadgen.net.connections import Connections
from loadgen.sessions.churn import Churn
from loadgen.sessions.trampoline import BaseUser
from loadgen.stats.recorder import Recorder
from loadgen.timers import TICK, Alarm

if TYPE_CHECKING:
    from loadgen.net.http_pool import HttpPool


class Population:
    """All users of one worker, and their recorder, connections and churn."""

    def __init__(
        self,
        recorder: Recorder,
        connections: Connections,
        churn: Churn,
        alarm: Alarm,
        *,
        grain: float = TICK,
    ) -> None:
        """Makes an empty population.

        `grain` is the least seconds until the worker wakes up for a user that comes back.
        """
        self.recorder = recorder
        self.connections = connections
        self.churn = churn
        self.alarm = alarm
        """The time at which the worker wakes up to look for users that are due."""
        self._grain = grain
        self.open_http: Callable[[], HttpPool] | None = None
        """Opens the worker's pool for HTTP requests."""
        self._http: HttpPool | None = None
        self.idle: dict[BaseUser, None] = {}
        """Users that hold no connection now."""
        self._meetings: dict[int, list[Future[None]]] = {}
        """Futures by the number of users that they wait for, one for each call: a session may
        cancel its own."""
        self._met: set[int] = set()
        """The numbers of users that have come."""

    @property
    def http(self) -> "HttpPool":
        """The worker's pool for HTTP requests, opened when it is first used."""
        if self._http is None:
            assert self.open_http is not None
            self._http = self.open_http()
        return self._http

    async def close_http(self) -> None:
        """Closes the pool, where there is one; workers leave that to the kernel."""
        if self._http is not None:
            await self._http.close()

    @property
    def draining(self) -> bool:
        """True when all users are to leave."""
        return self.connections.drain is not None

    def ended(self, user: BaseUser, reason: str, *, failed: bool, raised: bool = False) -> None:
        """Counts a session that is over.

        `failed`: it could not connect; `raised`: it ended by an exception.
        """
        if raised:
            self.recorder.tally.sessions_failed += 1
        else:
            self.recorder.tally.sessions_done += 1
        if self.churn and not self.draining:
            now = monotonic()
            back = self.churn.user_ended(user.number, reason, now, failed=failed)
            self.alarm.no_later_than(max(back, now + self._grain))

    def meeting(self, users: int) -> Future[None]:
        """Returns a future that is done once this many users of the fleet have come."""
        future = get_running_loop().create_future()
        if users in self._met:
            future.set_result(None)
        else:
            self._meetings.setdefault(users, []).append(future)
        return future

    def met(self, users: int) -> None:
        """Ends the meeting of a number of users: all of them have come."""
        self._met.add(users)
        for meeting in self._meetings.pop(users, ()):
            if not meeting.done():
                meeting.set_result(None)
