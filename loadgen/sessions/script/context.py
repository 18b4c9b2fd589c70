"""One user's run of a script: its variables, connections and times.

Times go under Tsung's names: `request`, `page`, `session`, `tr_NAME`; so do counts
(docs/from-tsung.md).
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from loadgen.sessions.inbox import Inbox
from loadgen.sessions.user import User
from loadgen.sessions.websocket import WebSocket
from loadgen.stats.reasons import ERROR_UNKNOWN

if TYPE_CHECKING:  # aiohttp: a worker loads it only where a session sends HTTP requests
    from aiohttp import ClientResponse

UNASKED = "async_unknown_data_rcv"
"""The counter of messages that came when none was awaited; Tsung's name."""


class ScriptEnd(Exception):
    """The session is over.

    The text is the ledger's reason for connections that are still open.
    """


class UnaskedInbox(Inbox):
    """The inbox of a script that only takes replies: it counts, and keeps nothing."""

    def __init__(self, user: User) -> None:
        super().__init__()
        self._recorder = user.recorder

    def keep(self, message: str | bytes) -> int:
        """Counts a message."""
        self._recorder.tally.count(UNASKED)
        return 0


class ScriptContext:
    """The state of one user's run of a script; the program is shared by all users.

    Times are seconds on the monotonic clock.
    """

    __slots__ = (
        "began",
        "loops",
        "page_began",
        "read_rate",
        "reply",
        "restarts",
        "stored",
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
        self.stored: WebSocket | None = None
        """A connection that a `change` stored for later."""
        self.url = ""
        """The target that connections go to; empty: the user's own."""
        self.timeout: float | None = None
        """Seconds that a connection has to open; None: the plan's."""
        self.read_rate = 0.0
        """Bytes a second that connections read; 0: as the script has it."""
        self.reply: ClientResponse | None = None
        """The last reply to an HTTP request, read whole."""
        self.page_began = 0.0
        """The time at which the first request of this page was sent; 0 between pages."""
        self.transactions: tuple[tuple[str, float], ...] = ()
        """The transactions under way, each with the time of its beginning."""
        self.loops = 0
        """The number of times that matches sent a request again."""
        self.restarts = 0
        """The number of times that matches began the session anew."""

    @property
    def socket(self) -> WebSocket:
        """The user's connection; raises ScriptEnd when it has none."""
        if self.ws is None:
            raise self.failed(ERROR_UNKNOWN)
        return self.ws

    @property
    def http(self) -> "ClientResponse":
        """The last reply to an HTTP request."""
        assert self.reply is not None
        return self.reply

    def failed(self, reason: str) -> ScriptEnd:
        """Counts why the session can't go on; returns the exception to raise."""
        self.user.count(reason)
        self.user.raised = True
        return ScriptEnd(reason)

    def reply_received(self, began: float, *, ends_page: bool) -> None:
        """Times a request that began then and has its reply now."""
        self.user.took("request", monotonic() - began)
        self.request_done(began, ends_page=ends_page)

    def request_done(self, began: float, *, ends_page: bool) -> None:
        """Times the page when its last request is done.

        Requests without a think time between them make a page.
        """
        self.page_began = self.page_began or began
        if ends_page:
            self.user.took("page", monotonic() - self.page_began)
            self.page_began = 0.0

    def begin_transaction(self, name: str) -> None:
        """Begins to time a transaction."""
        self.transactions = ((name, monotonic()), *self.transactions)

    def end_transaction(self, name: str) -> None:
        """Records a transaction's time; nothing when a jump passed over its beginning."""
        for entry in self.transactions:
            if entry[0] == name:
                self.user.took(f"tr_{name}", monotonic() - entry[1])
                self.transactions = tuple(
                    other for other in self.transactions if other is not entry
                )
                return

    def close_connections(self, reason: str) -> None:
        """Closes every connection in good order, for a reason of the ledger."""
        for socket in self.user.sockets:
            socket.begin_close(reason)

    def finish(self) -> None:
        """Records the session's time; transactions under way end with it."""
        now = monotonic()
        for name, began in self.transactions:
            self.user.took(f"tr_{name}", now - began)
        self.user.took("session", now - self.began)


Reply = str | bytes
Exchange = Callable[[ScriptContext], Awaitable[Reply]]
"""Sends a request and returns its reply."""
Action = Callable[[ScriptContext], Any]
"""One step of a program: returns None, the number of the action to go on with, or an awaitable of
either."""
