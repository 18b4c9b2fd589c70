"""The steps of the image: its base, its build by buildah, and a run in it.

Each returns its result as text, or raises AssertionError when it is not the promised one.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from loadgen.errors import OperatorError
from tests.debian import installed
from tests.engines.containers import (
    BASE,
    IMAGE,
    IMAGES,
    MACHINES_OWN,
    PACKAGES,
    ROOT,
    SUITE,
    beside_images,
    call,
    driver,
    go_inside,
    inside,
    install,
    store,
    why_no_container,
)
from tests.engines.engine import Engine
from tests.faults.lan import INSIDE
from tests.rehearsal.__main__ import Shown, in_turn

ENOUGH = 900.0
"""Seconds that a base or a build may take."""
LIST = (
    "from importlib.metadata import distributions as d;"
    " print(*(f'{x.name.lower()}=={x.version}'.replace('_', '-') for x in d()))"
)
"""A program that prints the packages of its Python."""


class ImageBuild:
    """The store of images, and what is built in it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._base = os.environ.get("PYTHON_IMAGE", BASE)

    def _call(self, *words: str) -> str:
        return call(*words, timeout=ENOUGH, environment=self._environment)

    def base(self) -> str:
        """Makes the base from Debian's packages, unless another one is named."""
        if self._base != BASE:
            return f"{self._base}, as PYTHON_IMAGE says"
        have = subprocess.run(
            ["podman", "image", "exists", BASE], env=os.environ | self._environment, check=False
        )
        if have.returncode:
            self._bootstrap()
            return f"Debian's {SUITE} by debootstrap, with {PACKAGES}"
        return f"Debian's {SUITE}, kept from before"

    def _bootstrap(self) -> None:
        with tempfile.TemporaryDirectory(prefix="loadgen-base-", dir=IMAGES) as folder:
            root, packed = f"{folder}/root", f"{folder}/base.tar"
            self._call(
                installed("debootstrap"), "--variant=minbase", f"--include={PACKAGES}", SUITE, root
            )
            self._call("tar", "-C", root, "-c", "-f", packed, ".")
            self._call("podman", "import", "--quiet", packed, BASE)

    def build(self) -> str:
        """Builds the image as the Dockerfile says; reuses layers of an earlier build."""
        mounts = [f"--volume={path}:{path}:ro" for path in MACHINES_OWN if Path(path).exists()]
        said = self._call(
            *("buildah", "bud", "--isolation=chroot", "--layers", *mounts),
            *("--build-arg", f"PYTHON_IMAGE={self._base}", "--tag", IMAGE),
            *("--file", str(ROOT / "deploy/containers/Dockerfile"), str(ROOT)),
        )
        fetched = said.count("Downloading ")
        new = f"pip fetched {fetched} packages" if fetched else "its layers kept from before"
        return f"by buildah, isolation chroot, store {driver()}; {new}"

    def packages(self) -> str:
        """Compares the packages in the image with those of the lock."""
        lock = (ROOT / "requirements.lock").read_text()
        wanted = {name.lower() for name in re.findall(r"^([\w.-]+==[\w.]+)", lock, re.MULTILINE)}
        found = {*self._in_image("/opt/loadgen/bin/python", "-c", LIST).split()}
        ours = {name for name in found if name.startswith("loadgen==")}
        missing = {name for name in wanted - found if not name.startswith(("pip=", "setuptools="))}
        assert (len(ours), missing, found - wanted - ours) == (1, set(), set()), found ^ wanted
        return f"{len(found) - 1} packages of the lock and loadgen, and no other"

    def run(self) -> str:
        """Makes a run in it: unprivileged, and with nothing to write but its volumes."""
        options = ("--rate", "200", "--max", "400", "--hold", "3", "--think", "1")
        said = self._in_image(
            *("loadgen-coord", "--local", "2", "--with-target", *options),
            *("--listen", "127.0.0.1:8091", "--expect", "open_peak>=400"),
        )
        assert "opened    400" in said, said
        return "uid 10001, no capability, read-only root: 400 connections by two agents, pass"

    def _in_image(self, *words: str) -> str:
        """Runs a command in a container of its own."""
        hard = ("--rm", "--read-only", "--cap-drop=all", "--network=none", "--volume=/runs")
        with beside_images("graph") as (environment, _):
            line = inside("podman", "run", *hard, "--tmpfs=/tmp", IMAGE, *words)
            return call(*line, timeout=120, environment=environment)


STEPS: dict[str, Callable[[ImageBuild], str]] = {
    "base": ImageBuild.base,
    "build": ImageBuild.build,
    "packages": ImageBuild.packages,
    "a run": ImageBuild.run,
}
"""In order; each needs those before it."""
BUILDING = ("base", "build")


def play(small: bool) -> Iterator[Shown]:
    """Yields the results of the steps, or only of those that build."""
    steps = {name: step for name, step in STEPS.items() if name in BUILDING or not small}
    IMAGES.mkdir(parents=True, exist_ok=True)
    with store(IMAGES / "storage") as environment:
        yield from in_turn(steps, ImageBuild(environment))


def make() -> None:
    """Makes the image on the network of this machine, and goes on in new namespaces."""
    if INSIDE not in os.environ:
        install()
        for row in play(small=True):
            if not row.held:
                raise OperatorError(f"no image: {row.showed}")
    go_inside()


ENGINE = Engine(why_no_container, install, play)
