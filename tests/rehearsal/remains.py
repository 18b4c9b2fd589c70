"""What a rehearsal would have left behind in the network that it has to itself, and on the
machine."""

import os
import subprocess
from pathlib import Path

from tests.machines import left_groups


def remains(folder: Path) -> list[str]:
    """Links and namespaces besides this one's own, processes in it, control groups, and the
    folder of its files."""
    links = [line.split(":")[1].strip() for line in _said("ip", "-o", "link").splitlines()]
    files = [str(folder)] if folder.exists() else []
    groups = left_groups(os.getpid())
    return [
        *(link for link in links if link != "lo"),
        *_said("ip", "netns").split(),
        *_neighbours(),
        *groups,
        *files,
    ]


def _said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout


def _neighbours() -> list[str]:
    """Other processes in this network."""
    mine, found = os.readlink("/proc/self/ns/net"), []
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            if os.readlink(path) == mine and path.parts[2] != str(os.getpid()):
                found.append(f"process {path.parts[2]}")
        except OSError:  # it has just ended
            continue
    return found
