"""Agents and the embedded target as processes of this machine.

They end with the coordinator.
"""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from coordinator.preflight import TargetAddress
from coordinator.text import one_line
from loadgen.errors import OperatorError
from loadgen.machine.facts import Machine, read_machine
from loadgen.machine.workers import client_workers
from loadgen.plan.plan import Plan
from loadgen.process import end_with_parent, how_it_ended
from loadgen.values import DEFAULT_MAX_CONNECTIONS, REFERENCE_CONNECTIONS, Endpoint

LISTEN_TIMEOUT = 30.0
"""Seconds that the embedded target has until it listens."""
END_TIMEOUT = 10.0
"""Seconds that an agent has to end by itself after a run."""
SIGTERM_TIMEOUT = 5.0
"""Seconds that a process has to end after SIGTERM; then it gets SIGKILL."""


def local_names(count: int) -> tuple[str, ...]:
    """Returns the names under which `count` local agents join."""
    return tuple(f"local-{number}" for number in range(1, count + 1))


class LocalAgents(msgspec.Struct, frozen=True):
    """The local agents of a run; the options of each follow from its number."""

    count: int
    plan: Plan
    targets: Sequence[TargetAddress]
    """The first one is where an embedded target listens."""
    coordinator: Endpoint
    token_file: Path | None = None
    fingerprint: str = ""
    """The fingerprint of the coordinator's certificate; empty without TLS."""
    proxy: TargetAddress | None = None
    """The proxy that they connect to instead of the targets, if any."""
    machine: Machine = msgspec.field(default_factory=read_machine)
    """The facts of this machine, whose cores and memory they share."""

    def url(self, endpoint: Endpoint) -> str:
        """Returns the URL of a coordinator that listens at `endpoint`."""
        return f"{'https' if self.fingerprint else 'http'}://{endpoint}"

    def arguments(self, number: int) -> list[str]:
        """Returns the command line of agent `number` of 1, 2, 3…"""
        options = ["--coordinator", self.url(_reachable(self.coordinator))]
        options += ["--name", f"local-{number}", "--metrics", "127.0.0.1:0"]
        options += ["--once", "--allow-sessions", "--workers", str(self.workers())]
        if self.count * self.workers() > self.machine.cpus:
            options.append("--crowded")
        # No proxy leads to a Unix socket.
        dialed = [self.proxy if self.proxy and not one.path else one for one in self.targets]
        if all(one.loopback and ":" not in "".join(one.addresses) for one in dialed):
            options += ["--source", f"127.0.{1 + (number - 1) // 254}.{1 + (number - 1) % 254}"]
        # Beyond a proxy loopback is that of its machine, and has to be allowed like the rest.
        needed = [one for one in self.targets if self.proxy or one.path or not one.loopback]
        needed += [one for one in dialed if not one.loopback]
        for text in dict.fromkeys(one.path or one.host for one in needed):
            options += ["--allow-target", text]
        if self.token_file is not None:
            options += ["--token-file", str(self.token_file)]
        if self.fingerprint:
            options += ["--tls-fingerprint", self.fingerprint]
        return [sys.executable, "-m", "loadgen.cli.agent", *options]

    def workers(self) -> int:
        """Returns how many worker processes each agent has.

        They are its part of the cores; more where the limit of open files demands it, and fewer
        where its part of the memory does.
        """
        share = min(DEFAULT_MAX_CONNECTIONS, -(-self.plan.total // self.count))
        room = self.machine.memory_room
        part = replace(
            self.machine,
            cpus=max(1, self.machine.cpus // self.count),
            memory_available=None if room is None else room // self.count,
            cgroup_headroom=None,
        )
        return client_workers(share, part, tls=self.plan.secure).number


def _reachable(listen: Endpoint) -> Endpoint:
    """Returns the endpoint by which this machine reaches one, wildcard or not."""
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- it is compared, not listened on
    return Endpoint(anywhere.get(listen.host, listen.host), listen.port)


class Child:
    """A process that the coordinator started. Its output goes to its log."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self.process = process
        self._log = log

    @property
    def ended(self) -> bool:
        """True once it has ended."""
        return self.process.returncode is not None

    def describe_end(self) -> str:
        """Returns how it ended, with the last line of its log."""
        assert self.process.returncode is not None
        how = how_it_ended(self.process.returncode)
        lines = self.log_lines()
        return f"{how}: {lines[-1]}" if lines else how

    def log_lines(self) -> list[str]:
        """Returns the lines of its log that are not empty."""
        with contextlib.suppress(OSError):
            return [
                one_line(line)
                for line in self._log.read_text(errors="replace").splitlines()
                if line.strip()
            ]
        return []

    async def wait(self, seconds: float) -> bool:
        """Waits for its end; returns False when it still lives after `seconds`."""
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def terminate(self) -> None:
        """Ends it by SIGTERM, or by SIGKILL when it still lives after that."""
        if self.ended:
            return
        self._signal(signal.SIGTERM)
        if not await self.wait(SIGTERM_TIMEOUT):
            self._signal(signal.SIGKILL)
            await self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        # It may have ended since it was looked at.
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


class LocalProcesses:
    """All processes that the coordinator started; after `terminate` none is left."""

    def __init__(self) -> None:
        self.agents: list[Child] = []
        self.target: Child | None = None
        self._discarding: asyncio.Task[None] | None = None
        """Reads what the target prints."""

    async def start_target(
        self, mode: str, target: TargetAddress, connections: int | None, log: Path
    ) -> None:
        """Starts the embedded target and waits until it listens.

        Its limit is `connections`, and REFERENCE_CONNECTIONS at most; None: its own. Raises
        OperatorError, with the last line of its log, when it does not.
        """
        endpoint = Endpoint(target.host, target.port)
        options = ["--listen", str(endpoint), "--mode", mode]
        if connections is not None:
            options += ["--limit", str(min(connections, REFERENCE_CONNECTIONS))]
        self.target = await _start(
            "target", [sys.executable, "-m", "loadgen.cli.target", *options], log, stdout=PIPE
        )
        try:
            listens = await asyncio.wait_for(self._wait_for_listening(self.target), LISTEN_TIMEOUT)
        except TimeoutError:
            raise OperatorError(
                f"the embedded target did not listen on {endpoint} in time; see {log}"
            ) from None
        if not listens:
            await self.target.wait(SIGTERM_TIMEOUT)
            raise OperatorError(f"the embedded target did not start: {self.target.describe_end()}")
        self._discarding = asyncio.create_task(_discard_output(self.target))

    @staticmethod
    async def _wait_for_listening(target: Child) -> bool:
        """Returns True once the target prints that it listens, False at its end."""
        assert target.process.stdout is not None
        async for line in target.process.stdout:
            if b"listening" in line:
                return True
        return False

    async def start_agents(self, local_agents: LocalAgents, log_of: Callable[[str], Path]) -> None:
        """Starts the local agents."""
        for number, name in enumerate(local_names(local_agents.count), 1):
            self.agents.append(await _start(name, local_agents.arguments(number), log_of(name)))

    async def wait_for_agents(self) -> None:
        """Waits until all agents have ended by themselves, at most END_TIMEOUT seconds."""
        await asyncio.gather(*(child.wait(END_TIMEOUT) for child in self.agents))

    async def terminate(self) -> None:
        """Ends the agents, then the target that they load."""
        await asyncio.gather(*(child.terminate() for child in self.agents))
        if self.target is not None:
            await self.target.terminate()
        if self._discarding is not None:
            await self._discarding


async def _start(name: str, command: Sequence[str], log: Path, stdout: int | None = None) -> Child:
    """Starts a process in its own session: Ctrl-C in the terminal does not reach it."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            start_new_session=True,
            preexec_fn=end_with_coordinator,
        )
    return Child(name, process, log)


def end_with_coordinator() -> None:
    """Has the kernel end this process with its parent."""
    # No load is left even after SIGKILL: the kernel sends the coordinator's children SIGTERM.
    end_with_parent(signal.SIGTERM)


async def _discard_output(child: Child) -> None:
    """Reads the output of a process, which would stand still once its pipe is full."""
    assert child.process.stdout is not None
    async for _ in child.process.stdout:
        pass
