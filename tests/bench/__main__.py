"""`python -m tests.bench [NAME…]`: runs benches one after another.

It prints a table and, as the last line, JSON.
"""

import json
import sys

from rich.console import Console
from rich.table import Table

from tests.bench import (
    agents,
    client,
    compress,
    delivery,
    fairness,
    fleet,
    messages,
    pinning,
    plan,
    ports,
    rows,
    session,
    target,
    tls,
    users,
    viewers,
    wakes,
)
from tests.bench.goal import Goal

# `ports` comes last: it leaves 60,000 ports in TIME_WAIT, and the websockets client of `client`,
# whose ports the kernel chooses, would have to wait for them.
BENCHES = {
    "client": client.run,
    "session": session.run,
    "users": users.run,
    "rows": rows.run,
    "fairness": fairness.run,
    "delivery": delivery.run,
    "messages": messages.run,
    "compress": compress.run,
    "tls": tls.run,
    "target": target.run,
    "fleet": fleet.run,
    "viewers": viewers.run,
    "plan": plan.run,
    "agents": agents.run,
    "ports": ports.run,
}

BY_NAME = {"wakes": wakes.run, "pinning": pinning.run}
"""Those that have no goal, and run only when they are named."""


def main(names: list[str]) -> int:
    """Runs the named benches, or all that have goals.

    Returns the exit code, 1 when a goal is missed.
    """
    goals: list[Goal] = []
    for name in names or BENCHES:
        goals += (BENCHES | BY_NAME)[name]()
    table = Table("bench", "measured", "goal", "held", title="loadgen: speed and memory")
    for goal in goals:
        table.add_row(
            goal.name, f"{goal.measured:.3g} {goal.unit}", goal.asked, "yes" if goal.held else "NO"
        )
    Console(width=120).print(table)
    print(json.dumps([goal.to_json() for goal in goals]))
    return 0 if all(goal.held for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
