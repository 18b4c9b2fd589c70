"""Podman and buildah of Debian, with a store of images in `build/engines`.

A container runs in new namespaces, with a store of its own beside the one of the images, so that
nothing of it is left on this machine.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.debian import install_library, installed
from tests.faults.lan import INSIDE

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "build" / "engines"
"""The folder of the images, which `make clean` removes."""
IMAGE = "localhost/loadgen"
BASE = "localhost/loadgen-base"
SUITE = "bookworm"
PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates"
"""Debian's packages of the base besides the least ones."""
TOOLS = {"buildah": "buildah", "podman": "podman", "crun": "crun", "iptables": "iptables"}
LIBRARIES = ("netavark", "aardvark-dns", "catatonit")
"""Packages without a command on the path, which podman needs for networks and pods."""
MACHINES_OWN = ("/etc/ssl/certs", "/etc/pip.conf")
"""What pip needs where the network of this machine has a proxy with an authority of its own."""
MAX_PROCESSES = 32_768
"""The most that podman grants itself; a container may have no more."""
SCRIPT = """
mount -t tmpfs tmpfs /run && mkdir /run/netns && mount -t tmpfs tmpfs /dev/shm && ip link set lo up
mknod -m 666 /run/null c 1 3 && mount --bind /run/null /dev/null
if [ -d /sys/fs/cgroup/unified ]; then umount /sys/fs/cgroup/unified; fi
exec "$@"
"""
"""Crun gives what a container has as standard input to the user of the container, which is the
/dev/null of the machine, and refuses control groups of both versions side by side."""


def why_no_container() -> str:
    """Returns why this machine can run no container; empty where it can."""
    if os.geteuid():
        return "needs root: it makes control groups, mounts and networks for containers"
    if shutil.which("apt-get") is None and not all(map(shutil.which, TOOLS)):
        return "needs podman and buildah, and this is no Debian that has them"
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False
    )
    return "" if done.returncode == 0 else "needs new namespaces, which this machine refuses"


def install() -> None:
    """Installs Debian's packages where they are missing."""
    for tool, package in TOOLS.items():
        installed(tool, package)
    for package in LIBRARIES:
        install_library(package)


def go_inside() -> None:
    """Starts this command line again in new namespaces, which end with it."""
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        line = inside(sys.executable, "-m", "tests.engines", *sys.argv[1:])
        os.execvp(line[0], line)


def inside(*words: str) -> list[str]:
    """Returns the command line that runs a command in new namespaces."""
    spaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *spaces, "sh", "-ec", SCRIPT, "sh", *words]


def driver() -> str:
    """Returns the kind of store that this kernel has."""
    return "overlay" if "overlay" in Path("/proc/filesystems").read_text() else "vfs"


@contextmanager
def store(graph: Path, images: Path | None = None) -> Iterator[dict[str, str]]:
    """The environment of podman and buildah for a store, as long as the block lasts.

    With `images` it also reads the images of another store. Podman keeps the path of what it knows
    of a running system in the store, so that path stays with the store.
    """
    with tempfile.TemporaryDirectory(prefix="loadgen-containers-") as folder:
        others = "" if images is None else f'additionalimagestores = ["{images}"]'
        (Path(folder) / "storage.conf").write_text(
            f'[storage]\ndriver = "{driver()}"\ngraphroot = "{graph}"\n'
            f'runroot = "{graph}-run"\n[storage.options]\n{others}\n'
        )
        bounds = [f"{name}={value}:{value}" for name, value in limits().items()]
        (Path(folder) / "containers.conf").write_text(
            f"[containers]\ndefault_ulimits = {json.dumps(bounds)}\n"
            '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "crun"\n'
            f'[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "{folder}/networks"\n'
        )
        environment = {
            "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
            "CONTAINERS_CONF": f"{folder}/containers.conf",
        }
        try:
            yield environment
        finally:
            if images is not None:
                _end_all(environment)


@contextmanager
def beside_images(name: str) -> Iterator[tuple[dict[str, str], Path]]:
    """The environment of a store that reads the images, and a folder, for as long."""
    with tempfile.TemporaryDirectory(prefix=f"loadgen-{name}-") as folder:
        with store(Path(folder) / "graph", IMAGES / "storage") as environment:
            yield environment, Path(folder)


def _end_all(environment: Mapping[str, str]) -> None:
    """Ends all containers that are left: their mounts hold the store."""
    for words in (["pod", "rm"], ["rm"]):
        line = ["podman", *words, "--all", "--force", "--time", "0"]
        subprocess.run(line, env=os.environ | environment, capture_output=True, check=False)


def limits() -> dict[str, int]:
    """Returns the limits of containers.

    They are those of this machine: crun may set none above.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    bound = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    processes = MAX_PROCESSES if bound == resource.RLIM_INFINITY else min(bound, MAX_PROCESSES)
    return {"nofile": files, "nproc": processes}


def call(*words: str, timeout: float = 60, environment: Mapping[str, str], **options: Path) -> str:
    """Runs a command to its end; returns its output.

    Raises AssertionError when it fails.
    """
    done = subprocess.run(
        words,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **options,
    )
    assert done.returncode == 0, f"{' '.join(words[:4])}: {(done.stdout + done.stderr)[-2000:]}"
    return (done.stdout + done.stderr).strip() if words[1] == "logs" else done.stdout.strip()
