"""Reads this machine's counters from /proc."""

import os
from pathlib import Path

from loadgen.machine.host import Reading, reading_of


def read_host(proc: Path = Path("/proc")) -> Reading:
    """Returns the counters of the host as this process sees them.

    What is missing there is left out.
    """
    stat, snmp, netstat, sockstat = (
        _text(proc / name) for name in ("stat", "net/snmp", "net/netstat", "net/sockstat")
    )
    return reading_of(stat, snmp, netstat, sockstat, os.sched_getaffinity(0))


def _text(path: Path) -> str:
    """Returns the text of a file, "" when it is missing or may not be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
