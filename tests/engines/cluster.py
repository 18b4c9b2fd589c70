"""A Slurm cluster of namespaces: munge, slurmctld and one slurmd on each node.

The programs are those of Debian. All nodes see the same files, as on a cluster with a shared home.
"""

import os
import re
import secrets
from pathlib import Path

from tests.debian import installed
from tests.engines.node import Node
from tests.faults.lan import Lan
from tests.processes import BIN, PATIENCE, Command, eventually

TOOLS = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
}
"""Debian's packages of the commands."""
HEAD = "head"
"""The node of slurmctld, on which people call sbatch."""
CONFIGURATION = """
ClusterName=loadgen
SlurmctldHost={head}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
MailProg=/bin/true
SchedulerParameters=bf_interval=1,sched_interval=2
ReturnToService=1
SlurmdTimeout=10
NodeName={nodes} CPUs=1 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
"""The usual settings, but for SlurmdTimeout: a node is down after 10 s of silence."""


class Cluster:
    """A head and its nodes; `close` ends all of their processes."""

    def __init__(self, lan: Lan, names: list[str], folder: Path) -> None:
        self.folder = folder
        self.names = names
        self._lan = lan
        self.nodes: dict[str, Node] = {}
        self._daemons: list[Command] = []
        self.shared = folder / "shared"
        for name in ("state", "etc", "shared"):
            (folder / name).mkdir()
        self._key = folder / "munge.key"
        self._key.write_bytes(secrets.token_bytes(128))
        self._key.chmod(0o400)
        text = CONFIGURATION.format(head=HEAD, folder=folder, nodes=",".join(names))
        (folder / "etc" / "slurm.conf").write_text(text)
        (folder / "hosts").write_text(self._hosts())

    def _hosts(self) -> str:
        hosts = [self._lan.host(name) for name in (HEAD, *self.names)]
        lines = [f"{host.address('control')} {host.name}\n" for host in hosts]
        return "".join(["127.0.0.1 localhost\n", *lines])

    def start(self) -> None:
        """Starts the head and all nodes; returns when slurmctld has them idle."""
        self.boot(HEAD, "slurmctld", "-D", "-i")
        for name in self.names:
            self.boot(name, "slurmd", "-D", "-N", name)
        eventually(self._idle, lambda: self.call("sinfo", "-N"))

    def boot(self, name: str, *daemon: str) -> None:
        """Starts a node with munge and one of Slurm's daemons."""
        mounts = {self.folder / "etc": "/etc/slurm"}
        self.nodes[name] = node = Node(self._lan.host(name), self.folder / "hosts", mounts)
        munged = ["munged", "--foreground", "--force", f"--key-file={self._key}"]
        munged += [f"--log-file={self.folder}/munge-{name}.log"]
        munged += [f"--seed-file={self.folder}/munge-{name}.seed"]
        node.run("mkdir", "-p", "/run/munge", folder=self.folder)
        self._daemons.append(Command(node.inside(self.folder, *munged)))
        eventually(lambda: node.run("munge", "-n", folder=self.folder).returncode == 0, "munge")
        self._daemons.append(Command(node.inside(self.folder, *daemon)))

    def _idle(self) -> bool:
        return self.states("idle") == set(self.names)

    def states(self, state: str) -> set[str]:
        """Returns the names of the nodes in a state."""
        rows = [row.split() for row in self.call("sinfo", "-h", "-N", "-o", "%N %T").splitlines()]
        return {name for name, found in rows if found.rstrip("*") == state}

    def lose(self, name: str) -> None:
        """Ends all processes of a node at once."""
        self.nodes.pop(name).close()

    def call(self, *words: str, timeout: float = PATIENCE, **environment: str) -> str:
        """Runs a command on the head, in the shared folder; returns its output."""
        path = f"{BIN}:{os.environ['PATH']}"
        done = self.nodes[HEAD].run(
            *words, folder=self.shared, timeout=timeout, PATH=path, **environment
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """Returns what slurmctld says of a job: JobState, BatchHost and so on."""
        return dict(re.findall(r"(\w+)=(\S*)", self.call("scontrol", "-o", "show", "job", number)))

    def close(self) -> None:
        """Ends all of its processes at once."""
        for node in self.nodes.values():
            node.close()
        for daemon in self._daemons:
            daemon.close()


def install() -> None:
    """Installs Debian's packages where they are missing.

    It needs the network of this machine.
    """
    for tool, package in TOOLS.items():
        installed(tool, package)
