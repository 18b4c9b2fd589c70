"""Conditions that end a run early: `failed>1%`, `unexpected>0:for 10s`."""

import re
from collections.abc import Sequence

import msgspec

from coordinator.report.expect import Expectation, parse
from coordinator.run.parts import PLATEAU
from coordinator.run.summary import Summary
from coordinator.text import seconds
from loadgen.errors import PlanError
from loadgen.plan.plan import Plan
from loadgen.values import seconds_of

OPTION = "--abort-on"
GRAMMAR = re.compile(r"(.+?)\s*:\s*for\s*(.+)", re.DOTALL)
KNOWN_AT_END = frozenset({"alive_min", "duration_s", "open_end", "plateau_s"})
"""The figures that say nothing before the run is over."""


class AbortCondition(msgspec.Struct, frozen=True):
    """A comparison that is a reason to end the run once it has held for some time."""

    expr: str
    """As the operator wrote it."""
    comparison: Expectation
    seconds: float
    """Seconds that it has to hold, 0 for once."""


def parse_abort(text: str, plan: Plan | None = None, option: str = OPTION) -> AbortCondition:
    """Returns the condition in a text; raises PlanError with the fault and its fix."""
    match = GRAMMAR.fullmatch(text.strip())
    expr, time = match.groups() if match else (text, "0")
    comparison = parse(expr, plan, option)
    if comparison.part == PLATEAU or comparison.figure in KNOWN_AT_END:
        raise PlanError(
            f"{option} {text!r}: {comparison.name} is only known when the run is over; expect it"
            " with --expect"
        )
    try:
        return AbortCondition(text.strip(), comparison, seconds_of(time))
    except ValueError as error:
        raise PlanError(f"{option} {text!r}: {error}") from error


class AbortWatch:
    """Watches a run for the conditions that end it."""

    def __init__(self, conditions: Sequence[AbortCondition]) -> None:
        self._conditions = conditions
        self._since: dict[str, int] = {}
        """The second since which each condition has held."""
        self.parts = {condition.comparison.part for condition in conditions}
        """The parts of the run that `take` needs in its summary."""

    def __bool__(self) -> bool:
        return bool(self._conditions)

    def take(self, second: int, summary: Summary) -> str:
        """Returns why the run has to end after a second; empty while it need not."""
        for condition in self._conditions:
            result = condition.comparison.evaluate(summary)
            if not result.held:
                self._since.pop(condition.expr, None)
                continue
            since = self._since.setdefault(condition.expr, second)
            if second - since >= condition.seconds:
                return f"{OPTION} {_reason(condition, result.value or 0.0)}"
        return ""


def _reason(condition: AbortCondition, value: float) -> str:
    comparison = condition.comparison
    unit = "%" if comparison.base else ""
    held = f" for {seconds(condition.seconds)}" if condition.seconds else ""
    return f"{comparison.expr}{held} (it was {value:,.6g}{unit})"
