"""Servers on Node.js that tests start: Debian's node, and npm's packages.

A folder of servers has a package.json and a package-lock.json. The first test that needs one of its
servers installs the packages into `.cache/node`, which git ignores. The lock file names no registry
(`npm config omit-lockfile-registry-resolved`).
"""

import fcntl
import shutil
import subprocess
from pathlib import Path

from tests.debian import installed

CACHE = Path(__file__).parents[1] / ".cache" / "node"
"""Has the packages of each folder, in a folder of their own."""
LOCK = "package-lock.json"


def node_words(script: Path, *arguments: str) -> list[str]:
    """Returns the command line of a script; installs its packages first."""
    path = f"NODE_PATH={packages(script.parent)}"
    return ["env", path, installed("node", "nodejs"), str(script), *arguments]


def packages(folder: Path) -> Path:
    """Returns the folder of the packages that package-lock.json in a folder names."""
    home = CACHE / folder.parent.name
    home.mkdir(parents=True, exist_ok=True)
    found = home / "node_modules"
    done = home / ".done"
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (folder / LOCK).read_bytes()
        if not done.exists() or done.read_bytes() != wanted:
            for name in (LOCK, "package.json"):
                shutil.copy(folder / name, home / name)
            subprocess.run(
                [installed("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=home,
                check=True,
                capture_output=True,
            )
            done.write_bytes(wanted)
    return found
