"""The steps of the compose file, by podman-compose.

Each returns its result as text, or raises AssertionError when it is not the promised one.
"""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from tests.debian import installed
from tests.engines import image
from tests.engines.containers import ROOT, beside_images, call, limits, why_no_container
from tests.engines.engine import Engine
from tests.processes import PATIENCE, eventually
from tests.rehearsal.__main__ import Shown, in_turn

SERVICES = ("target", "coordinator", "agent")
"""Those of loadgen; the images of Prometheus and Grafana are in a registry."""
AGENTS = 4
COUNT = 2000
SMALLER = {
    "LOADGEN_COORD_MAX": COUNT,
    "LOADGEN_COORD_RATE": 500,
    "LOADGEN_COORD_HOLD": 10,
    "LOADGEN_COORD_THINK": 3,
    "LOADGEN_COORD_EXPECT": f"open_peak>={COUNT}",
}
"""The environment of a run that any machine holds; the file's own has 20,000 connections."""
COORDINATOR = "loadgen_coordinator_1"


class ComposedFleet:
    """A copy of deploy/ with a token and this machine's limits."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment = environment
        shutil.copytree(ROOT / "deploy", folder / "deploy")
        self._folder = folder / "deploy" / "containers"
        (self._folder / "token").write_text(secrets.token_hex(24))
        here: dict[str, dict[str, object]] = {name: {"ulimits": limits()} for name in SERVICES}
        here["coordinator"]["environment"] = SMALLER
        (self._folder / "here.yaml").write_text(yaml.safe_dump({"services": here}))

    def _compose(self, *words: str) -> str:
        files = ("-f", "compose.yaml", "-f", "here.yaml")
        line = ("podman-compose", "-p", "loadgen", *files, *words)
        return call(*line, timeout=200, environment=self._environment, cwd=self._folder)

    def _podman(self, *words: str) -> str:
        return call("podman", *words, environment=self._environment)

    def up(self) -> str:
        """Starts the services of loadgen."""
        self._compose("up", "--detach", "--no-build", *SERVICES)
        names = self._podman("ps", "--format", "{{.Names}}").split()
        agents = [name for name in names if name.startswith("loadgen_agent_")]
        others = {COORDINATOR, "loadgen_target_1"}
        assert (len(agents), {*names} - {*agents}) == (AGENTS, others), f"up: {names}"
        return f"a target, a coordinator and {AGENTS} agents on a network of their own"

    def run(self) -> str:
        """Waits for the end of the coordinator."""
        return f"{self._verdict()}; the secret is a file, names are those of the services"

    def _verdict(self) -> str:
        state = "{{.State.Status}} {{.State.ExitCode}}"
        eventually(
            lambda: self._podman("inspect", "--format", state, COORDINATOR).startswith("exited"),
            self._said,
            4 * PATIENCE,
        )
        said = self._podman("inspect", "--format", state, COORDINATOR)
        assert said == "exited 0", self._said()
        found = json.loads((self._runs()[-1] / "summary.json").read_text())
        ends = found["verdict"], found["opened"], found["closed"], found["failed"], found["lost"]
        assert ends == ("pass", COUNT, {"drained": COUNT}, {}, 0), ends
        return f"pass: opened {COUNT:,}, drained {COUNT:,}"

    def _said(self) -> str:
        """Returns what the coordinator said."""
        return self._podman("logs", "--tail", "20", COORDINATOR)

    def _runs(self) -> list[Path]:
        """Returns the run directories in the volume, in their order."""
        volume = self._podman("volume", "inspect", "--format", "{{.Mountpoint}}", "loadgen_runs")
        return sorted(Path(volume).iterdir())

    def again(self) -> str:
        """Starts the coordinator again; the agents have waited for it."""
        self._podman("start", COORDINATOR)
        verdict = self._verdict()
        runs = len(self._runs())
        assert runs == 2, runs
        return f"{verdict}, by the same agents; the volume has {runs} run directories"

    def down(self) -> str:
        """Ends all, and removes it."""
        self._compose("down", "--volumes")
        left = [
            *self._podman("ps", "--all", "--quiet").split(),
            *self._podman("volume", "ls", "--quiet").split(),
        ]
        assert left == [], left
        return "no container and no volume is left"


STEPS: dict[str, Callable[[ComposedFleet], str]] = {
    "up": ComposedFleet.up,
    "a run": ComposedFleet.run,
    "the next run": ComposedFleet.again,
    "down --volumes": ComposedFleet.down,
}
"""In order; each needs those before it."""


def play(small: bool) -> Iterator[Shown]:
    """Yields the results of the steps."""
    with beside_images("compose") as (environment, folder):
        yield from in_turn(STEPS, ComposedFleet(environment, folder))


def prepare() -> None:
    """Gets podman-compose and the image, and goes on in new namespaces."""
    installed("podman-compose")
    image.make()


ENGINE = Engine(why_no_container, prepare, play)
