"""A fleet on separate hosts for one fault: a target, a coordinator and agents."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from tests.faults.lan import NETWORKS, Host, Lan
from tests.processes import PATIENCE, Address, Command, children, command, eventually, get_json

PORT = 8091
AGENTS = 4
TOKEN = "not-a-secret-in-a-network-of-its-own"


class Stage:
    """All processes of one fault; `close` ends them."""

    PATIENCE = 5 * PATIENCE
    """Seconds that the end of a run may take."""

    def __init__(self, lan: Lan, folder: Path) -> None:
        self.lan = lan
        self.folder = folder
        self.fault_at = 0.0
        """The time of the fault, in seconds on the monotonic clock."""
        self.commands: list[Command] = []
        self._mounted: list[Path] = []
        self._token = folder / "token"
        self._token.write_text(f"{TOKEN}\n")
        self._token.chmod(0o600)

    # The processes.

    def start(self, host: Host, line: list[str], **options: Any) -> Command:
        """Runs a command on a host."""
        started = Command(host.at(line), **options)
        self.commands.append(started)
        return started

    def target(self, *options: str, port: int = 9505) -> Address:
        """Starts a target on the host `target`."""
        host = self.lan.host("target")
        self.server = Address(host.address("load"), port)
        listen = f"{self.server.host}:{port}"
        self.target_process = self.start(
            host, command("loadgen-target", "--listen", listen, "--workers", "1", *options)
        )
        self.target_process.says("listening")
        return self.server

    def coordinator(
        self,
        *options: str,
        count: int = 400,
        agents: int = AGENTS,
        hold: float = 600,
        planned: bool = False,
        wrap: tuple[str, ...] = (),
        **others: Any,
    ) -> Command:
        """Starts a coordinator on the host `coord`.

        It has `count` connections unless `planned`. It is not waited for when its standard output
        goes elsewhere.
        """
        host = self.lan.host("coord")
        load = [] if planned else ["--max", str(count), "--rate", "400", "--hold", str(hold)]
        load += [] if planned or "--session" in options else ["--think", "1"]
        load += ["--agents", str(agents)]
        listen = [
            "--listen",
            f"{host.address('control')}:{PORT}",
            "--token-file",
            str(self._token),
            "--public-view",
        ]
        line = command(
            "loadgen-coord", *listen, "--out", str(self.runs), *load, *options, self.server.ws
        )
        self.coord = self.start(host, [*wrap, *line], **others)
        if "stdout" not in others:
            self.coord.says("agents join at")
        return self.coord

    def resume(self) -> Command:
        """Starts another coordinator that resumes the run."""
        self.coord = self.start(self.lan.host("coord"), self.resuming)
        self.coord.says("agents join at")
        return self.coord

    @property
    def resuming(self) -> list[str]:
        """The command line that resumes the run."""
        options = ("--resume", str(self.run), "--token-file", str(self._token), "--public-view")
        return command("loadgen-coord", *options)

    def agent(self, name: str, *options: str, wrap: tuple[str, ...] = (), **others: Any) -> Command:
        """Starts an agent on the host of its name."""
        host = self.lan.host(name)
        own = [
            "--coordinator",
            self.url,
            "--token-file",
            str(self._token),
            "--name",
            name,
            "--metrics",
            "127.0.0.1:0",
        ]
        allowed = ["--allow-target", "198.18.0.0/24", "--workers", "1", "--once"]
        return self.start(
            host, [*wrap, *command("loadgen-agent", *own, *allowed, *options)], **others
        )

    def fleet(self, count: int = AGENTS, *options: str) -> list[Command]:
        """Starts the agents a1, a2…"""
        return [self.agent(f"a{number}", *options) for number in range(1, count + 1)]

    @property
    def url(self) -> str:
        """The URL at which agents join."""
        return f"http://{self.lan.host('coord').address('control')}:{PORT}"

    @property
    def runs(self) -> Path:
        """The directory of run directories."""
        return self.folder / "runs"

    @property
    def run(self) -> Path:
        """The run directory."""
        (run,) = self.runs.iterdir()
        return run

    # Their state.

    def state(self) -> dict[str, Any]:
        """Returns the run as the coordinator shows it."""
        return get_json(f"{self.url}/v1/run")  # type: ignore[no-any-return]  # an object

    def ledger(self) -> dict[str, Any]:
        """Returns the fleet's ledger."""
        return self.state()["ledger"]  # type: ignore[no-any-return]  # an object

    def stats(self) -> dict[str, Any]:
        """Returns the target's own ledger."""
        return self.server.stats()

    def opens(self, count: int, lost: int | None = None) -> float:
        """Waits until our ledger has `count` open (and `lost`), and the target as many.

        Returns the seconds from the fault.
        """

        def look() -> bool:
            ledger = self.ledger()
            return ledger["open"] == count == self.stats()["open"] and lost in (
                None,
                ledger["lost"],
            )

        return self.within(
            look, lambda: f"{count} open: {self.ledger()} {self.stats()} {self.coord.err}"
        )

    def mark_fault(self) -> None:
        """Marks now as the time of the fault."""
        self.fault_at = time.monotonic()

    def within(
        self, condition: Callable[[], Any], what: Callable[[], str], seconds: float = 3 * PATIENCE
    ) -> float:
        """Waits until a condition holds; returns the seconds from the fault."""
        eventually(condition, what, seconds)
        return time.monotonic() - self.fault_at

    def says(self, pattern: str, command: Command | None = None) -> float:
        """Waits for output of the coordinator or another command.

        Returns the seconds from the fault.
        """
        (command or self.coord).says(pattern)
        return time.monotonic() - self.fault_at

    def drains(self) -> dict[str, Any]:
        """Drains the run with Ctrl-C; returns its summary.json."""
        self.coord.send(signal.SIGINT)
        return self.ends(130)

    def ends(self, code: int) -> dict[str, Any]:
        """Waits for the end of the run; returns its summary.json."""
        found = self.coord.end(self.PATIENCE)
        assert found == code, f"exit code {found}: {self.coord.out[-3000:]}{self.coord.err}"
        assert "Traceback" not in self.coord.err, self.coord.err
        return json.loads((self.run / "summary.json").read_text())  # type: ignore[no-any-return]  # an object

    def mount(self, path: Path, size: str) -> None:
        """Mounts a small disk at a path."""
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
            check=True,
            timeout=10,
        )
        self._mounted.append(path)

    def close(self) -> list[int]:
        """Ends everything; returns the processes that are still alive."""
        family = [pid for started in self.commands for pid in _descendants(started.pid)]
        for started in reversed(self.commands):
            with suppress(ProcessLookupError):
                started.send(signal.SIGCONT)
            started.close()
        for path in self._mounted:
            subprocess.run(["umount", "-l", str(path)], check=True, timeout=10)
        for host in self.lan.hosts.values():
            for network in NETWORKS:
                host.fix(network)
        with suppress(AssertionError):
            eventually(lambda: not _alive(family), "all have ended", PATIENCE / 2)
        return _alive(family)


StageKind = TypeVar("StageKind", bound=Stage)
Result = TypeVar("Result")


def play(
    make: Callable[[Lan, Path], StageKind], lan: Lan, act: Callable[[StageKind], Result]
) -> Result | str:
    """Returns what an act on a new stage returns, or the words why it failed.

    Its processes have ended then; one that is left is a failure as well.
    """
    with tempfile.TemporaryDirectory() as folder:
        stage = make(lan, Path(folder))
        try:
            result: Result | str = act(stage)
        # A result that is not the promised one, a process that did not do its part, an answer that
        # is no JSON: whatever it is, the table goes on.
        except Exception as error:
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            result = f"FAILED: {kind}{error}"
        left = stage.close()
        return f"FAILED: processes {left} are left" if left else result


def _descendants(pid: int) -> list[int]:
    try:
        found = children(pid)
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(below for child in found for below in _descendants(child))]


def _alive(pids: list[int]) -> list[int]:
    alive = []
    for pid in pids:
        with suppress(ProcessLookupError, FileNotFoundError):
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                alive.append(pid)
    return alive
