"""What a run would do, without doing it: the plan, the schedule, each agent's share, and what this machine can hold."""

import subprocess
import sys

import msgspec

from coordinator.checks import check_target
from coordinator.conduct import Settings, check_shares
from coordinator.local import names_of
from coordinator.outline import outline
from coordinator.run import nothing_for
from coordinator.words import columns, count, one_line
from loadgen.arrivals import Share
from loadgen.capacity import Limit, first_to_give_out
from loadgen.client import USUAL, weights_of
from loadgen.plan import Plan
from loadgen.planfile import to_toml

TUNE_WITHIN = 60.0
"""Seconds that `loadgen-tune check` may take."""


def dry_run(settings: Settings) -> str:
    """The text of `--dry-run`; raises OperatorError as a run would."""
    plan = settings.plan
    check_shares(plan, settings.agents)
    targets = [check_target(url) for url in plan.urls]
    shares = shares_of(plan, settings.agents, settings.local)
    parts = [
        to_toml(plan).decode().rstrip(),
        "\n".join(f"target {target.host} is {target.address}, port {target.port}" for target in targets),
        *outline(plan),
        "\n".join(columns([["agent", "connections"], *([name, count(share)] for name, share in shares)])),
    ]
    if settings.local:
        parts.append(_preflight(max(share for _, share in shares)))
    return "\n\n".join(parts)


def shares_of(plan: Plan, agents: int, local: int = 0) -> list[tuple[str, int]]:
    """How many connections each of so many agents would get, were they those that the plan names, the others equal.

    Raises PlanError when that is nothing for one of them.
    """
    names = _names(plan, agents, local)
    shares = Share().split(weights_of(plan.clients, [(name, USUAL) for name in names]))
    counts = [share.count(plan.total) for share in shares]
    found = list(zip(names, counts, strict=True))
    idle = [name for name, number in found if number == 0]
    if idle:
        raise nothing_for(idle, plan, agents)
    return found


def _names(plan: Plan, agents: int, local: int) -> list[str]:
    named = [*names_of(local), *(client.name for client in plan.clients)]
    known = list(dict.fromkeys(named if plan.clients else []))[:agents]
    return known + [f"agent {number}" for number in range(len(known) + 1, agents + 1)]


class Finding(msgspec.Struct):
    """What is read of the JSON that `loadgen-tune check` prints."""

    holds: int
    ok: bool
    limits: list[Limit]


def _preflight(share: int) -> str:
    """This machine's verdict on the largest share of a local agent."""
    command = [sys.executable, "-m", "loadgen.cli.tune", "check", "--json", "--connections", str(share)]
    try:
        checked = subprocess.run(command, capture_output=True, timeout=TUNE_WITHIN, check=False)  # noqa: S603 -- ours
        finding = msgspec.json.decode(checked.stdout, type=Finding)
    except subprocess.TimeoutExpired:
        return f"preflight: loadgen-tune check did not answer within {TUNE_WITHIN:.0f} s"
    except msgspec.DecodeError:
        return f"preflight: loadgen-tune check failed: {one_line(checked.stderr.decode(errors='replace'))}"
    first = first_to_give_out(finding.limits)
    assert first is not None, "a check that succeeds has measured something"
    verdict = "holds" if finding.ok else f"gives out at {count(finding.holds)} of"
    return (
        f"preflight: this machine {verdict} a local agent's share of {count(share)};"
        f" {first.resource} gives out first ({first.detail}); {first.mend}"
    )
