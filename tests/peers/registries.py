"""Peers that registries have, installed below build/peers."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.debian import installed
from tests.peers.peer import MissingError

HOME = Path(__file__).parents[2] / "build" / "peers"
INSTALL_TIMEOUT = 300.0
"""Seconds that an installation may take."""


def from_pypi(python: str, command: str, packages: Sequence[str]) -> Path:
    """Returns the path of a command, in a virtual environment of its own."""
    home = HOME / command
    pip = [str(home / "bin" / "pip"), "install", "-q", *packages]
    _once(home, packages, [python, "-m", "venv", str(home)], pip)
    return home / "bin" / command


def from_npm(name: str, packages: Sequence[str]) -> Path:
    """Returns the folder of the modules of packages; runs none of their scripts."""
    home = HOME / name
    flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(home)]
    _once(home, packages, [installed("npm"), "install", *flags, *packages])
    return home / "node_modules"


def _once(home: Path, packages: Sequence[str], *commands: Sequence[str]) -> None:
    """Runs the commands that install packages, unless a folder has them already."""
    done = home / ".done"
    if done.exists() and done.read_text() == " ".join(packages):
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for words in commands:
        _install(words)
    done.write_text(" ".join(packages))


def _install(words: Sequence[str]) -> None:
    try:
        subprocess.run(words, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise MissingError(f"`{' '.join(words)}` took over {INSTALL_TIMEOUT:.0f} s") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or "no word").splitlines()[-1]
        raise MissingError(f"`{' '.join(words)}` failed: {last}") from None
