"""Places for clients whose answers take long.

They follow the run, or read large files.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from loadgen.http.server import KNOWN

RETRY_AFTER = "5"
"""Seconds after which a client that found no place may ask again."""


class Places:
    """A number of places, and some more for clients with the token or the cookie.

    So strangers can't take the last one. `who` names those who have a place, for people.
    """

    def __init__(self, strangers: int, reserved: int, who: str) -> None:
        self._strangers = strangers
        self._reserved = reserved
        self._who = who
        self.taken = 0

    @contextmanager
    def take(self, request: web.Request) -> Iterator[None]:
        """Has the sender of a request take a place as long as the block lasts.

        Raises HTTPServiceUnavailable when there is none.
        """
        places = self._strangers + (self._reserved if request.get(KNOWN, False) else 0)
        if self.taken >= places:
            raise web.HTTPServiceUnavailable(
                text=f"{places} {self._who} already; ask again in {RETRY_AFTER} s",
                headers={"Retry-After": RETRY_AFTER},
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
