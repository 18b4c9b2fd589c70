"""Agents and the embedded target as processes of this machine.

They end with the coordinator.
"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from coordinator.preflight import TargetAddress
from coordinator.text import one_line
from loadgen.errors import OperatorError
from loadgen.forkserver import ForkServer, Program
from loadgen.machine.facts import Machine, read_machine
from loadgen.machine.workers import client_workers
from loadgen.plan.plan import Plan
from loadgen.process import end_with_parent, how_it_ended
from loadgen.values import DEFAULT_MAX_CONNECTIONS, REFERENCE_CONNECTIONS, Endpoint

AGENT = "loadgen.cli.agent"
"""The module of an agent."""
FORKED = (AGENT, "loadgen.worker.main")
"""The modules of agents and of their workers, for a fork server to load."""
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
        """Returns the options of agent `number` of 1, 2, 3…"""
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
        return options

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

    def __init__(
        self,
        name: str,
        code: "asyncio.Future[int]",
        send_signal: Callable[[signal.Signals], None],
        log: Path,
    ) -> None:
        """`code` is its exit code, once it has ended; negative for a signal."""
        self.name = name
        self._code = code
        self._send_signal = send_signal
        self._log = log

    @property
    def ended(self) -> bool:
        """True once it has ended."""
        return self._code.done()

    def describe_end(self) -> str:
        """Returns how it ended, with the last line of its log."""
        how = how_it_ended(self._code.result())
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
        await asyncio.wait([self._code], timeout=seconds)
        return self.ended

    async def terminate(self) -> None:
        """Ends it by SIGTERM, or by SIGKILL when it still lives after that."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            # It may have ended since it was looked at.
            with contextlib.suppress(ProcessLookupError):
                self._send_signal(number)
            if await self.wait(SIGTERM_TIMEOUT):
                return


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
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "loadgen.cli.target", *options),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C in the terminal does not reach it
                preexec_fn=end_with_coordinator,
            )
        ended = asyncio.ensure_future(process.wait())
        self.target = Child("target", ended, process.send_signal, log)
        try:
            listens = await asyncio.wait_for(_wait_for_listening(process), LISTEN_TIMEOUT)
        except TimeoutError:
            raise OperatorError(
                f"the embedded target did not listen on {endpoint} in time; see {log}"
            ) from None
        if not listens:
            await self.target.wait(SIGTERM_TIMEOUT)
            raise OperatorError(f"the embedded target did not start: {self.target.describe_end()}")
        self._discarding = asyncio.create_task(_discard_output(process))

    async def start_agents(
        self, local_agents: LocalAgents, fork_server: ForkServer, log_of: Callable[[str], Path]
    ) -> None:
        """Has the server fork the local agents."""
        for number, name in enumerate(local_names(local_agents.count), 1):
            arguments = tuple(local_agents.arguments(number))
            program = Program(f"{AGENT}:main", f"agent {name}", arguments, signal.SIGTERM)
            log = log_of(name)
            with _standard(log) as descriptors:
                process = await fork_server.start(program, descriptors)
            self.agents.append(Child(name, process.ended, process.send_signal, log))

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


@contextlib.contextmanager
def _standard(log: Path) -> Iterator[tuple[int, int, int]]:
    """An input that is empty, and the log as output and for errors, as descriptors."""
    with open(os.devnull, "rb") as nothing, log.open("ab") as output:
        yield nothing.fileno(), output.fileno(), output.fileno()


def end_with_coordinator() -> None:
    """Has the kernel end this process with its parent."""
    # No load is left even after SIGKILL: the kernel sends the coordinator's children SIGTERM.
    end_with_parent(signal.SIGTERM)


async def _wait_for_listening(target: Process) -> bool:
    """Returns True once the target prints that it listens, False at its end."""
    assert target.stdout is not None
    async for line in target.stdout:
        if b"listening" in line:
            return True
    return False


async def _discard_output(process: Process) -> None:
    """Reads the output of a process, which would stand still once its pipe is full."""
    assert process.stdout is not None
    async for _ in process.stdout:
        pass
