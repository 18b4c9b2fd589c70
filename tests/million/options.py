"""The options of a run of the driver, and a check of this machine's room for it."""

import shlex

import msgspec

from loadgen.errors import OperatorError
from loadgen.machine.facts import Machine
from loadgen.machine.limits import TARGET_FILL, shortfall, target_limits, workers_needed
from loadgen.plan.plan import Plan
from loadgen.values import DEFAULT_MAX_CONNECTIONS


class MillionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Connections between local agents and a target, all on loopback.

    Durations are in seconds.
    """

    count: int = 1_000_000
    rate: float = 2000.0
    hold: float = 120.0
    think: float = 30.0
    ping: str = "protocol"
    grain: str = "50ms"
    """Two cores have 117 processes, each with the caches of the others when it wakes."""
    agents: int = 16

    def commands(self) -> tuple[str, ...]:
        """Returns the command lines of the driver and of what it starts.

        They name no ports and paths of this machine.
        """
        options = [f"--{name}={value}" for name, value in msgspec.structs.asdict(self).items()]
        return (
            shlex.join(["python", "-m", "tests.million", *options]),
            shlex.join(["loadgen-target", *self.target_options()]),
            shlex.join(["loadgen-coord", *self.run_options()]),
        )

    def target_options(self) -> list[str]:
        """Returns the options of loadgen-target, which chooses its number of workers."""
        return ["--mode", "appwrite", "--limit", str(self.count)]

    def run_options(self) -> list[str]:
        """Returns the options of loadgen-coord that describe the run."""
        options = {"--local": self.agents, "--rate": f"{self.rate:g}", "--max": self.count}
        options |= {"--hold": f"{self.hold:g}", "--think": f"{self.think:g}", "--ping": self.ping}
        options |= {"--grain": self.grain}
        return [str(word) for option in options.items() for word in option]


def name_of(plan: Plan) -> str:
    """Returns the name of a published run: `silent-1600000`, `ping-30s-grain-50ms`."""
    kind = {
        "protocol": f"ping-{plan.think:g}s",
        "app": f"app-ping-{plan.think:g}s",
        "none": "silent",
    }[plan.ping]
    grain = "" if plan.grain == "auto" else f"-grain-{plan.grain}"
    if plan.max != MillionOptions().count:
        return f"{kind}-{plan.max}{grain}"
    rate = "" if plan.rate == MillionOptions().rate else f"-at-{plan.rate:g}"
    return f"{kind}{rate}{grain}"


def check_room(asked: MillionOptions, machine: Machine) -> None:
    """Raises OperatorError when `count` connections do not fit.

    Agents and machine must hold both ends of them.
    """
    needed = -(-asked.count // DEFAULT_MAX_CONNECTIONS)
    if asked.agents < needed:
        most = asked.agents * DEFAULT_MAX_CONNECTIONS
        raise OperatorError(
            f"--agents {asked.agents} hold {most:,} connections at most; ask for --agents {needed}"
        )
    # The target's end costs a little more than a client's: the limits of a target with twice the
    # connections are on the safe side.
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
