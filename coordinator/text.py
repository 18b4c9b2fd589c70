"""Text for people: numbers with separators, and words from elsewhere made safe for a terminal
and a file name."""

import re
from collections.abc import Sequence


def one_line(text: str, most: int = 300) -> str:
    """The text on one line, without control characters, at most so many characters long."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def plain_lines(text: str, most: int = 8192) -> str:
    """The text with its lines and tabs, without other control characters, at most so many
    characters of its end."""
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for sign in text[-most:]
    )


def clean_name(text: str, otherwise: str = "agent") -> str:
    """A name that is safe in a path, a label and a terminal: letters, digits, dots, dashes and
    underscores."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:80].lstrip(".-") or otherwise


def traceback_file(reason: str) -> str:
    """Where in the run directory the sample traceback of a reason is; two reasons may share a
    file."""
    return f"errors/{clean_name(reason, 'error')}.txt"


def count(number: float) -> str:
    """A whole number with thousands separators."""
    return f"{number:,.0f}"


def ms(value: float) -> str:
    """Milliseconds in three figures or so: `0.42`, `3.1`, `250`, `12,345`."""
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def seconds(value: float) -> str:
    """A duration: `12 s`, `3:05 min`, `1:02:03 h`."""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02} h"
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"


def reasons(counts: dict[str, int], files: dict[str, str] | None = None) -> str:
    """Counts by reason, the most frequent first: `refused 12, error_KeyError 3
    (errors/error_KeyError.txt)`."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    beside = {reason: f" ({file})" for reason, file in (files or {}).items()}
    return ", ".join(
        f"{reason} {count(number)}{beside.get(reason, '')}" for reason, number in ordered
    )


def and_more(texts: Sequence[str]) -> str:
    """The first of several, and how many more there are."""
    return texts[0] if len(texts) == 1 else f"{texts[0]} and {len(texts) - 1} more"


def columns(rows: list[list[str]], gap: str = "  ") -> list[str]:
    """Rows of cells as aligned lines: the first column to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append(gap.join(cells).rstrip())
    return lines
