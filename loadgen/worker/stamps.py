"""The places of stamps in messages, as functions from a message to its stamp."""

import re
from collections.abc import Callable

import msgspec

from loadgen.plan.jsonpath import NOTHING, Path, find_in, path_of
from loadgen.plan.publish import Publish
from loadgen.plan.template import pattern_of, text_of
from loadgen.stats.delivery import END, MARK, MAX_STAMP

Finder = Callable[[bytes], bytes | None]
"""Returns the bytes of the stamp in a message; None where it has none."""


def finder_of(publish: Publish) -> Finder:
    """Returns the function that finds stamps where a plan says that they are."""
    if publish.stamp_json:
        return by_path(path_of(publish.stamp_json))
    if publish.stamp_regex:
        return by_pattern(pattern_of(publish.stamp_regex).pattern)
    if publish.stamp_offset is not None:
        return by_offset(publish.stamp_offset)
    return find_stamp


def find_stamp(payload: bytes) -> bytes | None:
    """Returns the first stamp in a message, wherever it is."""
    begin = payload.find(MARK)
    if begin < 0:
        return None
    end = payload.find(END, begin, begin + MAX_STAMP)
    return payload[begin : end + 1] if end > 0 else None


def by_offset(offset: int) -> Finder:
    """Returns a function that finds the stamp at a number of bytes."""

    def find(payload: bytes) -> bytes | None:
        if not payload.startswith(MARK, offset):
            return None
        return find_stamp(payload[offset : offset + MAX_STAMP])

    return find


def by_pattern(pattern: str) -> Finder:
    """Returns a function that finds the stamp by a regular expression.

    It is in the first group or, without groups, in the whole match.
    """
    search = re.compile(pattern.encode()).search

    def find(payload: bytes) -> bytes | None:
        found = search(payload)
        if found is None:
            return None
        return find_stamp(found[1 if found.re.groups else 0] or b"")

    return find


def by_path(path: Path) -> Finder:
    """Returns a function that finds the stamp in JSON, by Tsung's dialect of paths."""
    decode = msgspec.json.Decoder().decode

    def find(payload: bytes) -> bytes | None:
        try:
            value = find_in(path, decode(payload))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return None if value is NOTHING else find_stamp(text_of(value).encode())

    return find
