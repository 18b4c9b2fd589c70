"""Real processes for tests.

Each is started by its command, waited for by its output, and ended by its id.
"""

import ctypes
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

BIN = Path(sys.executable).parent
SET_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of linux/prctl.h."""
_prctl: Callable[[int, int], int] = ctypes.CDLL(None).prctl
GIVEN_PORTS = range(15_000, 20_000)
"""Ports of servers that tests start; below net.ipv4.ip_local_port_range, and beside the ports from
20,000 on that tests give to agents."""
_refusing: list[socket.socket] = []
"""Bound sockets that nobody listens at."""
PATIENCE = 50.0
"""Seconds that an event may take; a test waits this long only when it fails."""


class Address(NamedTuple):
    """The address that a target listens on."""

    host: str
    port: int

    @property
    def ws(self) -> str:
        """The URL of its realtime endpoint."""
        return f"ws://{self.host}:{self.port}/v1/realtime?project=console&channels[]=files"

    def stats(self) -> dict[str, Any]:
        """Returns the target's own ledger."""
        return get_json(f"http://{self.host}:{self.port}/stats")  # type: ignore[no-any-return]  # an object


def get(url: str) -> str:
    """Returns the body of a GET."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as reply:
        return str(reply.read().decode())


def get_json(url: str) -> Any:
    """Returns the JSON body of a GET."""
    return json.loads(get(url))


def command(name: str, *arguments: str) -> list[str]:
    """Returns the command line of one of the five commands."""
    return [str(BIN / name), *arguments]


def environment() -> dict[str, str]:
    """Returns the environment of the commands that tests start.

    aiohttp reads the system's certificate authorities twice when it is imported: about 0.05 s of
    CPU for each process, for certificates that no test needs.
    """
    return os.environ | {"SSL_CERT_FILE": os.devnull}


@contextmanager
def process(name: str, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A running command, which ends with the block if it has not ended by itself."""
    defaults: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": environment(),
    }
    running = subprocess.Popen(command(name, *arguments), text=True, **(defaults | options))
    try:
        yield running
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGTERM)
        try:
            running.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()


def end_with_parent() -> None:
    """Has the kernel kill this process when its parent ends for any reason.

    It is meant as preexec_fn.
    """
    _prctl(SET_DEATH_SIGNAL, signal.SIGKILL)


class Target(NamedTuple):
    """A running embedded target."""

    address: Address
    pid: int


@contextmanager
def serving(*arguments: str, **options: Any) -> Iterator[Target]:
    """A running embedded target on a free port, as a process."""
    with process("loadgen-target", "--listen", "127.0.0.1:0", *arguments, **options) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        found = re.search(r"ws://([\d.]+):(\d+)", line)
        assert found, f"the target said {line!r}"
        yield Target(Address(found[1], int(found[2])), running.pid)


@contextmanager
def target(*arguments: str) -> Iterator[Address]:
    """The address of a running embedded target, on a free port."""
    with serving(*arguments) as running:
        yield running.address


def run(
    name: str, *arguments: str, timeout: float = PATIENCE, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        command(name, *arguments),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **({"env": environment()} | options),
    )


def eventually(condition: Any, what: str | Callable[[], str], seconds: float = PATIENCE) -> Any:
    """Returns the first true value of the condition.

    Fails with `what` after `seconds`. It looks less often the longer it waits: many conditions ask
    a server, and take from its CPU.
    """
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds:
        value = condition()
        if value:
            return value
        time.sleep(min(0.1, 0.02 + waited / 20))
    raise AssertionError(
        f"did not happen within {seconds} s: {what if isinstance(what, str) else what()}"
    )


def opens(server: Address, count: int) -> None:
    """Waits until `count` connections are open on the target."""
    eventually(lambda: server.stats()["open"] == count, lambda: f"{count} open: {server.stats()}")


class Command:
    """A running command.

    Its output goes to memory files, which can be read at any time and are never full.
    """

    def __init__(self, arguments: list[str], **options: Any) -> None:
        self._out = os.memfd_create("stdout")
        self._err = os.memfd_create("stderr")
        defaults: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": self._out,
            "stderr": self._err,
            "env": environment(),
        }
        self.process = subprocess.Popen(arguments, **(defaults | options))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def out(self) -> str:
        """Its standard output so far."""
        return os.pread(self._out, 1 << 24, 0).decode()

    @property
    def err(self) -> str:
        """Its standard error so far."""
        return os.pread(self._err, 1 << 24, 0).decode()

    def says(self, pattern: str) -> "re.Match[str]":
        """Waits until its output has a match of the pattern; returns the match.

        Either stream counts. It fails when the command ends without it.
        """

        def look() -> "re.Match[str] | None":
            ended = self.process.poll() is not None
            found = re.search(pattern, self.out + self.err)
            assert found or not ended, (
                f"it ended without saying {pattern!r}: {self.out + self.err!r}"
            )
            return found

        return eventually(  # type: ignore[no-any-return]  # the condition's value
            look, lambda: f"{pattern!r} in {self.out + self.err!r}"
        )

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def end(self, seconds: float = PATIENCE) -> int:
        """Waits for its end; returns the exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {seconds} s: {self.out}{self.err}") from None

    def close(self) -> None:
        """Ends it if it has not ended by itself.

        It sends SIGTERM twice, since the first one only drains, then SIGKILL.
        """
        for patience in (0.2, 5.0):
            with suppress(subprocess.TimeoutExpired):
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(patience)
        self.process.kill()
        self.process.wait()
        os.close(self._out)
        os.close(self._err)


class Coordinator(Command):
    """A running `loadgen-coord` on a free port, with its run directory below `out`."""

    def __init__(
        self, out: Path, *arguments: str, listen: str = "127.0.0.1:0", **options: Any
    ) -> None:
        self._folder = out
        super().__init__(
            command("loadgen-coord", "--listen", listen, "--out", str(out), *arguments), **options
        )

    @property
    def url(self) -> str:
        """The URL at which agents join it."""
        return self.says(r"agents join at (https?://\S+);")[1]

    @property
    def folder(self) -> Path:
        """Its run directory."""
        (folder,) = self._folder.iterdir()
        return folder

    def summary(self) -> dict[str, Any]:
        """Returns the content of summary.json."""
        return json.loads((self.folder / "summary.json").read_text())  # type: ignore[no-any-return]  # an object

    def rows(self) -> list[dict[str, Any]]:
        """Returns the lines of seconds.ndjson."""
        return [
            json.loads(line) for line in (self.folder / "seconds.ndjson").read_text().splitlines()
        ]

    def state(self) -> dict[str, Any]:
        """Returns the run as /v1/run shows it."""
        return get_json(f"{self.url}/v1/run")  # type: ignore[no-any-return]  # an object


class Agent(Command):
    """A running `loadgen-agent` with its metrics on a free port.

    Without a --source it connects from a loopback address that no other agent uses.
    """

    def __init__(self, coordinator: str, *arguments: str, **options: Any) -> None:
        source = [] if "--source" in arguments else ["--source", own_source()]
        defaults = ["--metrics", "127.0.0.1:0", "--workers", "1", *source]
        super().__init__(
            command("loadgen-agent", "--coordinator", coordinator, *defaults, *arguments), **options
        )

    @property
    def page(self) -> str:
        """The URL below which it serves /metrics and /healthz."""
        return self.says(r"metrics at (http://\S+)/metrics")[1]

    def metric(self, name: str) -> float:
        """Returns the value of one sample, 0 without it."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", get(f"{self.page}/metrics"), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def workers(self) -> list[int]:
        """Returns the process ids of its workers, which its fork server started."""
        return [worker for server in children(self.pid) for worker in children(server)]


@contextmanager
def coordinator(out: Path, *arguments: str, **options: Any) -> Iterator[Coordinator]:
    """A coordinator, which ends with the block."""
    yield from _closing(Coordinator(out, *arguments, **options))


@contextmanager
def agent(coordinator: str, *arguments: str, **options: Any) -> Iterator[Agent]:
    """An agent, which ends with the block."""
    yield from _closing(Agent(coordinator, *arguments, **options))


@contextmanager
def closing_command(arguments: list[str], **options: Any) -> Iterator[Command]:
    """Any command, which ends with the block."""
    yield from _closing(Command(arguments, **options))


@contextmanager
def listening(
    words: list[str],
    port: int,
    seconds: float = PATIENCE,
    *,
    host: str = "127.0.0.1",
    **options: Any,
) -> Iterator[Command]:
    """A server's command, which listens on the port when the block begins.

    It may take `seconds` until then.
    """
    with closing_command(words, **options) as server:

        def listens() -> bool:
            assert server.process.poll() is None, server.out + server.err
            with suppress(ConnectionRefusedError), socket.create_connection((host, port)):
                return True
            return False

        eventually(listens, lambda: f"port {port}: {server.out}{server.err}", seconds)
        yield server


def _closing(running: Any) -> Iterator[Any]:
    try:
        yield running
        assert "Traceback" not in running.err, running.err
    finally:
        running.close()


@contextmanager
def every_core_busy() -> Iterator[None]:
    """Runs two busy loops for each core as long as the block lasts."""
    with ExitStack() as stack:
        for _ in range(2 * len(os.sched_getaffinity(0))):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(busy.kill)
        yield


def children(pid: int) -> list[int]:
    """Returns the process ids of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def local_agents(coordinator: int) -> dict[str, int]:
    """Returns the process ids of a coordinator's local agents, by name."""
    found = {
        Path(f"/proc/{pid}/comm").read_text().rstrip(): pid
        for server in children(coordinator)
        for pid in children(server)
    }
    return {
        name.removeprefix("agent "): pid for name, pid in found.items() if name.startswith("agent ")
    }


def is_gone(pid: int) -> bool:
    """True when a process has ended, whether reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def own_source() -> str:
    """Returns a loopback address that is unlikely to be in use on this machine."""
    return f"127.{random.randrange(64, 128)}.{random.randrange(1, 255)}.{random.randrange(1, 255)}"


def free_port(host: str = "127.0.0.1") -> int:
    """Returns a port that was free a moment ago.

    It is none of those that Linux gives to outgoing connections and to port 0: beside other
    tests, one of them soon took it.
    """
    for port in random.sample(GIVEN_PORTS, 100):
        with socket.socket() as sock, suppress(OSError):
            sock.bind((host, port))
            return port
    raise RuntimeError(f"none of 100 ports of {host} is free")


def refusing_port(host: str = "127.0.0.1") -> int:
    """Returns a port that refuses connections as long as this process lives."""
    sock = socket.socket()
    sock.bind((host, 0))
    _refusing.append(sock)
    return int(sock.getsockname()[1])
