"""Rooms, and what is said to all who are in one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aiohttp import web

Socket = web.WebSocketResponse


class Rooms:
    """The members of each room."""

    def __init__(self) -> None:
        self._rooms: dict[str, set[Socket]] = {}

    def has(self, room: str, socket: Socket) -> bool:
        """Returns whether a connection is a member."""
        return socket in self._rooms.get(room, ())

    def join(self, room: str, socket: Socket) -> None:
        """Makes a connection a member."""
        self._rooms.setdefault(room, set()).add(socket)

    def leave(self, room: str, socket: Socket) -> None:
        """Takes a member out."""
        self._rooms.get(room, set()).discard(socket)

    def drop(self, socket: Socket) -> None:
        """Takes a connection out of all rooms."""
        for members in self._rooms.values():
            members.discard(socket)

    async def tell(self, room: str, text: str, but: Socket | None = None) -> None:
        """Sends a text to all members, or to all but one."""
        for socket in list(self._rooms.get(room, ())):
            if socket is not but:
                await send(socket, text)


async def send(socket: Socket, text: str) -> None:
    """Sends a text, unless the connection is over."""
    with suppress(ConnectionError):
        await socket.send_str(text)


@asynccontextmanager
async def repeating(seconds: float, act: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Acts again and again, with a pause in seconds, as long as its block lasts."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            await act()

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
