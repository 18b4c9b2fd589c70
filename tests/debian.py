"""Debian's packages for tests that need a tool: installed by whoever needs one first, services
not started."""

import fcntl
import shutil
import subprocess
import tempfile
from pathlib import Path

LOCK = "loadgen-tests-apt.lock"
"""Held, among temporary files, by the one who installs."""


def installed(tool: str, package: str = "") -> str:
    """The path of a command, from this package (or the one of its name) where it is not there
    yet."""
    with (Path(tempfile.gettempdir()) / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if shutil.which(tool) is None:
            _install(package or tool)
    found = shutil.which(tool)
    assert found is not None, f"{package or tool} brought no {tool}"
    return found


def _install(package: str) -> None:
    """RUNLEVEL=1 tells a package's scripts that this is no time to start services."""
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "DEBIAN_FRONTEND": "noninteractive",
        "RUNLEVEL": "1",
    }
    for words in (["update"], ["install", "-y", "--no-install-recommends", package]):
        done = subprocess.run(
            ["apt-get", *words], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
