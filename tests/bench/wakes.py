"""The CPU of an arrival and of a ping by how many a worker has in a second.

loadgen/machine/costs.py has its constants from these rows, on the processor whose yardstick stands
there; here they are compared by the yardstick of now.
"""

from statistics import median

from loadgen.machine.bill import Demand, bill_of
from loadgen.machine.costs import AGENT_IDLE, ROUND_TRIP, WORKER_IDLE
from loadgen.machine.speed import round_trip_seconds
from loadgen.plan.plan import Plan
from loadgen.wire import Sources
from tests.bench.goal import Goal
from tests.bench.job import seconds_of, working
from tests.processes import target

SECONDS = 6
"""Seconds of each row."""
ARRIVALS = (50, 200, 500, 1000, 2000)
"""Arrivals a second, without pings."""
PINGS = (50, 200, 500, 1000, 1900, 2500, 5000)
"""Pings a second, without arrivals."""
MOST = 10_000
"""Connections that ping at most."""


def run() -> list[Goal]:
    """Returns the measured figures, and the planned ones divided by them."""
    speed = ROUND_TRIP / median(round_trip_seconds() for _ in range(3))
    goals = [Goal("wakes: speed of a core", speed, "×")]
    for rate in ARRIVALS:
        demand = Demand(rate * (SECONDS + 3), float(rate))
        cost = _cost(demand, 1, "opened")
        bill = bill_of(demand, 1, speed)
        goals += _row(f"an arrival at {rate}/s", cost, _each(bill.opening_cores, rate, speed))
    for rate in PINGS:
        think = min(4.0, MOST / rate)
        demand = Demand(round(rate * think), float(rate), think)
        cost = _cost(demand, int(think) + 1, "pings")
        bill = bill_of(demand, 1, speed)
        goals += _row(f"a ping at {rate}/s", cost, _each(bill.held_cores, rate, speed))
    return goals


def _row(name: str, measured: float, planned: float) -> list[Goal]:
    return [
        Goal(f"wakes: {name}", measured, "µs"),
        Goal(f"wakes: {name}, planned ÷ measured", planned / measured, "×"),
    ]


def _each(cores: float, rate: int, speed: float) -> float:
    """Returns the µs that a bill has for each event."""
    return 1e6 * (cores - (AGENT_IDLE + WORKER_IDLE) / speed) / rate


def _cost(demand: Demand, first: int, event: str) -> float:
    """Returns the µs of CPU of a worker for each event, from second `first` on."""
    plan = Plan(
        rate=demand.rate,
        max=demand.connections,
        think=demand.think or 1.0,
        ping="protocol" if demand.think else "none",
        hold=2.0 * SECONDS + demand.think,
    )
    last = first + SECONDS
    with (
        target("--workers", "1", "--limit", str(demand.connections + 1)) as server,
        working(server.port, plan, [Sources(("127.0.2.9",), 20_000, 60_000)]) as (process,),
    ):
        seconds = list(seconds_of(process, last))
    cpu = seconds[last].cpu_s - seconds[first].cpu_s
    return 1e6 * cpu / sum(getattr(second.tally, event) for second in seconds[first + 1 :])
