"""The leftovers of a rehearsal in its own network and on the machine."""

import os
import subprocess
from pathlib import Path

from tests.machines import left_groups


def leftovers(folder: Path) -> list[str]:
    """Returns everything that a rehearsal may leave behind.

    It is links, namespaces, processes, control groups and the directory of files.
    """
    links = [line.split(":")[1].strip() for line in _output("ip", "-o", "link").splitlines()]
    files = [str(folder)] if folder.exists() else []
    groups = left_groups(os.getpid())
    return [
        *(link for link in links if link != "lo"),
        *_output("ip", "netns").split(),
        *_neighbours(),
        *groups,
        *files,
    ]


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout


def _neighbours() -> list[str]:
    """Returns the other processes in this network."""
    mine = os.readlink("/proc/self/ns/net")
    found = []
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            if os.readlink(path) == mine and path.parts[2] != str(os.getpid()):
                found.append(f"process {path.parts[2]}")
        except OSError:  # it has just ended
            continue
    return found
