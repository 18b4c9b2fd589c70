"""The steps of a rehearsal, from bare machines to bare machines: each returns what it showed.

A step that shows something else than was promised raises AssertionError.
"""

import json
import tarfile
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tests.processes import PATIENCE, Command, eventually, get_json
from tests.rehearsal.fleet import TOKEN, Fleet

AGENTS = '{job="loadgen-agents"}'
ESTABLISHED = "01"
"""A state of sockets in /proc/net/tcp."""


class Rehearsal:
    """A fleet on its way through the steps."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.asked = fleet.asked
        self._bare: dict[str, str] = {}
        self._run: Command | None = None
        self._summary: dict[str, Any] = {}

    def machines(self) -> str:
        """They are up, and how they are is kept for later."""
        self.fleet.start()
        self._bare = {name: self.fleet.state(name) for name in self.fleet.machines}
        return f"{len(self._bare)} up, each with systemd, sshd and two addresses of its own"

    def check_mode(self) -> str:
        """On one machine of each kind."""
        some = ("a1", "manager", "server")
        changed = self.fleet.play("site.yml", "--check", "--limit", ",".join(some))
        assert all(changed.values()), f"nothing would change: {changed}"
        _same(
            {name: self._bare[name] for name in some},
            {name: self.fleet.state(name) for name in some},
        )
        return f"would change {spread(changed)} on {', '.join(some)}, and changed nothing"

    def site(self) -> str:
        """From bare machines to a fleet that waits."""
        changed = self.fleet.play("site.yml")
        assert changed.keys() == self._bare.keys(), changed
        assert all(changed.values()), changed
        return f"changed {spread(changed)} on each of {len(changed)} machines"

    def site_again(self) -> str:
        """A second time it has nothing to do."""
        changed = self.fleet.play("site.yml")
        assert set(changed.values()) == {0}, f"a second time it changed {changed}"
        return f"changed nothing on {len(changed)} machines"

    def verify(self) -> str:
        """From the effects, by the play that does that."""
        changed = self.fleet.play("verify.yml")
        assert set(changed.values()) == {0}, changed
        for name in (*self.asked.names, "manager"):
            assert self._said(name, "stat", "-c", "%a %U", "/etc/loadgen/token") == "600 root", (
                f"{name}: the secret"
            )
        return "settings, limits, rights, health and rules are as they should be"

    def _said(self, name: str, *words: str) -> str:
        return self.fleet.machines[name].run(*words).stdout.strip()

    def tune_check(self) -> str:
        """Each machine holds what it is given."""
        holds = {name: self._check(name, "client", self.asked.share) for name in self.asked.names}
        at_target = self._check("server", "target", self.asked.connections)
        least = min(holds, key=holds.__getitem__)
        return (
            f"agents hold {holds[least]:,} or more, asked {self.asked.share:,}; the server"
            f" {at_target:,}"
        )

    def _check(self, name: str, role: str, connections: int) -> int:
        words = ("check", "--json", "--role", role, "--connections", str(connections))
        done = self.fleet.machines[name].run("/opt/loadgen/bin/loadgen-tune", *words)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return int(json.loads(done.stdout)["holds"])

    def gather(self) -> str:
        """The coordinator's unit starts, and every agent's has been waiting for it."""
        self._run = self.fleet.begin("run.yml")
        found = eventually(
            self._told, lambda: f"joined: {self._told()}; {self.fleet.journal()}", 2 * PATIENCE
        )
        assert set(found) == set(self.asked.names), found
        return f"{len(found)} joined, each told by /v1/sd at an address of its own"

    def _told(self) -> dict[str, str]:
        """The agents by what tells Prometheus of them, once all are told."""
        try:
            found = get_json(f"{self.fleet.coordinator}/v1/sd")
        except OSError:  # it does not listen yet
            return {}
        told = {one["labels"]["__meta_loadgen_agent"]: one["targets"][0] for one in found}
        return told if len(set(told.values())) == self.asked.agents else {}

    def plateau(self) -> str:
        """All open at once, by both ledgers, and from where the plan says."""
        count = self.asked.connections
        arrivals = count / self.asked.rate
        eventually(
            lambda: self._open() == (count, count),
            lambda: f"open: {self._open()}",
            arrivals + PATIENCE,
        )
        self._sources()
        return (
            f"{count:,} open, by the ledger and by the target; each address has its share and its"
            " own ports"
        )

    def _open(self) -> tuple[int, int]:
        """By the ledger and by the target."""
        asked = Request(
            f"{self.fleet.coordinator}/v1/run", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urlopen(asked, timeout=PATIENCE) as reply:
            return json.loads(reply.read())["ledger"]["open"], self.fleet.target.stats()["open"]

    def _sources(self) -> None:
        """The addresses and ports that the target's kernel sees."""
        rows = [line.split() for line in self._said("server", "cat", "/proc/net/tcp").splitlines()]
        port = f"{self.fleet.target.port:04X}"
        peers = [
            row[2].split(":")
            for row in rows
            if row[3] == ESTABLISHED and row[1].endswith(f":{port}")
        ]
        seen = Counter(address for address, _ in peers)
        names = {_hexadecimal(self.fleet.address(name, "load")): name for name in self.asked.names}
        assert seen.keys() <= names.keys() | {_hexadecimal("198.18.0.1")}, seen
        for address, name in names.items():
            ports = {int(number, 16) for peer, number in peers if peer == address}
            assert self.asked.share - 1 <= len(ports) <= self.asked.share, (
                f"{name}: {len(ports)} connections"
            )
            assert ports <= set(self.asked.ports(name)), f"{name} has {min(ports)} to {max(ports)}"

    def drain(self) -> str:
        """The hold is over: run.yml ends with the verdict and has fetched the run directory."""
        assert self._run is not None
        self.fleet.ends(self._run)
        (packed,) = (self.fleet.folder / "runs").iterdir()
        with tarfile.open(packed) as tar:
            (name,) = (name for name in tar.getnames() if name.endswith("/summary.json"))
            self._summary = json.load(tar.extractfile(name))  # type: ignore[arg-type]  # it is a file
        count, found = self.asked.connections, self._summary
        ends = found["opened"], found["accepted"], found["closed"], found["failed"], found["lost"]
        assert (found["verdict"], *ends) == ("pass", count, count, {"drained": count}, {}, 0), found
        for name in self.asked.names:
            assert self._said(name, "systemctl", "is-active", "loadgen-agent") == "active", (
                f"{name} does not wait on"
            )
        return f"pass: opened {count:,}, accepted {count:,}, drained {count:,}; failed 0, lost 0"

    def ledger(self) -> str:
        """The target counted the same."""
        eventually(lambda: self.fleet.target.stats()["open"] == 0, "the target is empty")
        theirs, ours = self.fleet.target.stats(), self._totals()
        ours["messages"] = self._summary["messages_received"]
        assert {name: theirs[name] for name in ours} == ours, (
            f"the target says {theirs}, the ledger {ours}"
        )
        return ", ".join(f"{name} {number:,}" for name, number in ours.items())

    def _totals(self) -> dict[str, int]:
        found = self._summary
        return {
            "opened": found["opened"],
            "closed": sum(found["closed"].values()),
            "pings": found["pings"],
        }

    def prometheus(self) -> str:
        """What it saw while they were open, and what it has at the end."""
        up, count = f"count(up{AGENTS} == 1)", self.asked.connections
        peak = 'max_over_time(sum(loadgen_connections{job="loadgen-agents", state="open"})[30m:1s])'
        names = {"opened": "connections_opened", "closed": "connections_closed", "pings": "pings"}
        sums = {
            f"sum(loadgen_{names[name]}_total{AGENTS})": total
            for name, total in self._totals().items()
        }
        for query, wanted in {up: self.asked.agents, peak: count, **sums}.items():
            seen = eventually(
                lambda query=query, wanted=wanted: self._value(query) == wanted,
                lambda query=query, wanted=wanted: f"{query} is {self._value(query)}, not {wanted}",
            )
            assert seen
        return (
            f"{self.asked.agents} targets up; open {count:,} at the peak; opened, closed and pings"
            " sum to the ledger's"
        )

    def _value(self, query: str) -> float | None:
        """The one sample that a query finds."""
        found = get_json(
            f"http://{self.fleet.prometheus}/api/v1/query?{urlencode({'query': query})}"
        )["data"]["result"]
        return float(found[0]["value"][1]) if len(found) == 1 else None

    def teardown(self) -> str:
        """Every machine is as bare as it was."""
        changed = self.fleet.play("teardown.yml")
        assert changed.keys() == self._bare.keys(), changed
        _same(self._bare, {name: self.fleet.state(name) for name in self._bare})
        lines = min(state.count("\n") for state in self._bare.values())
        return f"{len(changed)} machines as they were: {lines:,} files, units and settings of each"


STEPS: dict[str, Callable[[Rehearsal], str]] = {
    "machines": Rehearsal.machines,
    "site.yml --check": Rehearsal.check_mode,
    "site.yml": Rehearsal.site,
    "site.yml again": Rehearsal.site_again,
    "verify.yml": Rehearsal.verify,
    "loadgen-tune check": Rehearsal.tune_check,
    "run.yml: gather": Rehearsal.gather,
    "run.yml: plateau": Rehearsal.plateau,
    "run.yml: drain": Rehearsal.drain,
    "target's ledger": Rehearsal.ledger,
    "Prometheus": Rehearsal.prometheus,
    "teardown.yml": Rehearsal.teardown,
}
"""In their order; each needs those before it."""


def spread(changed: dict[str, int]) -> str:
    """The least and the most of it."""
    low, high = min(changed.values()), max(changed.values())
    return f"{low}" if low == high else f"{low} to {high}"


def _same(before: dict[str, str], after: dict[str, str]) -> None:
    """Raises AssertionError with the lines that differ."""
    for name, state in before.items():
        differ = set(state.splitlines()) ^ set(after[name].splitlines())
        assert not differ, f"{name} differs: {sorted(differ)[:5]}"


def _hexadecimal(address: str) -> str:
    """An IPv4 address as /proc/net/tcp of a little-endian machine has it."""
    return bytes(reversed([int(part) for part in address.split(".")])).hex().upper()
