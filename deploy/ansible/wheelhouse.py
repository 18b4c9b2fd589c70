#!/usr/bin/env python3
"""Builds one archive of the wheels of loadgen and its dependencies, pip included.

Machines of the fleet install from it, so they need no compiler and no package registry. The script
prints the archive's path; it reuses an archive of the same sources, Python and processor. Versions
are those of requirements.lock.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("loadgen", "coordinator")
BESIDE = ("pyproject.toml", "README.md", "LICENSE", "requirements.lock")
LIBCS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")


def main() -> None:
    """Runs the script."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--out", type=Path, default=ROOT / "build" / "wheelhouse", help="the directory of archives"
    )
    options.add_argument(
        "--python", default="3.11", help="the Python of the fleet's machines, as in 3.11"
    )
    options.add_argument(
        "--machine", default="x86_64", help="their processor, as `uname -m` prints it"
    )
    given = options.parse_args()
    archive = given.out / f"loadgen-{fingerprint()}-py{given.python}-{given.machine}.tar"
    if not archive.exists():
        build(archive, given.python, given.machine)
    print(archive)


def sources() -> list[Path]:
    """Returns the files that the archive is built from."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*"))
    code = [path for path in found if path.is_file() and path.suffix != ".pyc"]
    return sorted([*code, *(ROOT / name for name in BESIDE)])


def fingerprint() -> str:
    """Returns a short hash of the sources."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(
            f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode() + path.read_bytes()
        )
    return digest.hexdigest()[:12]


def build(archive: Path, python: str, machine: str) -> None:
    """Builds an archive in a new folder, without files of an earlier build."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = folder / "tree"
        wheels = folder / "wheels"
        versions = folder / "versions.txt"
        for path in sources():
            copy = tree / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        versions.write_text("\n".join(locked()))
        pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(tree))
        (wheel,) = wheels.glob("loadgen-*.whl")
        platforms = [word for libc in LIBCS for word in ("--platform", f"{libc}_{machine}")]
        fleet = ["--only-binary=:all:", "--python-version", python, *platforms]
        pip(
            "download",
            *fleet,
            "--constraint",
            str(versions),
            "--dest",
            str(wheels),
            str(wheel),
            "pip",
        )
        fresh = archive.with_suffix(f".{os.getpid()}")  # another process may build the same
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fresh, "w") as tar:
            for path in sorted(wheels.iterdir()):
                tar.add(path, path.name)
        fresh.replace(archive)


def locked() -> list[str]:
    """Returns `name==version` of every package in requirements.lock."""
    return re.findall(
        r"^[\w.-]+==[\w.+!-]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )


def pip(*words: str) -> None:
    """Runs pip; when it fails, exits with its error output."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "-q", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"pip {words[0]} failed:\n{done.stderr}")


if __name__ == "__main__":
    main()
