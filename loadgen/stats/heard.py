"""The publications that a connection has received, so that each counts once."""

from collections.abc import Mapping

NEW, REORDERED, DUPLICATE = range(3)
"""The kinds of a receipt, by those before it."""


class Heard:
    """The publications that a connection has received, by stream; it never changes.

    All connections that received the same share one, so that one costs them no memory. Of each
    stream it has the last number, and a bit for each of the `window` numbers up to that: bit n
    stands for the number n before the last.
    """

    __slots__ = ("_streams",)

    def __init__(self, streams: Mapping[str, tuple[int, int]]) -> None:
        self._streams = streams

    def has(self, stream: str, number: int) -> bool:
        """Returns True when a publication was received, by what the window still shows."""
        last, bits = self._streams.get(stream, (-1, 0))
        return number <= last and bool(bits >> (last - number) & 1)

    def after(self, stream: str, number: int, window: int) -> tuple["Heard", int]:
        """Returns what is heard after a further receipt, and what that is.

        It is NEW, REORDERED (a later one came before it) or a DUPLICATE. One that is older than the
        window is taken for reordered.
        """
        last, bits = self._streams.get(stream, (-1, 0))
        ahead = number - last
        if ahead > 0:
            bits = (bits << ahead if ahead < window else 0) & ((1 << window) - 1) | 1
            return Heard({**self._streams, stream: (number, bits)}), NEW
        if bits >> -ahead & 1:
            return self, DUPLICATE
        if -ahead < window:
            bits |= 1 << -ahead
        return Heard({**self._streams, stream: (last, bits)}), REORDERED
