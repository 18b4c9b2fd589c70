"""Text for people: numbers, durations and lists.

Foreign text is made safe for a terminal and for a path.
"""

import math
import re
from collections.abc import Sequence

from loadgen.values import printable


def one_line(text: str, max_length: int = 300) -> str:
    """Returns the text on one line of at most `max_length` characters.

    Each control character becomes a space.
    """
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= max_length else f"{line[: max_length - 1]}…"


def plain_lines(text: str, max_length: int = 8192) -> str:
    """Returns the last `max_length` characters of the text.

    Each control character but line ends and tabs becomes a replacement character.
    """
    return printable(text[-max_length:], kept="\n\t")


def clean_name(text: str, default: str = "agent") -> str:
    """Returns a name that is safe in a path, a label and a terminal.

    It has at most 80 letters, digits, dots, dashes and underscores. The default stands for a text
    of which nothing is left.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:80].lstrip(".-") or default


def sample_file(reason: str) -> str:
    """Returns the path, below the run directory, of the sample of a reason.

    Two reasons may share a file.
    """
    return f"errors/{clean_name(reason, 'error')}.txt"


def in_natural_order(name: str) -> list[str]:
    """Returns the key that sorts names as people do: `a-2` before `a-10`."""
    return [part.zfill(20) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def shortened(text: str, width: int) -> str:
    """Returns a text of at most `width` characters.

    It lacks its middle where it is too long: names of agents differ at their ends.
    """
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def count(number: float) -> str:
    """Returns a whole number with thousands separators."""
    return f"{number:,.0f}"


def ms(value: float) -> str:
    """Returns milliseconds with about three figures: `0.42`, `3.1`, `250`, `12,345`."""
    if value < 1:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def percent_text(value: float) -> str:
    """Returns a percentage with up to four decimals, rounded down.

    So 100 % is only said of all.
    """
    return f"{math.floor(value * 10_000) / 10_000:.4f}".rstrip("0").rstrip(".") + " %"


def seconds(value: float) -> str:
    """Returns a duration in seconds as text: `12 s`, `3:05 min`, `1:02:03 h`."""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02} h"
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"


def reasons(
    counts: dict[str, int],
    files: dict[str, str] | None = None,
    waits: dict[str, str] | None = None,
) -> str:
    """Returns counts by reason, the highest first.

    A reason with a file names it: `refused 12, error_KeyError 3 (errors/error_KeyError.txt)`. One
    with a Retry-After says so before it.
    """
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    said = {reason: f"Retry-After: {wait}; " for reason, wait in (waits or {}).items()}
    suffixes = {
        reason: f" ({said.get(reason, '')}{file})" for reason, file in (files or {}).items()
    }
    return ", ".join(
        f"{reason} {count(number)}{suffixes.get(reason, '')}" for reason, number in ordered
    )


def and_more(texts: Sequence[str]) -> str:
    """Returns the first of several texts, and the number of the others."""
    if not texts:
        return ""
    return texts[0] if len(texts) == 1 else f"{texts[0]} and {len(texts) - 1} more"


def enumerated(texts: Sequence[str]) -> str:
    """Returns texts as a list in a sentence: `a, b and c`."""
    *others, last = texts
    return f"{', '.join(others)} and {last}" if others else last


def columns(rows: list[list[str]], gap: str = "  ") -> list[str]:
    """Returns rows of cells as aligned lines.

    The first column is aligned to the left, the others to the right.
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first = row[0].ljust(widths[0])
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append(gap.join([first, *others]).rstrip())
    return lines
