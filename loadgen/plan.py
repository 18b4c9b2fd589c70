"""The frozen plan of a run: read from options or TOML, written back as TOML, split into schedule and session."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from loadgen.arrivals import Schedule
from loadgen.errors import PlanError

TARGET = "ws://127.0.0.1:9505/v1/realtime?project=console&channels[]=files"
HIGHEST = sys.float_info.max  # JSON has no infinity
Positive = Annotated[float, msgspec.Meta(gt=0, le=HIGHEST)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=HIGHEST)]


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is asked of the fleet: the reference run, unless told otherwise. Durations in seconds."""

    target: str = TARGET
    """A ws:// or wss:// URL."""
    rate: Positive = 2000.0
    """Arrivals per second over the whole fleet."""
    max: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    """Connections started in all; more than fleet or target can hold is legal."""
    arrival: Literal["uniform", "poisson"] = "uniform"
    seed: int = 0
    """Of everything random: Poisson arrivals and, with the number, each session's generator."""
    hold: NotNegative = 60.0
    """How long the plateau is held after the last arrival."""
    think: Positive = 30.0
    """The think time of the loop; one ping a turn."""
    loops: Annotated[int, msgspec.Meta(ge=0)] = 1000
    """Turns of the loop; then the connection closes normally."""
    ping: Literal["protocol", "app", "none"] = "protocol"
    """A PING frame, the text `{"type":"ping"}` (Appwrite), or a silent loop as in the reference run."""

    @property
    def schedule(self) -> Schedule:
        """When each connection is due."""
        return Schedule(rate=self.rate, total=self.max, poisson=self.arrival == "poisson", seed=self.seed)

    def drain_at(self) -> float:
        """When the hold is over, in seconds from the start of the run."""
        return self.schedule.end() + self.hold


def read_plan(path: Path) -> Plan:
    """The plan in a TOML file; an unreadable or unusable one raises a PlanError naming the key."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Plan)
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}; give the path of a plan file") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: {error}") from error


def plan_of(options: dict[str, Any]) -> Plan:
    """The plan that options ask for; what can't be one raises a PlanError naming the option."""
    try:
        return msgspec.convert(options, Plan)
    except msgspec.ValidationError as error:
        raise PlanError(f"{error}".replace("`$.", "`--")) from error


def to_toml(plan: Plan) -> bytes:
    """The plan as TOML; reading it back gives the same plan."""
    return msgspec.toml.encode(plan)
