"""The settled seconds as one text of JSON, in parts: they may be a large file."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator

PART_BYTES = 1 << 18
"""Bytes of the settled seconds that are read at a time."""


async def parts_of(lines: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Yields the JSON of settled seconds in parts of about PART_BYTES."""
    rest = iter(lines)
    part = b'{"seconds":['
    while more := await asyncio.to_thread(_next_part, rest):  # the file may be on a slow disk
        yield part + more
        part = b","
    yield part.removesuffix(b",") + b"]}"


def _next_part(lines: Iterator[bytes]) -> bytes:
    """Returns the next lines with commas between them; b"" after the last one."""
    part = bytearray()
    for line in lines:
        part += line + b","
        if len(part) >= PART_BYTES:
            break
    return bytes(part[:-1])
