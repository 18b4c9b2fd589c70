"""Debian packages of the tools that tests need.

The first test that needs a tool installs it; services are not started, here or on a machine of
tests.machines.
"""

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "loadgen-tests-apt.lock"
"""The file, in the directory of temporary files, that the installing process locks."""


def installed(tool: str, package: str = "") -> str:
    """Returns the path of a command; installs its package first where it is missing.

    The package has the command's name unless `package` names another.
    """
    with _lock():
        if shutil.which(tool) is None:
            _install(package or tool)
            _disable(tool)
    found = shutil.which(tool)
    assert found is not None, f"{package or tool} brought no {tool}"
    return found


def install_library(package: str) -> None:
    """Installs a package that brings no command, where it is missing."""
    with _lock():
        words = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
        status = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        if status != "installed":
            _install(package)


@contextmanager
def _lock() -> Iterator[None]:
    """Lets one process at a time install."""
    with (Path(tempfile.gettempdir()) / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(package: str) -> None:
    """Installs a package; with RUNLEVEL=1 its scripts start no services."""
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


def _disable(service: str) -> None:
    """Disables the service of a tool: a machine of tests.machines would start it."""
    subprocess.run(["systemctl", "disable", "--quiet", service], capture_output=True, check=False)
