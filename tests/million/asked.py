"""What a run of the driver is asked for, and whether this machine has room for it."""

import shlex

import msgspec

from loadgen.errors import OperatorError
from loadgen.machine.facts import Machine
from loadgen.machine.limits import TARGET_FILL, shortfall, target_limits, workers_needed
from loadgen.plan.plan import Plan
from loadgen.values import DEFAULT_MAX_CONNECTIONS


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A number of connections between local agents and a target of their own, all on loopback;
    durations in seconds."""

    count: int = 1_000_000
    rate: float = 2000.0
    hold: float = 120.0
    think: float = 30.0
    ping: str = "protocol"
    agents: int = 16

    def commands(self) -> tuple[str, ...]:
        """The driver's own command line, and those of what it starts, without ports and places
        of this machine."""
        options = [f"--{name}={value}" for name, value in msgspec.structs.asdict(self).items()]
        return (
            shlex.join(["python", "-m", "tests.million", *options]),
            shlex.join(["loadgen-target", *self.target_options()]),
            shlex.join(["loadgen-coord", *self.run_options()]),
        )

    def target_options(self) -> list[str]:
        """The options of loadgen-target; it takes as many workers as descriptors demand."""
        return ["--mode", "appwrite", "--limit", str(self.count)]

    def run_options(self) -> list[str]:
        """The options of loadgen-coord that make up the run."""
        options = {"--local": self.agents, "--rate": f"{self.rate:g}", "--max": self.count}
        options |= {"--hold": f"{self.hold:g}", "--think": f"{self.think:g}", "--ping": self.ping}
        return [str(word) for option in options.items() for word in option]


def name_of(plan: Plan) -> str:
    """What a run of this plan is published as: `ping-30s`, `silent`, `silent-1600000`."""
    kind = {
        "protocol": f"ping-{plan.think:g}s",
        "app": f"app-ping-{plan.think:g}s",
        "none": "silent",
    }[plan.ping]
    return kind if plan.max == Asked().count else f"{kind}-{plan.max}"


def check_room(asked: Asked, machine: Machine) -> None:
    """Raises OperatorError when the agents or the machine can't hold so many connections, both
    ends of each."""
    needed = -(-asked.count // DEFAULT_MAX_CONNECTIONS)
    if asked.agents < needed:
        most = asked.agents * DEFAULT_MAX_CONNECTIONS
        raise OperatorError(
            f"--agents {asked.agents} hold {most:,} connections at most; ask for --agents {needed}"
        )
    # The target's end costs a little more than a client's, so twice as many of those are on the
    # safe side.
    ends = 2 * asked.count
    limits = target_limits(
        machine, workers=workers_needed(ends, machine, machine.cpus, TARGET_FILL), connections=ends
    )
    short = shortfall(limits, ends)
    if short is not None:
        raise OperatorError(
            f"this machine can't hold {asked.count:,} connections with both their ends:"
            f" {short.resource} gives out at {short.connections // 2:,} ({short.detail});"
            f" {short.fix}"
        )
