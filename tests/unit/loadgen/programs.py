"""Programs for a fork server under test."""

import json
import os
import signal
import sys
from typing import NoReturn


def tells() -> None:
    """Prints what it is: a line of JSON."""
    held = [int(name) for name in os.listdir("/proc/self/fd")]
    told = {
        "arguments": sys.argv,
        "pid": os.getpid(),
        "parent": os.getppid(),
        "input": sys.stdin.read(),
        "ignored": [number.name for number in signal.Signals if _is_ignored(number)],
        # The one above 2 is that of the listing itself, unless it was given more.
        "descriptors": sorted(held),
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
