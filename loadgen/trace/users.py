"""Users that show what their sessions do; the engine plays them as any other."""

import traceback
from typing import TYPE_CHECKING, Any

from loadgen.net.connection import Connection
from loadgen.net.states import FAILED
from loadgen.plan.secrets import shown_url
from loadgen.sessions.loop import LoopScenario, LoopUser
from loadgen.sessions.scenario import Scenario
from loadgen.sessions.user import User
from loadgen.sessions.waits import Awaited, AwaitedConnection
from loadgen.stats.reasons import DRAINED, is_sessions_own
from loadgen.trace.text import shortened
from loadgen.trace.trace import Trace, is_authors

if TYPE_CHECKING:
    from loadgen.trace.http import TracedHttp

AWAITS = {
    Awaited.MESSAGE: "waits for a message",
    Awaited.PONG: "waits for the pong",
    Awaited.ROOM: "waits until the server reads",
    Awaited.END: "waits for the end of the connection",
}


def _show_end(trace: Trace, connection: Connection, reason: str) -> bool:
    """Writes the end of a connection; True where the session did not ask for it."""
    failed = connection.state == FAILED
    trace.line(f"connection {'failed' if failed else 'closed'}: {reason}")
    return failed or not is_sessions_own(reason)


class TracedUser(User):
    """A user of a session in Python, or of a script."""

    __slots__ = ("broken", "is_script", "trace")

    def __init__(
        self, trace: Trace, scenario: Scenario, number: int, due: float, *, is_script: bool
    ) -> None:
        super().__init__(scenario, number, due)
        self.trace = trace
        self.is_script = is_script
        """True where the end of a connection ends the session without an exception."""
        self.broken = False
        """True once a connection has ended that the session did not end."""

    @property
    def http(self) -> "TracedHttp":
        """HTTP requests that are traced."""
        from loadgen.trace.http import TracedHttp  # noqa: PLC0415 -- it loads aiohttp

        return TracedHttp(self, self.trace)

    def connect(self, resource: str = "", **options: Any) -> Any:
        """Opens a connection; see User.connect."""
        where = resource or options.get("url") or self.target
        self.trace.step(f"connect {shortened(shown_url(where))}")
        return super().connect(resource, **options)

    def pause(self, seconds: float) -> Any:
        """Thinks; see User.pause."""
        self.trace.step(f"think {seconds:.3f} s")
        return super().pause(seconds)

    def wait_for(self, socket: AwaitedConnection, what: Awaited, seconds: float | None) -> Any:
        """Waits for an event of a connection; see User.wait_for."""
        text = AWAITS.get(what)
        if text is not None:
            bound = "" if seconds is None else f", at most {seconds:g} s"
            self.trace.step(f"{text}{bound}")
        return super().wait_for(socket, what, seconds)

    def check(
        self, name: str, condition: object, *, fatal: bool = False, sample: object = None
    ) -> bool:
        """Counts a check; see User.check."""
        words = "passed" if condition else "FAILED"
        shown = "" if condition or sample is None else f": {shortened(str(sample))}"
        self.trace.step(f"check {name!r} {words}{shown}")
        return super().check(name, condition, fatal=fatal, sample=sample)

    def count(self, name: str, by: int = 1) -> None:
        """Adds to a counter; see User.count."""
        self.trace.step(f"count {name} +{int(by)}")
        super().count(name, by)

    def took(self, name: str, seconds: float) -> None:
        """Records a duration in seconds; see User.took."""
        self.trace.step(f"time {name} {seconds * 1e3:.1f} ms")
        super().took(name, seconds)

    def remark(self, text: str) -> None:
        """Writes a line; see User.remark."""
        self.trace.step(f"remark {shortened(str(text))}")
        super().remark(text)

    def abort_run(self, why: str) -> None:
        """Asks for the end of the run; see User.abort_run."""
        self.trace.step(f"asks for the end of the run: {shortened(str(why))}")
        super().abort_run(why)

    async def meet(self, users: int) -> None:
        """Goes on at once: a trace has one user, and no other would come."""
        self.trace.step(f"meet {users} users: a trace has one, and goes on")

    def ended(self, connection: Connection, reason: str) -> None:
        """Shows the end of a connection; see User.ended."""
        self.broken = _show_end(self.trace, connection, reason) or self.broken
        super().ended(connection, reason)

    def _finish(self, end: BaseException) -> None:
        """Shows how the session ended, with the author's line; see User._finish."""
        if isinstance(end, StopIteration):
            failed = self.raised or (self.is_script and self.broken)
            self.trace.ended(
                "the session failed" if failed else "the session returned", failed=failed
            )
        else:
            self.trace.ended(f"the session failed{_place(end)}: {_named(end)}", failed=True)
        super()._finish(end)


def _named(error: BaseException) -> str:
    return shortened("".join(traceback.format_exception_only(error)).strip())


def _place(error: BaseException) -> str:
    """Returns the author's line at which an exception was raised, as ` at file:line`."""
    found = [
        f" at {frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if is_authors(frame.f_code)
    ]
    return found[-1] if found else ""


class TracedLoopUser(LoopUser):
    """A user of the built-in loop."""

    __slots__ = ("trace",)

    def __init__(self, trace: Trace, scenario: LoopScenario, number: int, due: float) -> None:
        super().__init__(scenario, number, due)
        self.trace = trace

    def connect(self) -> Connection:
        """Dials the user's target; see LoopUser.connect."""
        url = self.scenario.route_of(self.number).url
        self.trace.line(f"connect {shortened(shown_url(url))}")
        return super().connect()

    def ended(self, connection: Connection, reason: str) -> None:
        """Shows the end of the connection, which is the session's; see LoopUser.ended."""
        failed = _show_end(self.trace, connection, reason) and reason != DRAINED
        if reason != DRAINED:
            self.trace.ended(f"the session {'failed' if failed else 'returned'}", failed=failed)
        super().ended(connection, reason)
