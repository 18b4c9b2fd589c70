"""A small terminal: what people see of what a command writes.

Its size may change. It knows the few sequences that the live table uses, and fails for any other.
"""

import re

SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")


class Terminal:
    """The rows of a terminal, those that are scrolled out of sight first."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.rows = [""]
        self.row = self.column = 0

    @property
    def top(self) -> int:
        """The first row in sight."""
        return max(0, len(self.rows) - self.height)

    @property
    def seen(self) -> list[str]:
        """The rows in sight that are not empty."""
        return [row.rstrip() for row in self.rows[self.top :] if row.strip()]

    def resize(self, width: int, height: int) -> None:
        """Wraps long rows anew, as most terminals do; the cursor stays behind its text."""
        rows: list[str] = []
        for number, row in enumerate(self.rows):
            rows += [row[at : at + width] for at in range(0, max(1, len(row)), width)]
            if number == self.row:
                at = len(rows) - 1
        self.rows, self.row, self.column = rows, at, min(self.column, width - 1)
        self.width, self.height = width, height

    def feed(self, text: str) -> None:
        """Takes what a command writes."""
        at = 0
        while at < len(text):
            found = SEQUENCE.match(text, at)
            assert found, f"{text[at : at + 20]!r} is unknown to this terminal"
            at = found.end()
            if found[2]:
                self._obey(found[1], found[2])
            elif found[0] == "\r":
                self.column = 0
            elif found[0] == "\n":
                self._down()
            else:
                self._write(found[0])

    def _write(self, text: str) -> None:
        for sign in text:
            if self.column >= self.width:
                self._down()
            row = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = row[: self.column] + sign + row[self.column + 1 :]
            self.column += 1

    def _down(self) -> None:
        self.row += 1
        self.column = 0
        if self.row == len(self.rows):
            self.rows.append("")

    def _obey(self, number: str, letter: str) -> None:
        match letter:
            case "A":
                self.row = max(self.top, self.row - int(number or 1))
            case "K":
                self.rows[self.row] = ""
            case "H":
                self.row, self.column = self.top, 0
            case "J":
                self.rows[self.top :] = [""] * (len(self.rows) - self.top)
            case "m" | "h" | "l":  # colours; the cursor is shown, or not
                pass
            case _:
                raise AssertionError(f"sequence {number}{letter} is unknown to this terminal")
