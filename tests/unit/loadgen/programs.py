"""Programs for a fork server under test."""

import json
import os
import signal
import sys
from typing import NoReturn


def tells() -> None:
    """Prints what it is: a line of JSON."""
    told = {
        "arguments": sys.argv,
        "input": sys.stdin.read(),
        "ignored": [number.name for number in signal.Signals if _is_ignored(number)],
        # The last one is that of the listing itself.
        "descriptors": sorted(map(int, os.listdir("/proc/self/fd"))),
    }
    print(json.dumps(told))


def _is_ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def waits() -> None:
    """Says that it runs, and waits for a signal."""
    os.write(1, b"runs\n")
    signal.pause()


def exits() -> NoReturn:
    """Exits with code 7."""
    sys.exit(7)


def complains() -> NoReturn:
    """Exits with a text."""
    sys.exit("no such thing")


def fails() -> None:
    """Raises an exception."""
    raise LookupError("a bug")
