"""A host of a `Lan` with processes, names and mounts of its own.

Its files are those of this machine, but for `/run`, `/etc/hosts` and the folders that are given.
"""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.faults.lan import Host
from tests.processes import PATIENCE, Command, children, end_with_parent

SCRIPT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t proc proc /proc
hostname "$NODE"
mount --bind "$HOSTS" /etc/hosts
for pair in $FOLDERS; do mkdir -p "${pair#*=}"; mount --bind "${pair%%=*}" "${pair#*=}"; done
echo up
exec sleep infinity
"""


class Node(Command):
    """A host that has started.

    It ends when it is closed, or with its parent process: all of its processes at once, as when a
    machine loses its power.
    """

    def __init__(self, host: Host, hosts: Path, folders: Mapping[Path, str]) -> None:
        self.host = host
        spaces = ["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
        words = {
            "NODE": host.name,
            "HOSTS": str(hosts),
            "FOLDERS": " ".join(f"{ours}={theirs}" for ours, theirs in folders.items()),
        }
        line = ["unshare", *spaces, "sh", "-c", SCRIPT]
        super().__init__(host.at(line), env=os.environ | words, preexec_fn=end_with_parent)
        self.says("up")

    def run(
        self, *words: str, folder: Path, timeout: float = PATIENCE, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a command on it to its end, in a folder."""
        return subprocess.run(
            self.inside(folder, *words),
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def inside(self, folder: Path, *words: str) -> list[str]:
        """Returns the command line that runs a command on it, in a folder."""
        spaces = ["--mount", "--pid", "--net", "--ipc", "--uts"]
        enter = ["nsenter", "--target", str(children(self.pid)[0]), *spaces]
        return [*enter, "sh", "-c", 'cd "$0" && exec "$@"', str(folder), *words]

    def close(self) -> None:
        """Ends all of its processes at once."""
        self.send(signal.SIGKILL)
        self.process.wait()
