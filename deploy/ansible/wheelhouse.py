#!/usr/bin/env python3
"""Builds loadgen's wheel once and lays it with the wheels of all it needs, pip included, into one
archive.

Machines of the fleet install from that, so they need no compiler and no package registry. Prints
the archive's path; one that was built from the same sources for the same Python and processor is
taken as it is. Versions are those of requirements.lock.
"""

import argparse
import hashlib
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
    """The script."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--out", type=Path, default=ROOT / "build" / "wheelhouse", help="where archives are kept"
    )
    options.add_argument(
        "--python", default="3.11", help="Python of the fleet's machines, as in 3.11"
    )
    options.add_argument(
        "--machine", default="x86_64", help="their processor, as `uname -m` tells it"
    )
    given = options.parse_args()
    archive = given.out / f"loadgen-{fingerprint()}-py{given.python}-{given.machine}.tar"
    if not archive.exists():
        build(archive, given.python, given.machine)
    print(archive)


def sources() -> list[Path]:
    """The files from which the wheel is built, and the versions that go with it."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*"))
    code = [path for path in found if path.is_file() and path.suffix != ".pyc"]
    return sorted([*code, *(ROOT / name for name in BESIDE)])


def fingerprint() -> str:
    """A short name for these very sources."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(
            f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode() + path.read_bytes()
        )
    return digest.hexdigest()[:12]


def build(archive: Path, python: str, machine: str) -> None:
    """Builds and gathers in a folder of its own: what an earlier build left behind must not get
    in."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree, wheels, versions = folder / "tree", folder / "wheels", folder / "versions.txt"
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
        fresh = archive.with_suffix(".new")
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fresh, "w") as tar:
            for path in sorted(wheels.iterdir()):
                tar.add(path, path.name)
        fresh.replace(archive)


def locked() -> list[str]:
    """`name==version` of everything in requirements.lock."""
    return re.findall(
        r"^[\w.-]+==[\w.+!-]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )


def pip(*words: str) -> None:
    """Runs pip; where it fails, says what it said and ends."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "-q", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"pip {words[0]} failed:\n{done.stderr}")


if __name__ == "__main__":
    main()
