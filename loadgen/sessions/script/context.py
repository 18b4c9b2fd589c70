"""One user's run of a script: its variables, its connections, and since when a request, a page, a
transaction lasts.

Times go under Tsung's names: `request`, `page`, `session`, `tr_NAME`; so do counts
(docs/from-tsung.md).
"""

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from loadgen.sessions.user import User
from loadgen.sessions.websocket import WebSocket
from loadgen.stats.reasons import ERROR_UNKNOWN

UNASKED = "async_unknown_data_rcv"
"""The counter of messages that came when none was awaited."""


class ScriptEnd(Exception):
    """The session is over; the text is the ledger's reason for the connections that it leaves
    open."""


class Unasked(deque[str | bytes]):
    """The inbox of a script that only takes replies: counts what comes unasked, and keeps
    nothing of it."""

    def __init__(self, user: User) -> None:
        super().__init__(maxlen=0)
        self._recorder = user.recorder

    def append(self, message: str | bytes) -> None:
        """Counts it."""
        self._recorder.tally.count(UNASKED)


class ScriptContext:
    """What one user's run of a script keeps; everything else is the program's, shared by all."""

    __slots__ = (
        "aside",
        "began",
        "loops",
        "page",
        "read_rate",
        "restarts",
        "timeout",
        "transactions",
        "url",
        "user",
        "values",
        "ws",
    )

    def __init__(self, user: User) -> None:
        self.user = user
        self.began = monotonic()
        self.values: dict[Any, Any] = {"tsung_userid": user.number + 1}
        """The variables by name."""
        self.ws: WebSocket | None = None
        self.aside: WebSocket | None = None
        """A connection kept for later."""
        self.url = ""
        """The target that connections go to; empty: the user's own."""
        self.timeout: float | None = None
        """Seconds that a connection has to open; None: the plan's."""
        self.read_rate = 0.0
        """Bytes a second that connections read; 0: as the script has it."""
        self.page = 0.0
        """When the first request of this page was sent; 0 between pages."""
        self.transactions: tuple[tuple[str, float], ...] = ()
        """Those under way, with their beginnings."""
        self.loops = self.restarts = 0
        """How often matches sent it back."""

    @property
    def socket(self) -> WebSocket:
        """Its connection; without any the session is over."""
        if self.ws is None:
            raise self.failed(ERROR_UNKNOWN)
        return self.ws

    def failed(self, reason: str) -> ScriptEnd:
        """Counts why the session can't go on."""
        self.user.count(reason)
        return ScriptEnd(reason)

    def answered(self, began: float, *, ends_page: bool) -> None:
        """A request that began then has its reply."""
        self.user.took("request", monotonic() - began)
        self.turned(began, ends_page=ends_page)

    def turned(self, began: float, *, ends_page: bool) -> None:
        """A request that began then is done; requests without a think time between them make a
        page."""
        self.page = self.page or began
        if ends_page:
            self.user.took("page", monotonic() - self.page)
            self.page = 0.0

    def enter(self, transaction: str) -> None:
        """A transaction begins."""
        self.transactions = ((transaction, monotonic()), *self.transactions)

    def quit(self, transaction: str) -> None:
        """A transaction ends; one that a jump went round has not begun."""
        for entry in self.transactions:
            if entry[0] == transaction:
                self.user.took(f"tr_{transaction}", monotonic() - entry[1])
                self.transactions = tuple(
                    other for other in self.transactions if other is not entry
                )
                return

    def close(self, reason: str) -> None:
        """Closes every connection, for a reason that is not `done`."""
        for socket in self.user.sockets:
            socket.begin_close(reason)

    def finish(self) -> None:
        """The session is over; what is under way ends with it."""
        now = monotonic()
        for name, began in self.transactions:
            self.user.took(f"tr_{name}", now - began)
        self.user.took("session", now - self.began)


Act = Callable[[ScriptContext], Any]
"""One step of a program: gives None, or the number of the step to go on with, or an awaitable of
either."""
