"""The settings that an operator gives one run of the coordinator."""

from pathlib import Path
from typing import Literal

import msgspec

from coordinator.influx.receiver import LineReceiver
from coordinator.report.abort import AbortCondition
from coordinator.report.expect import Expectation
from coordinator.run.states import OnLoss
from coordinator.scrape import Watched
from loadgen.plan.credentials import NO_CREDENTIALS, Credentials
from loadgen.plan.plan import Plan
from loadgen.values import Endpoint


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a run, and every option besides it."""

    plan: Plan
    credentials: Credentials = NO_CREDENTIALS
    """The certificates that connections with TLS show and trust, from the plan's files."""
    agents: int = 16
    """The number of agents that the run waits for before it starts."""
    local: int = 0
    """The number of agents that the coordinator starts itself, on this machine."""
    with_target: str | None = None
    """The mode of the embedded target; None: it is not started."""
    wait: float = 60.0
    """The seconds to wait for the agents."""
    listen: Endpoint
    token_file: Path | None = None
    public_view: bool = False
    watch: tuple[Watched, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    expectations: tuple[Expectation, ...] = ()
    export: tuple[LineReceiver, ...] = ()
    """The receivers of the settled seconds, besides the run directory."""
    abort_on: tuple[AbortCondition, ...] = ()
    on_loss: OnLoss = "redistribute"
    out: Path = Path("runs")
    """The directory in which the run directory is made."""
    calibrate: bool = False
    """Measure what the fleet can generate; the plan is made for that."""
    resume: Path | None = None
    """The directory of the run to resume; plan and options are that run's."""
    tsung_log: Literal["text", "json", "none"] = "text"
    """The form of tsung.log in the run directory."""
    json: bool = False
    """Print summary.json as the last line of stdout."""

    @property
    def elsewhere(self) -> bool:
        """True when agents on other machines are awaited."""
        return self.local < self.agents
