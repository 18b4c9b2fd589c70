"""Places for clients whose answers take long.

They follow the run, or read large files.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager

from aiohttp import web

from loadgen.errors import OperatorError
from loadgen.http.server import KNOWN

READ_TIMEOUT = 30.0
"""Seconds that a client may take to read a chunk; then its connection is aborted."""
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
                text=f"{places} {self._who} already; come again in {RETRY_AFTER} s",
                headers={"Retry-After": RETRY_AFTER},
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


async def send(
    request: web.Request, headers: Mapping[str, str], chunks: AsyncGenerator[bytes, None]
) -> web.StreamResponse:
    """Answers with chunks, which are made as the client reads them.

    What goes wrong before the first one is raised. After it an error, which cuts the answer off,
    aborts the connection, so that no client takes a part for the whole.
    """
    async with aclosing(chunks):
        chunk = await anext(chunks, b"")
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            while chunk:
                await asyncio.wait_for(response.write(chunk), READ_TIMEOUT)
                chunk = await anext(chunks, b"")
            await response.write_eof()
        except (OSError, TimeoutError, OperatorError):
            if request.transport is not None:
                request.transport.abort()
    return response
