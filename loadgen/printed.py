"""What sessions print: a worker's standard output belongs to its agent."""

import io

MOST = 100
"""Lines of one worker that are told; what is printed beyond is dropped, and that is told too."""
LONGEST = 500


class Printed(io.TextIOBase):
    """A stream whose lines become notes, the first MOST of them."""

    def __init__(self) -> None:
        self._open = ""
        self._lines: list[str] = []
        self._room = MOST

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Takes a part of a line, or several lines."""
        if self._room:
            *lines, rest = (self._open + text).split("\n")
            self._open = rest[-LONGEST:]
            self._add([line for line in lines if line])
        return len(text)

    def _add(self, lines: list[str]) -> None:
        self._lines += [f"printed: {line[:LONGEST]}" for line in lines[: self._room]]
        self._room -= min(self._room, len(lines))
        if not self._room:
            self._lines.append(f"printed {MOST} lines; what it prints from now on is dropped")

    def take(self) -> tuple[str, ...]:
        """The lines that are new."""
        lines, self._lines = self._lines, []
        return tuple(lines)
