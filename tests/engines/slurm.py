"""The steps of deploy/slurm on a cluster: a run, a lost node, scancel.

Each returns its result as text, or raises AssertionError when it is not the promised one.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.engines.cluster import TOOLS, Cluster, install
from tests.engines.engine import Engine
from tests.faults.lan import INSIDE, Lan, enter
from tests.machines import why_no_machine
from tests.processes import PATIENCE, Address, Command, command, eventually
from tests.rehearsal.__main__ import Shown, in_turn

SCRIPTS = Path(__file__).parents[2] / "deploy" / "slurm"
NODES = ["n1", "n2", "n3", "n4", "n5"]
"""One for the coordinator, three for agents, and one to spare."""
AGENTS = 3
SHARE = 100
"""The connections of an agent, and the most that it may have."""
COUNT = AGENTS * SHARE
LOSS = 3 * PATIENCE
"""Seconds until slurmctld has given up a node and an agent runs on another one."""
TOKEN = "a-secret-of-this-cluster"


def why_not() -> str:
    """Returns why no cluster can be made here; empty where it can."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing and shutil.which("apt-get") is None:
        return f"needs Slurm ({', '.join(missing)}), and this is no Debian that has it"
    return why_no_machine()


class SlurmFleet:
    """A cluster, and a target beside it; `close` ends both."""

    def __init__(self, lan: Lan, folder: Path) -> None:
        self._lan = lan
        self._cluster = Cluster(lan, NODES, folder)
        self._shared = self._cluster.shared
        host = lan.host("server")
        self._server = Address(host.address("load"), 9505)
        listen = ["--listen", f"{self._server.host}:{self._server.port}", "--workers", "1"]
        self._target = Command(host.at(command("loadgen-target", *listen)))
        for script in SCRIPTS.iterdir():
            shutil.copy(script, self._shared)
        (self._shared / "token").write_text(f"{TOKEN}\n")
        (self._shared / "token").chmod(0o600)

    def close(self) -> None:
        """Ends all processes."""
        self._cluster.close()
        self._target.close()

    # The steps.

    def start(self) -> str:
        """Starts the cluster and the target."""
        self._target.says("listening")
        self._cluster.start()
        accepted = [
            self._cluster.call("sbatch", "--test-only", script.name) for script in SCRIPTS.iterdir()
        ]
        return f"slurmctld has {len(NODES)} idle nodes, and accepts {len(accepted)} scripts"

    def mistakes(self) -> str:
        """Submits agents without a run, and a run whose plan does not exist."""
        alone = self._cluster.call("sbatch", "--parsable", "agents.sbatch")
        assert self._ended(alone) == ("FAILED", "2:0")
        run, agents = self._submit(LOADGEN_COORD_PLAN="no-plan.toml")
        assert self._ended(run) == ("FAILED", "2:0")
        for number in range(1, AGENTS + 1):
            assert self._ended(f"{agents}_{number}") == ("COMPLETED", "0:0")
        return "agents without a run end with 2; so does a run without a plan, and no agent waits"

    def run(self) -> str:
        """Submits a run, and waits for its verdict."""
        run, agents = self._submit(LOADGEN_COORD_HOLD="5", LOADGEN_COORD_EXPECT="open_peak>=300")
        eventually(lambda: self._server.stats()["open"] == COUNT, self._state)
        assert self._ended(run) == ("COMPLETED", "0:0"), self._log(run)
        for number in range(1, AGENTS + 1):
            assert self._ended(f"{agents}_{number}") == ("COMPLETED", "0:0")
        self._closed({"drained": COUNT}, lost=0, verdict="pass")
        return (
            f"pass: {AGENTS} agents by token, opened {COUNT}, drained {COUNT}; all jobs completed"
        )

    def loss(self) -> str:
        """Ends a node with its agent, and waits for the agent on another one."""
        self._run, self._agents = self._submit(LOADGEN_COORD_HOLD="600")
        eventually(lambda: self._server.stats()["open"] == COUNT, self._state)
        eventually(lambda: self._ledger()["open"] == COUNT, "the ledger has all of them")
        job = f"{self._agents}_2"
        lost = self._cluster.job(job)["BatchHost"]
        self._cluster.lose(lost)
        eventually(lambda: self._cluster.job(job)["JobState"] == "PENDING", self._state, LOSS)
        assert self._server.stats()["open"] == COUNT - SHARE
        # Slurm lets a job that it has requeued wait for two minutes.
        self._cluster.call("scontrol", "update", f"JobId={job}", "StartTime=now")
        eventually(lambda: self._ledger()["open"] == COUNT, self._state, LOSS)
        found = self._cluster.job(job)
        assert found["Restarts"] == "1", found
        assert self._cluster.states("down") == {lost}
        where = found["BatchHost"]
        return f"{lost} is down, agent-2 runs again on {where} and opened what was lost: {SHARE}"

    def cancel_agents(self) -> str:
        """Cancels two agents of the run that goes on, in the two ways of Slurm."""
        first, third = f"{self._agents}_1", f"{self._agents}_3"
        self._cluster.call("scancel", first)
        self._cluster.call("scancel", "--batch", "--signal=TERM", third)
        assert self._ended(first)[0] == "CANCELLED"
        assert self._ended(third) == ("COMPLETED", "0:0")
        left = COUNT - 2 * SHARE
        eventually(lambda: self._server.stats()["open"] == left, self._state)
        return f"each closed its {SHARE} in good order; the run goes on with {left}"

    def cancel(self) -> str:
        """Cancels the run."""
        self._cluster.call("scancel", self._run)
        assert self._ended(self._run)[0] == "CANCELLED"
        assert self._ended(f"{self._agents}_2") == ("COMPLETED", "0:0")
        self._closed({"drained": COUNT}, lost=SHARE, verdict="stopped")
        assert self._server.stats()["open"] == 0
        assert self._cluster.call("squeue", "-h") == ""
        return f"drained {COUNT} in all, lost {SHARE} with the node; no job is left, results kept"

    # What they share.

    def _submit(self, **environment: str) -> tuple[str, str]:
        """Submits a run and its agents, as the scripts say; returns the ids of both jobs."""
        (self._shared / "plan.toml").write_text(
            f'target = "{self._server.ws}"\nrate = 100\nmax = {COUNT}\nthink = 2\n'
        )
        submit = ("sbatch", "--parsable")
        run = self._cluster.call(
            *submit, "coordinator.sbatch", LOADGEN_COORD_AGENTS=str(AGENTS), **environment
        )
        agents = self._cluster.call(
            *submit,
            f"--array=1-{AGENTS}",
            f"--dependency=after:{run}",
            "agents.sbatch",
            run,
            LOADGEN_AGENT_ALLOW_TARGET="198.18.0.0/24",
            LOADGEN_AGENT_MAX_CONNECTIONS=str(SHARE),
            LOADGEN_AGENT_WORKERS="1",
        )
        return run, agents

    def _ledger(self) -> dict[str, int]:
        """Returns the ledger of the run that goes on."""
        node = self._cluster.job(self._run)["BatchHost"]
        url = f"http://{self._lan.host(node).address('control')}:8091/v1/run"
        request = Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
        with urlopen(request, timeout=PATIENCE) as reply:
            return json.loads(reply.read())["ledger"]  # type: ignore[no-any-return]  # an object

    def _state(self) -> str:
        """Returns what squeue shows, and the count of connections open on the target."""
        return f"{self._server.stats()['open']} open\n{self._cluster.call('squeue')}"

    def _ended(self, job: str) -> tuple[str, str]:
        """Waits for the end of a job; returns its state and its exit code."""
        over = {"COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "TIMEOUT"}
        found = eventually(
            lambda: (now := self._cluster.job(job))["JobState"] in over and now,
            lambda: f"{self._state()}\n{self._log(job)}",
        )
        return found["JobState"], found["ExitCode"]

    def _log(self, job: str) -> str:
        return Path(self._cluster.job(job)["StdOut"]).read_text()

    def _closed(self, closed: dict[str, int], *, lost: int, verdict: str) -> None:
        """Checks the summary of the last run."""
        last = max((self._shared / "runs").iterdir())
        found: dict[str, Any] = json.loads((last / "summary.json").read_text())
        ends = found["verdict"], found["closed"], found["lost"], found["failed"]
        assert ends == (verdict, closed, lost, {}), ends


STEPS: dict[str, Callable[[SlurmFleet], str]] = {
    "cluster": SlurmFleet.start,
    "mistakes": SlurmFleet.mistakes,
    "a run": SlurmFleet.run,
    "a node is lost": SlurmFleet.loss,
    "scancel agents": SlurmFleet.cancel_agents,
    "scancel the run": SlurmFleet.cancel,
}
"""In order; the last two go on with the run of the one before."""
SMALL = ("cluster", "a run")
"""Those that take under a minute."""


def play(small: bool) -> Iterator[Shown]:
    """Yields the results of the steps on a cluster, which ends with the last one."""
    steps = {name: step for name, step in STEPS.items() if name in SMALL or not small}
    lan = Lan()
    with tempfile.TemporaryDirectory(prefix="loadgen-slurm-") as folder:
        fleet = SlurmFleet(lan, Path(folder))
        try:
            yield from in_turn(steps, fleet)
        finally:
            fleet.close()
            lan.remove()


def prepare() -> None:
    """Installs Debian's packages, and goes on in new namespaces."""
    if INSIDE not in os.environ:
        install()
    enter("tests.engines", as_root=True)


ENGINE = Engine(why_not, prepare, play, small=True)
