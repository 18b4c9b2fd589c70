"""Agents and the embedded target as processes of this machine: started, watched, and never left
behind."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from coordinator.preflight import TargetAddress
from coordinator.text import one_line
from loadgen.errors import OperatorError
from loadgen.plan.plan import Plan
from loadgen.process import SPARE_DESCRIPTORS, end_with_parent, how_it_ended
from loadgen.values import DEFAULT_MAX_CONNECTIONS, REFERENCE_CONNECTIONS, Endpoint

LISTENS_TIMEOUT = 30.0
"""Seconds that the embedded target has to come up."""
LEAVES_TIMEOUT = 10.0
"""Seconds that a process has to end by itself."""
ENDS_TIMEOUT = 5.0
"""Seconds that it has after SIGTERM; then it is killed."""


def names_of(count: int) -> tuple[str, ...]:
    """The names that so many local agents join under."""
    return tuple(f"local-{number}" for number in range(1, count + 1))


class LocalAgents(msgspec.Struct, frozen=True):
    """The local agents that are wanted: all in all, each one's options follow from its number."""

    count: int
    plan: Plan
    targets: Sequence[TargetAddress]
    """The first one is what may be embedded."""
    coordinator: Endpoint
    token_file: Path | None = None
    fingerprint: str = ""
    """Of the coordinator's certificate; empty where it speaks plain HTTP."""

    def url(self, endpoint: Endpoint) -> str:
        """The URL of a coordinator that listens there."""
        return f"{'https' if self.fingerprint else 'http'}://{endpoint}"

    def arguments(self, number: int) -> list[str]:
        """The command line of agent `number` of 1, 2, 3…"""
        options = [
            "--coordinator",
            self.url(_reachable(self.coordinator)),
            "--name",
            f"local-{number}",
        ]
        options += [
            "--metrics",
            "127.0.0.1:0",
            "--once",
            "--allow-sessions",
            "--workers",
            str(self.workers()),
        ]
        if all(target.loopback and ":" not in target.address for target in self.targets):
            options += ["--source", f"127.0.{1 + (number - 1) // 254}.{1 + (number - 1) % 254}"]
        for host in dict.fromkeys(target.host for target in self.targets if not target.loopback):
            options += ["--allow-target", host]
        if self.token_file is not None:
            options += ["--token-file", str(self.token_file)]
        if self.fingerprint:
            options += ["--tls-fingerprint", self.fingerprint]
        return [sys.executable, "-m", "loadgen.cli.agent", *options]

    def workers(self) -> int:
        """Worker processes of each agent: its part of the cores, more where the descriptor limit
        demands it."""
        cores = len(os.sched_getaffinity(0))
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if descriptors == resource.RLIM_INFINITY:
            return max(1, cores // self.count)
        share = min(DEFAULT_MAX_CONNECTIONS, -(-self.plan.total // self.count))
        return max(1, cores // self.count, -(-share // max(1, descriptors - SPARE_DESCRIPTORS)))


def _reachable(listen: Endpoint) -> Endpoint:
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- it is compared, not listened on
    return Endpoint(anywhere.get(listen.host, listen.host), listen.port)


class Child:
    """One process that was started here. Its output goes to its log."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self.process = process
        self._log = log

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self.process.returncode is not None

    def last_words(self) -> str:
        """How it ended, and the last line of its log."""
        assert self.process.returncode is not None
        how = how_it_ended(self.process.returncode)
        lines = self.log_lines()
        return f"{how}: {lines[-1]}" if lines else how

    def log_lines(self) -> list[str]:
        """What it wrote to its log, without empty lines."""
        with contextlib.suppress(OSError):
            return [
                one_line(line)
                for line in self._log.read_text(errors="replace").splitlines()
                if line.strip()
            ]
        return []

    async def wait(self, within: float) -> bool:
        """Waits for its end; False when it lives on."""
        try:
            await asyncio.wait_for(self.process.wait(), within)
        except TimeoutError:
            return False
        return True

    async def end(self) -> None:
        """Ends it: SIGTERM, and SIGKILL when that did not do."""
        if self.gone:
            return
        self._signal(signal.SIGTERM)
        if not await self.wait(ENDS_TIMEOUT):
            self._signal(signal.SIGKILL)
            await self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        # It may end between the look and the signal.
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


class LocalProcesses:
    """All processes that this coordinator started; `end` leaves none behind."""

    def __init__(self) -> None:
        self.agents: list[Child] = []
        self.target: Child | None = None
        self._pump: asyncio.Task[None] | None = None

    async def start_target(self, target: TargetAddress, most: int, log: Path) -> None:
        """Starts the embedded target and waits until it listens; raises OperatorError with its
        own line if not."""
        endpoint = Endpoint(target.host, target.port)
        limit = str(min(most, REFERENCE_CONNECTIONS))
        options = ["--listen", str(endpoint), "--mode", "appwrite", "--limit", limit]
        self.target = await _start(
            "target", [sys.executable, "-m", "loadgen.cli.target", *options], log, stdout=PIPE
        )
        listening = asyncio.create_task(self._listening(self.target))
        try:
            recorded = await asyncio.wait_for(listening, LISTENS_TIMEOUT)
        except TimeoutError:
            raise OperatorError(
                f"the embedded target did not listen on {endpoint} in time; see {log}"
            ) from None
        if not recorded:
            await self.target.wait(ENDS_TIMEOUT)
            raise OperatorError(f"the embedded target did not start: {self.target.last_words()}")
        self._pump = asyncio.create_task(_discard_output(self.target))

    @staticmethod
    async def _listening(target: Child) -> bool:
        assert target.process.stdout is not None
        async for line in target.process.stdout:
            if b"listening" in line:
                return True
        return False

    async def start_agents(self, local_agents: LocalAgents, log_of: Callable[[str], Path]) -> None:
        """Starts the local agents."""
        for number, name in enumerate(names_of(local_agents.count), 1):
            self.agents.append(await _start(name, local_agents.arguments(number), log_of(name)))

    async def leave(self) -> None:
        """Waits, within a bound, for the agents to leave by themselves."""
        await asyncio.gather(*(child.wait(LEAVES_TIMEOUT) for child in self.agents))

    async def end(self) -> None:
        """Ends the agents, then the target they load."""
        await asyncio.gather(*(child.end() for child in self.agents))
        if self.target is not None:
            await self.target.end()
        if self._pump is not None:
            await self._pump


async def _start(name: str, command: Sequence[str], log: Path, stdout: int | None = None) -> Child:
    """Starts a process in a session of its own: Ctrl-C in the terminal is for the coordinator
    alone."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            start_new_session=True,
            preexec_fn=_end_with_coordinator,
        )
    return Child(name, process, log)


def _end_with_coordinator() -> None:
    # Even a coordinator killed with SIGKILL leaves no load behind: the kernel tells its children.
    end_with_parent(signal.SIGTERM)


async def _discard_output(child: Child) -> None:
    # A full pipe would stop the target.
    assert child.process.stdout is not None
    async for _ in child.process.stdout:
        pass
