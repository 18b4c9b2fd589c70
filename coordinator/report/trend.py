"""Runs in the order of their start, each figure beside that of the run before.

Nothing is said of significance: a change is a percentage, and a tolerance is the operator's.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from coordinator.report.compare import Difference, Judgement, differences, figures_of, warnings
from coordinator.report.expect import value_of
from coordinator.report.export import figure_text, markdown_table, plain
from coordinator.report.tables import ABSENT, Table
from coordinator.report.text import outcome
from coordinator.storage.reader import RunRecord
from coordinator.text import columns

TIME = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)T(\d\d):?(\d\d):?(\d\d)Z")
"""The time in run.json, and at the beginning of the name of a run directory."""
WORSE = "!"
"""The mark of a figure that is worse than in the run before."""


class TrendRun(msgspec.Struct, frozen=True):
    """A run of a trend."""

    name: str
    started: str
    """Empty where its run directory does not say."""
    verdict: str


class Step(msgspec.Struct, frozen=True):
    """A figure of a run, beside that of the run before."""

    value: float | None
    """None: the run did not measure it."""
    change: float | None = None
    """In percent; None in the first run, and where the run before has 0 or did not measure it."""
    judgement: Judgement | None = None
    """None in the first run, and where neither run measured it."""


class Trend(msgspec.Struct, frozen=True):
    """Several runs in the order of their start."""

    tolerance: float
    """In percent."""
    runs: list[TrendRun]
    figures: dict[str, list[Step]]
    """A step for each run, of every figure that some run measured."""
    remarks: list[str]
    """The reasons that two runs after each other are not quite comparable."""


def in_order_of_start(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Returns the runs in the order of their start.

    Where run.json does not say when that was, the name of the run directory does. Runs of which
    neither says it come first, by their names.
    """
    return sorted(records, key=lambda one: (_start(one), one.name))


def _start(record: RunRecord) -> str:
    match = TIME.match(record.facts.started or record.name)
    return "".join(match.groups()) if match else ""


def trend_of(records: Sequence[RunRecord], tolerance: float) -> Trend:
    """Returns the trend of runs in any order; the tolerance is in percent."""
    runs = in_order_of_start(records)
    changes = [
        {one.name: one for one in differences(before.summary, after.summary, tolerance)}
        for before, after in pairwise(runs)
    ]
    names = figures_of([run.summary for run in runs])
    values = {name: [value_of(name, run.summary) for run in runs] for name in names}
    return Trend(
        tolerance,
        [TrendRun(run.name, run.facts.started, outcome(run.summary)) for run in runs],
        {
            name: [Step(of[0]), *map(_step, of[1:], (found.get(name) for found in changes))]
            for name, of in values.items()
            if any(value is not None for value in of)
        },
        list(
            dict.fromkeys(
                f"{after.name} after {before.name}: {warning}"
                for before, after in pairwise(runs)
                for warning in warnings(before, after)
            )
        ),
    )


def _step(value: float | None, difference: Difference | None) -> Step:
    if difference is None:
        return Step(value)
    return Step(value, difference.change, difference.judgement)


def trend_text(trend: Trend) -> str:
    """Returns the trend as aligned text."""
    lines = [_title(trend), *columns(trend_table(trend))]
    return "\n".join([*lines, *(f"\nnot quite comparable: {remark}" for remark in trend.remarks)])


def trend_markdown(trend: Trend) -> str:
    """Returns the trend as a table in Markdown."""
    lines = [f"{plain(_title(trend))}\n", *markdown_table(trend_table(trend))]
    return "\n".join([*lines, *(f"- {plain(remark)}" for remark in trend.remarks)])


def trend_json(trend: Trend) -> str:
    """Returns the trend as JSON on one line."""
    return msgspec.json.encode(trend).decode()


def _title(trend: Trend) -> str:
    return (
        "runs in the order of their start, with the change to the run before;"
        f" {WORSE} is worse by more than {trend.tolerance:g} %"
    )


def trend_table(trend: Trend) -> Table:
    """Returns a column for each run, and a row for each figure."""
    return [
        ["", *(run.name for run in trend.runs)],
        ["started", *(run.started or ABSENT for run in trend.runs)],
        ["verdict", *(run.verdict for run in trend.runs)],
        *([name, *map(step_text, steps)] for name, steps in trend.figures.items()),
    ]


def step_text(step: Step) -> str:
    """Returns a figure with its change: `! 12 (+20.0 %)`."""
    return " ".join(_parts(step))


def _parts(step: Step) -> Iterator[str]:
    if step.judgement == "worse":
        yield WORSE
    yield figure_text(step.value)
    if step.change is not None:
        yield f"({step.change:+.1f} %)"
