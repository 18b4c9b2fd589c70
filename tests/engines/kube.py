"""The steps of the Kubernetes rehearsal, by `podman kube play`.

Each returns its result as text, or raises AssertionError when it is not the promised one.
"""

import json
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml

from tests.engines import image
from tests.engines.containers import ROOT, beside_images, call, why_no_container
from tests.engines.engine import Engine
from tests.engines.pods import Manifest, Probe, playable, pods, probes
from tests.processes import PATIENCE, eventually
from tests.rehearsal.__main__ import Shown, in_turn

COUNT = 2000
PLAN = f"""
target = "ws://loadgen-target:9505/v1/realtime?project=console&channels[]=files"
rate = 500
max = {COUNT}
think = 3
hold = 30
expect = ["open_peak>={COUNT}"]
"""
"""A run that any machine holds; the overlay's own has 20,000 connections."""
NETWORK = "cluster"
COORDINATOR = "loadgen-coordinator"
AGENT = "loadgen-agent-0"


def why_not() -> str:
    """Returns why the manifests can't be played here; empty where they can."""
    if shutil.which("kubectl") is None:
        return "needs kubectl, which has kustomize in it"
    return why_no_container()


class PlayedFleet:
    """The pods of overlays/rehearsal, with a smaller plan."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment = environment
        self._overlay = folder / "kubernetes" / "overlays" / "rehearsal"
        shutil.copytree(ROOT / "deploy" / "kubernetes", folder / "kubernetes")
        (self._overlay / "token").write_text(secrets.token_hex(24))
        (self._overlay / "plan.toml").write_text(PLAN)
        self._file = folder / "pods.yaml"
        self._pods: list[Manifest] = []

    def _podman(self, *words: str) -> str:
        return call("podman", *words, environment=self._environment)

    def kustomize(self) -> str:
        """Builds the overlay."""
        said = call("kubectl", "kustomize", str(self._overlay), environment={})
        resources = [one for one in yaml.safe_load_all(said) if one]
        self._pods = pods(resources)
        self._file.write_text(yaml.safe_dump_all(playable(resources)))
        return f"{len(resources)} resources; their controllers would make {len(self._pods)} pods"

    def play(self) -> str:
        """Plays the pods on a network of their own."""
        self._podman("network", "create", NETWORK)
        self._podman("kube", "play", "--network", NETWORK, str(self._file))
        names = sorted(self._podman("pod", "ps", "--format", "{{.Name}}").split())
        assert names == sorted(pod["metadata"]["name"] for pod in self._pods), names
        return f"{', '.join(names)}; with secret, config map, claim and init container"

    def probe(self) -> str:
        """Asks what a kubelet asks, at the pods' own addresses."""
        asked = [probe for pod in self._pods for probe in probes(pod)]
        for probe in asked:
            eventually(lambda probe=probe: self._is_well(probe), f"{probe}", 2 * PATIENCE)
        ready = sum(probe.kind == "readinessProbe" for probe in asked)
        return f"{ready} readiness and {len(asked) - ready} liveness probes get a 200"

    def _is_well(self, probe: Probe) -> bool:
        infra = self._podman("pod", "inspect", "--format", "{{.InfraContainerID}}", probe.pod)
        networks = self._inspect(infra)["NetworkSettings"]["Networks"]
        url = f"http://{networks[NETWORK]['IPAddress']}:{probe.port}{probe.path}"
        try:
            with urlopen(url, timeout=PATIENCE) as reply:
                return bool(reply.status == 200)
        except OSError:  # it does not listen yet
            return False

    def _inspect(self, name: str) -> dict[str, Any]:
        return json.loads(self._podman("inspect", name))[0]  # type: ignore[no-any-return]  # an object

    def rights(self) -> str:
        """Looks at an agent from the inside."""
        inside = ("exec", f"{AGENT}-agent", "sh", "-c")
        status = self._podman(*inside, "id -u; grep CapEff /proc/1/status").split()
        assert status == ["10001", "CapEff:", "0" * 16], status
        tried = self._podman(*inside, "touch /x 2>/dev/null || wc -c < /run/secrets/loadgen/token")
        assert int(tried) > 0, tried
        limit = self._inspect(f"{AGENT}-agent")["HostConfig"]["Memory"]
        assert limit == 512 << 20, limit
        return "uid 10001, no capability, read-only root, reads its secret, at most 512 MiB"

    def loss(self) -> str:
        """Kills an agent while the run goes on."""
        name = f"{AGENT}-agent"
        before = self._inspect(name)["State"]["Pid"]
        said = ("logs", f"{COORDINATOR}-coordinator")
        eventually(
            lambda: f"open {COUNT:,}/{COUNT:,}" in self._podman(*said),
            lambda: self._podman(*said),
        )
        os.kill(before, signal.SIGKILL)  # podman starts none again that `podman kill` has ended
        eventually(
            lambda: self._inspect(name)["State"]["Pid"] not in {0, before},
            lambda: self._podman("logs", name),
        )
        return "its container starts again, by its restart policy"

    def run(self) -> str:
        """Waits for the end of the Job's pod."""
        name = f"{COORDINATOR}-coordinator"
        eventually(
            lambda: self._inspect(name)["State"]["Status"] == "exited",
            lambda: self._podman("logs", "--tail", "20", name),
            4 * PATIENCE,
        )
        code = self._inspect(name)["State"]["ExitCode"]
        assert code == 0, self._podman("logs", name)
        volume = self._podman("volume", "inspect", "--format", "{{.Mountpoint}}", "loadgen-runs")
        (folder,) = Path(volume).iterdir()
        found = json.loads((folder / "summary.json").read_text())
        ends = found["verdict"], found["closed"], found["failed"], found["lost"]
        lost = found["lost"]
        assert ends == ("pass", {"drained": COUNT}, {}, lost), ends
        assert lost == found["opened"] - COUNT, found
        return f"pass: drained {COUNT:,}, lost {lost:,} with the agent; the claim has the results"

    def down(self) -> str:
        """Ends all pods."""
        self._podman("kube", "down", str(self._file))
        left = self._podman("ps", "--all", "--quiet").split()
        assert left == [], left
        return "no pod is left; podman keeps the volume of the claim"


STEPS: dict[str, Callable[[PlayedFleet], str]] = {
    "kubectl kustomize": PlayedFleet.kustomize,
    "podman kube play": PlayedFleet.play,
    "probes": PlayedFleet.probe,
    "rights": PlayedFleet.rights,
    "an agent is killed": PlayedFleet.loss,
    "the run": PlayedFleet.run,
    "podman kube down": PlayedFleet.down,
}
"""In order; each needs those before it."""


def play(small: bool) -> Iterator[Shown]:
    """Yields the results of the steps."""
    with beside_images("kube") as (environment, folder):
        yield from in_turn(STEPS, PlayedFleet(environment, folder))


ENGINE = Engine(why_not, image.make, play)
