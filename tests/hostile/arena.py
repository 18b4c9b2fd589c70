"""A fleet on its stage among strangers, and the promises that it keeps."""

import http.client
import json
import os
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.fault import ledger_text, missed_by_ledger, statuses, target_text
from tests.faults.lan import NETWORKS, Lan
from tests.faults.stage import PORT, TOKEN, Stage
from tests.hostile.relay import Relay
from tests.processes import Address, Command, children, eventually

ROOT = Path(__file__).parents[2]
COUNT = 200
"""The connections of a fleet."""
FLEET = 2
"""The agents of a fleet."""
OWNERS = f"{NETWORKS['control']}.1"
"""The address that the owner asks from, on the control network."""
KEPT = ("plan.toml", "journal.ndjson", "feeders")
"""What is in a run directory for its owner alone."""


class Survived(NamedTuple):
    """The outcome of a trial in which every promise was kept."""

    ledger: str
    target: str
    noticed: float | None = None
    """Seconds until the coordinator or an agent said what was wrong."""
    cpu: float | None = None
    """The part of a core that the coordinator used meanwhile."""
    delay: float | None = None
    """The longest time that a post of an agent waited for its reply meanwhile, in seconds."""


class Arena(Stage):
    """A stage whose agent a1 reaches the coordinator through a relay."""

    PATIENCE = 40.0

    def __init__(self, lan: Lan, folder: Path) -> None:
        super().__init__(lan, folder)
        self.scheme = "http"
        self.cpu: float | None = None
        self.delay: float | None = None
        self._relay: Relay | None = None

    # The processes.

    @property
    def url(self) -> str:
        """The URL at which agents join."""
        return super().url.replace("http:", f"{self.scheme}:")

    @property
    def relay(self) -> Relay:
        """The way of agent a1 to the coordinator."""
        if self._relay is None:
            host = self.lan.host("coord").address("control")
            self._relay = Relay(OWNERS, (host, PORT))
        return self._relay

    def agent(self, name: str, *options: str, **others: Any) -> Command:
        """Starts an agent on the host of its name."""
        way = (
            ("--coordinator", f"{self.scheme}://{OWNERS}:{self.relay.port}") if name == "a1" else ()
        )
        return super().agent(name, *way, *options, **others)

    def opened(
        self,
        *options: str,
        count: int = COUNT,
        agents: int = FLEET,
        each: tuple[str, ...] = (),
        **others: Any,
    ) -> list[Command]:
        """Returns the agents of a fleet whose connections are all open.

        `options` and `others` are the coordinator's, `each` the options of each agent.
        """
        self.target()
        self.coordinator(*options, count=count, agents=agents, **others)
        fleet = self.fleet(agents, *each)
        self.opens(count, lost=0)
        return fleet

    def hostile_target(self, kind: str) -> None:
        """Starts a server of tests.hostile.server as the target."""
        host = self.lan.host("target")
        self.server = Address(host.address("load"), 9600)
        words = [sys.executable, "-m", "tests.hostile.server", kind, *map(str, self.server)]
        self.start(host, words, cwd=ROOT).says("listening")

    def stranger(self, kind: str, path: str = "/", *options: str) -> Command:
        """Starts a client of tests.hostile.stranger, on a host without the token."""
        coordinator = self.lan.host("coord").address("control")
        return self.stranger_at(coordinator, PORT, kind, path, *options)

    def stranger_at(self, host: str, port: int, kind: str, path: str, *options: str) -> Command:
        """Starts such a client of another address."""
        words = [sys.executable, "-m", "tests.hostile.stranger", kind, host, str(port), path]
        return self.start(self.lan.host("outside"), [*words, *options], cwd=ROOT)

    def close(self) -> list[int]:
        """Ends everything; returns the processes that are still alive."""
        left = super().close()
        if self._relay is not None:
            self._relay.close()
        return left

    # What the owner asks.

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        *,
        token: bool = True,
        timeout: float = 10.0,
        **headers: str,
    ) -> tuple[int, bytes]:
        """Returns status and body of the coordinator's answer.

        The request is a GET, or a POST of `body`."""
        host = self.lan.host("coord").address("control")
        connection: http.client.HTTPConnection
        if self.scheme == "https":
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(host, PORT, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(host, PORT, timeout=timeout)
        headers |= {"Authorization": f"Bearer {TOKEN}"} if token else {}
        try:
            connection.request("GET" if body is None else "POST", path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def state(self) -> dict[str, Any]:
        """Returns the run as the coordinator shows it to the owner."""
        status, body = self.ask("/v1/run")
        assert status == 200, f"the owner's /v1/run has status {status}: {body[:200]!r}"
        return json.loads(body)  # type: ignore[no-any-return]  # an object

    def all_run(self) -> None:
        """Waits until the agents of the fleet are running, all of them."""
        eventually(
            lambda: statuses(self) == ["running"] * FLEET,
            lambda: f"the agents are {statuses(self)}: {self.coord.err}",
        )

    def serves_owner(self, seconds: float) -> None:
        """Asks as the owner, five times a second; fails when a request is not served."""
        refused = []
        deadline = time.monotonic() + seconds
        asked = 0
        while time.monotonic() < deadline:
            asked += 1
            try:
                status, _ = self.ask("/v1/run")
            except OSError as error:
                refused.append(type(error).__name__)
            else:
                refused += [] if status == 200 else [str(status)]
            time.sleep(0.2)
        why = sorted(set(refused))
        assert not refused, f"{len(refused)} of the owner's {asked} requests were refused: {why}"

    # What is measured, and what is promised.

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measures the coordinator's CPU and a1's posts as long as the block lasts."""
        self.mark_fault()
        self.relay.take_longest()
        before = cpu_seconds(self.coord.pid)
        yield
        self.cpu = (cpu_seconds(self.coord.pid) - before) / (time.monotonic() - self.fault_at)
        self.delay = self.relay.take_longest()

    def drains_well(self, noticed: float | None = None, count: int = COUNT) -> Survived:
        """Drains the run, in which no connection was lost; returns the outcome."""
        summary = self.drains()
        closed = summary["closed"], summary["lost"], summary["failed"]
        assert closed == ({"drained": count}, 0, {}), ledger_text(summary)
        return self.survived(summary, noticed)

    def survived(
        self, summary: dict[str, Any], noticed: float | None = None, *secrets: str
    ) -> Survived:
        """Returns the outcome after the end of the run; fails when a promise was broken."""
        lost = missed_by_ledger(self, summary)
        assert lost == 0, f"the target counted {lost} connections more: {ledger_text(summary)}"
        self.keeps_silent(*secrets)
        return Survived(ledger_text(summary), target_text(self), noticed, self.cpu, self.delay)

    def keeps_silent(self, *secrets: str) -> None:
        """Fails for a traceback, or a secret, in any output of the fleet."""
        texts = {str(one.process.args): one.out + one.err for one in self.commands}
        for path in self.runs.rglob("*") if self.runs.exists() else ():
            named = path.relative_to(self.runs).parts
            if path.is_file() and not {*named[1:]} & {*KEPT}:
                texts["/".join(named[1:])] = path.read_text(errors="replace")
        known = {TOKEN, *secrets, *(self._relay.secrets if self._relay else ())}
        for name, text in texts.items():
            assert name.startswith("errors/") or "Traceback" not in text, f"{name}: {text[-2000:]}"
            found = [secret for secret in known if secret in text]
            assert not found, f"{found} in {name}"


def cpu_seconds(pid: int) -> float:
    """Returns the CPU seconds that a process has used, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def workers_of(agent: Command) -> list[int]:
    """Returns the process ids of an agent's workers, which its fork server started."""
    return [worker for server in children(agent.pid) for worker in children(server)]


def most_memory(pid: int) -> int:
    """Returns the most resident memory that a process has had, in bytes."""
    found = eventually(
        lambda: [
            line
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("VmHWM:")
        ],
        f"the memory of process {pid}",
    )
    return int(found[0].split()[1]) << 10
