"""Calibrates a fleet: makes the plan, publishes messages, and keeps the figures."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl

import aiohttp
import msgspec

from coordinator.doubts import parts_of
from coordinator.run.agents import AgentState
from coordinator.run.calibration import (
    MESSAGES,
    OPENED_PER_AGENT,
    OPENED_PER_WORKER,
    Calibration,
    Member,
    fleet_of,
    measure,
    plan_for,
)
from coordinator.run.row import Row
from coordinator.run.run import Run
from coordinator.storage.calibrations import keep_calibration
from coordinator.text import and_more, one_line, reasons
from loadgen.errors import FleetError, OperatorError, PlanError
from loadgen.machine.facts import read_machine
from loadgen.net.url import TargetUrl
from loadgen.plan.plan import Plan

PUBLISHERS = 2
"""Publications on their way at once: the target has the next one when it has delivered one."""
PUBLISH_TIMEOUT = 10.0
"""Seconds that the target has to deliver a publication."""
LOOK = 0.05
"""Seconds between two looks at the phase of the run."""
PAYLOAD = "x" * 64
"""The payload of each publication, which makes an event of about 200 bytes."""


def calibration_plan(target: str, agents: int, local: int, most: int | None) -> Plan:
    """Returns the plan that calibrates a fleet of agents.

    `local` of them are on this machine. `most` is how many connections are opened; None: as many
    as the workers need to be measured. Raises PlanError when the target can't be the embedded one.
    """
    url = TargetUrl.parse(target)
    if url.secure:
        raise PlanError("--calibrate needs the embedded target, which speaks ws:// only")
    if not _channels(url):
        raise PlanError(
            f"--calibrate publishes to the channels of TARGET, and {target} names none; add"
            " ?project=console&channels[]=files"
        )
    # An agent elsewhere may have one worker only.
    each = max(1, read_machine().cpus // local) if local >= agents else 1
    opened = agents * min(each * OPENED_PER_WORKER, OPENED_PER_AGENT)
    return plan_for(target, most or opened, agents * each)


def _channels(url: TargetUrl) -> list[str]:
    query = url.resource.partition("?")[2]
    return [value for name, value in parse_qsl(query) if name == "channels[]"]


class Calibrator:
    """The part of a run that calibrates its fleet."""

    def __init__(
        self, target: str, out: Path, phase: Callable[[], str], warn: Callable[[str], None]
    ) -> None:
        """`phase` returns the name of the run's phase, `warn` shows the operator a line."""
        url = TargetUrl.parse(target)
        self._target = target
        self._base = f"http://{url.host_header}"
        self._channels = _channels(url)
        self._out = out
        self._phase = phase
        self._warn = warn
        self._rows: dict[int, Row] = {}

    async def check_target(self) -> None:
        """Raises OperatorError when no embedded target listens at the target's address."""
        try:
            async with _client() as http, http.get(f"{self._base}/stats") as reply:
                found = msgspec.json.decode(await reply.read(), type=dict[str, int | str])
                known = reply.status == 200 and {"open", "opened", "pings"} <= found.keys()
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
            known = False
        if not known:
            raise OperatorError(
                f"--calibrate found no loadgen-target at {self._base}; start loadgen-target there,"
                " or add --with-target for one on this machine"
            )

    def add(self, row: Row) -> None:
        """Takes a settled second, or the correction of one."""
        self._rows[row.second] = row

    async def publish(self) -> None:
        """Publishes without a pause in the phase for it, until it is cancelled.

        A target that does not publish is reported once.
        """
        async with _client() as http:
            try:
                await asyncio.gather(*(self._publish(http) for _ in range(PUBLISHERS)))
            except (aiohttp.ClientError, TimeoutError) as error:
                self._warn(
                    f"{self._base}/publish failed ({one_line(str(error)) or 'no answer'}):"
                    " messages are not calibrated"
                )

    async def _publish(self, http: aiohttp.ClientSession) -> None:
        body = {"channels": self._channels, "events": ["calibration"], "payload": PAYLOAD}
        while True:
            if self._phase() != MESSAGES:
                await asyncio.sleep(LOOK)
                continue
            async with http.post(f"{self._base}/publish", json=body) as reply:
                reply.raise_for_status()

    def keep(self, run: Run) -> tuple[Calibration, dict[str, int], Path]:
        """Keeps the figures of a run.

        Returns the calibration, the workers of each agent, and the path of the file.

        Raises OperatorError when nothing was opened, when an agent was lost, or when the file
        can't be written.
        """
        fleet = sorted(run.fleet(), key=lambda agent: agent.name)
        workers = {agent.name: len(agent.workers) for agent in fleet}
        if not run.total.opened:
            raise OperatorError(
                f"not calibrated: nothing opened at {self._target} ({reasons(run.total.failed)});"
                " start loadgen-target where every agent reaches it, and give its URL as TARGET"
            )
        lost = [agent.name for agent in fleet if agent.lost]
        if lost:
            raise FleetError(f"not calibrated: agent {and_more(lost)} was lost; calibrate again")
        rows = [self._rows[second] for second in sorted(self._rows)]
        agents = measure(rows, run.plan, workers, _memory_of(fleet))
        calibration = Calibration(
            tuple(sorted(Member.of(agent.name, agent.hello.machine) for agent in fleet)),
            f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            self._target,
            fleet_of(agents, parts_of(run)),
            agents,
        )
        return calibration, workers, keep_calibration(self._out, calibration)


def _memory_of(fleet: Sequence[AgentState]) -> dict[str, float]:
    """Returns the bytes that each agent had, where they are known.

    The agents of one machine share what it has.
    """
    hosts = {agent.name: agent.clock.name if agent.clock else agent.name for agent in fleet}
    sharing = Counter(hosts.values())
    found = {}
    for agent in fleet:
        facts = (agent.hello.machine.get(name) for name in ("memory_available", "cgroup_headroom"))
        rooms = [room for room in facts if isinstance(room, int)]
        if rooms:
            found[agent.name] = min(rooms) / sharing[hosts[agent.name]]
    return found


def _client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PUBLISH_TIMEOUT))
