"""The steps of a rehearsal, from bare machines to bare machines.

Each returns its result as text, or raises AssertionError when it is not the promised one.
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
"""A state of sockets in /proc/net/tcp (include/net/tcp_states.h)."""


class Rehearsal:
    """A fleet that goes through the steps."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.size = fleet.size
        self._bare: dict[str, str] = {}
        self._run: Command | None = None
        self._summary: dict[str, Any] = {}

    def machines(self) -> str:
        """Starts the machines, and keeps their state for the tear-down."""
        self.fleet.start()
        self._bare = {name: self.fleet.state(name) for name in self.fleet.machines}
        return f"{len(self._bare)} up, each with systemd, sshd and two addresses of its own"

    def check_mode(self) -> str:
        """Plays site.yml in check mode on one machine of each kind."""
        some = ("a1", "manager", "server")
        changed = self.fleet.play("site.yml", "--check", "--limit", ",".join(some))
        assert all(changed.values()), f"nothing would change: {changed}"
        _same(
            {name: self._bare[name] for name in some},
            {name: self.fleet.state(name) for name in some},
        )
        return f"would change {spread(changed)} on {', '.join(some)}, and changed nothing"

    def site(self) -> str:
        """Turns the bare machines into a fleet that waits."""
        changed = self.fleet.play("site.yml")
        assert changed.keys() == self._bare.keys(), changed
        assert all(changed.values()), changed
        return f"changed {spread(changed)} on each of {len(changed)} machines"

    def site_again(self) -> str:
        """Plays site.yml again, which changes nothing."""
        changed = self.fleet.play("site.yml")
        assert set(changed.values()) == {0}, f"a second time it changed {changed}"
        return f"changed nothing on {len(changed)} machines"

    def verify(self) -> str:
        """Plays verify.yml, which checks the effects."""
        changed = self.fleet.play("verify.yml")
        assert set(changed.values()) == {0}, changed
        for name in (*self.size.names, "manager"):
            assert self._output(name, "stat", "-c", "%a %U", "/etc/loadgen/token") == "600 root", (
                f"{name}: the secret"
            )
        return "settings, limits, rights, health and rules are as they should be"

    def _output(self, name: str, *words: str) -> str:
        return self.fleet.machines[name].run(*words).stdout.strip()

    def tune_check(self) -> str:
        """Checks that each machine holds its share."""
        holds = {name: self._check(name, "client", self.size.share) for name in self.size.names}
        at_target = self._check("server", "target", self.size.connections)
        least = min(holds, key=holds.__getitem__)
        return (
            f"agents hold {holds[least]:,} or more, asked {self.size.share:,}; the server"
            f" {at_target:,}"
        )

    def _check(self, name: str, role: str, connections: int) -> int:
        words = ("check", "--json", "--role", role, "--connections", str(connections))
        done = self.fleet.machines[name].run("/opt/loadgen/bin/loadgen-tune", *words)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return int(json.loads(done.stdout)["holds"])

    def gather(self) -> str:
        """Starts the coordinator's unit; the agents' units wait for it."""
        self._run = self.fleet.begin("run.yml")
        found = eventually(
            self._discovered,
            lambda: f"joined: {self._discovered()}; {self.fleet.journal()}",
            2 * PATIENCE,
        )
        assert set(found) == set(self.size.names), found
        return f"{len(found)} joined, each listed by /v1/sd at its own address"

    def _discovered(self) -> dict[str, str]:
        """Returns the agents' addresses in /v1/sd, once it lists all."""
        try:
            found = get_json(f"{self.fleet.coordinator}/v1/sd")
        except OSError:  # it does not listen yet
            return {}
        found_at = {one["labels"]["__meta_loadgen_agent"]: one["targets"][0] for one in found}
        return found_at if len(set(found_at.values())) == self.size.agents else {}

    def plateau(self) -> str:
        """Waits until both ledgers have all open, and checks the source addresses."""
        count = self.size.connections
        arrivals = count / self.size.rate
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
        """Returns the connections open by the ledger and by the target."""
        request = Request(
            f"{self.fleet.coordinator}/v1/run", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urlopen(request, timeout=PATIENCE) as reply:
            return json.loads(reply.read())["ledger"]["open"], self.fleet.target.stats()["open"]

    def _sources(self) -> None:
        """Checks the addresses and ports that the target's kernel sees."""
        rows = [
            line.split() for line in self._output("server", "cat", "/proc/net/tcp").splitlines()
        ]
        port = f"{self.fleet.target.port:04X}"
        peers = [
            row[2].split(":")
            for row in rows
            if row[3] == ESTABLISHED and row[1].endswith(f":{port}")
        ]
        seen = Counter(address for address, _ in peers)
        names = {_hexadecimal(self.fleet.address(name, "load")): name for name in self.size.names}
        assert seen.keys() <= names.keys() | {_hexadecimal("198.18.0.1")}, seen
        for address, name in names.items():
            ports = {int(number, 16) for peer, number in peers if peer == address}
            assert self.size.share - 1 <= len(ports) <= self.size.share, (
                f"{name}: {len(ports)} connections"
            )
            assert ports <= set(self.size.ports(name)), f"{name} has {min(ports)} to {max(ports)}"

    def drain(self) -> str:
        """Waits until run.yml ends with the verdict and has fetched the run directory."""
        assert self._run is not None
        self.fleet.ends(self._run)
        (packed,) = (self.fleet.folder / "runs").iterdir()
        with tarfile.open(packed) as tar:
            (name,) = (name for name in tar.getnames() if name.endswith("/summary.json"))
            self._summary = json.load(tar.extractfile(name))  # type: ignore[arg-type]  # it is a file
        count = self.size.connections
        found = self._summary
        ends = found["opened"], found["accepted"], found["closed"], found["failed"], found["lost"]
        assert (found["verdict"], *ends) == ("pass", count, count, {"drained": count}, {}, 0), found
        for name in self.size.names:
            assert self._output(name, "systemctl", "is-active", "loadgen-agent") == "active", (
                f"the agent of {name} no longer waits"
            )
        return f"pass: opened {count:,}, accepted {count:,}, drained {count:,}; failed 0, lost 0"

    def ledger(self) -> str:
        """Checks that the target counted the same."""
        eventually(lambda: self.fleet.target.stats()["open"] == 0, "the target is empty")
        theirs = self.fleet.target.stats()
        ours = self._totals()
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
        """Checks Prometheus' peak of open connections and its totals at the end."""
        up = f"count(up{AGENTS} == 1)"
        count = self.size.connections
        peak = 'max_over_time(sum(loadgen_connections{job="loadgen-agents", state="open"})[30m:1s])'
        names = {"opened": "connections_opened", "closed": "connections_closed", "pings": "pings"}
        sums = {
            f"sum(loadgen_{names[name]}_total{AGENTS})": total
            for name, total in self._totals().items()
        }
        for query, wanted in {up: self.size.agents, peak: count, **sums}.items():
            seen = eventually(
                lambda query=query, wanted=wanted: self._value(query) == wanted,
                lambda query=query, wanted=wanted: f"{query} is {self._value(query)}, not {wanted}",
            )
            assert seen
        return (
            f"{self.size.agents} targets up; open {count:,} at the peak; opened, closed and pings"
            " sum to the ledger's"
        )

    def _value(self, query: str) -> float | None:
        """Returns the one sample that a query finds."""
        found = get_json(
            f"http://{self.fleet.prometheus}/api/v1/query?{urlencode({'query': query})}"
        )["data"]["result"]
        return float(found[0]["value"][1]) if len(found) == 1 else None

    def teardown(self) -> str:
        """Checks that every machine is as bare as it was."""
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
"""In order; each needs those before it."""


def spread(changed: dict[str, int]) -> str:
    """Returns the least and the most number of changes."""
    low = min(changed.values())
    high = max(changed.values())
    return f"{low}" if low == high else f"{low} to {high}"


def _same(before: dict[str, str], after: dict[str, str]) -> None:
    """Raises AssertionError with the lines that differ."""
    for name, state in before.items():
        differ = set(state.splitlines()) ^ set(after[name].splitlines())
        assert not differ, f"{name} differs: {sorted(differ)[:5]}"


def _hexadecimal(address: str) -> str:
    """Returns an IPv4 address as /proc/net/tcp of a little-endian machine shows it."""
    return bytes(reversed([int(part) for part in address.split(".")])).hex().upper()
