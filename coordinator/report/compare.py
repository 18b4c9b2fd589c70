"""Runs against a baseline: what got better, what got worse beyond a tolerance, and whether they
may be compared."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from coordinator.report.expect import value_of
from coordinator.report.machines import machines_of
from coordinator.storage.reader import RunRecord
from loadgen.errors import PlanError

Judgement = Literal["same", "better", "worse", "differs"]
MORE_IS_BETTER = ("opened", "open_peak", "rate_achieved", "plateau_s")
LESS_IS_BETTER = (
    "failed",
    "lost",
    "late",
    *(
        f"{name}_{statistic}"
        for name in ("handshake", "open", "ping_rtt", "delivery")
        for statistic in ("p50", "p99")
    ),
)
NEITHER = ("launched", "pings", "messages_received", "lag_p99", "loop_lag_p99")
"""What tells how comparable two runs are, not how good the server is."""
FIGURES = (*MORE_IS_BETTER, *LESS_IS_BETTER, *NEITHER)
TOLERANCE = 5.0
"""Percent that a figure may be worse, unless told otherwise: two runs of the same are never the
same."""
ANY = "any"


class Difference(msgspec.Struct, frozen=True):
    """A figure of a run beside the baseline's; None where it was not measured."""

    name: str
    before: float | None
    after: float | None
    change: float | None
    """In percent of the baseline; None where that is 0 or either is missing."""
    judgement: Judgement


class RegressionLimit(msgspec.Struct, frozen=True):
    """What is held to be a regression: a figure that got worse by more than so many percent."""

    name: str
    percent: float


def limits_of(texts: Sequence[str], tolerance: float) -> list[RegressionLimit]:
    """The limits that `FIGURE`, `FIGURE:10%` and `any` mean; raises PlanError for what is no
    figure."""
    limits = []
    for text in texts:
        match = re.fullmatch(r"(\w+)(?::(\d+(?:\.\d+)?)%)?", text.strip())
        names = (*MORE_IS_BETTER, *LESS_IS_BETTER)
        if match is None or match[1] not in (*names, ANY):
            raise PlanError(
                f"--fail-on {text!r}: write {ANY}, or one of {', '.join(names)}, with :10%"
                " behind it"
            )
        percent = float(match[2]) if match[2] else tolerance
        limits += [
            RegressionLimit(name, percent) for name in (names if match[1] == ANY else (match[1],))
        ]
    return limits


def differences(
    baseline: dict[str, Any], other: dict[str, Any], tolerance: float = TOLERANCE
) -> list[Difference]:
    """Every figure that either run measured."""
    found = (_difference(name, baseline, other, tolerance) for name in FIGURES)
    return [one for one in found if one.before is not None or one.after is not None]


def _difference(
    name: str, baseline: dict[str, Any], other: dict[str, Any], tolerance: float
) -> Difference:
    before, after = value_of(name, baseline), value_of(name, other)
    change = (
        None
        if before is None or after is None or not before
        else round(100 * (after - before) / before, 1)
    )
    return Difference(name, before, after, change, _judge(name, before, after, tolerance))


def _judge(name: str, before: float | None, after: float | None, tolerance: float) -> Judgement:
    if before is None or after is None:
        return "differs"
    if abs(after - before) <= tolerance / 100 * abs(before):
        return "same"
    if name in NEITHER:
        return "differs"
    return "better" if (after > before) == (name in MORE_IS_BETTER) else "worse"


def regressions(
    baseline: dict[str, Any], other: dict[str, Any], limits: Sequence[RegressionLimit]
) -> list[str]:
    """Each limit that a run breaks, in words; a figure that it no longer measures breaks its
    limit."""
    broken = []
    for limit in limits:
        one = _difference(limit.name, baseline, other, limit.percent)
        if one.judgement == "worse" or (one.before is not None and one.after is None):
            after = "not measured" if one.after is None else f"{one.after:,.6g}"
            by = "" if one.change is None else f", {one.change:+.1f} %"
            broken.append(
                f"{limit.name}: {one.before:,.6g} before, now {after}{by}; {limit.percent:g} % are"
                " allowed"
            )
    return broken


def warnings(baseline: RunRecord, other: RunRecord) -> Iterator[str]:
    """Why the two runs can't simply be compared."""
    for record in (baseline, other):
        if record.summary["verdict"] in ("lost", "stopped"):
            yield f"{record.name} did not come to its end ({record.summary['verdict']})"
        invalid = len(record.summary["invalid_seconds"])
        if invalid:
            yield f"{record.name} has {invalid} invalid seconds"
    yield from _plans(baseline, other)
    yield from _machines(baseline, other)


def _plans(baseline: RunRecord, other: RunRecord) -> Iterator[str]:
    before, after = (msgspec.to_builtins(record.plan.redacted()) for record in (baseline, other))
    differing = [name for name in before if before[name] != after[name]]
    if differing:
        pairs = (f"{name} {_short(before[name])} / {_short(after[name])}" for name in differing)
        yield f"the plans differ: {'; '.join(pairs)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _machines(baseline: RunRecord, other: RunRecord) -> Iterator[str]:
    agents = [len(record.summary["agents"]) for record in (baseline, other)]
    if agents[0] != agents[1]:
        yield f"the fleets differ: {agents[0]} / {agents[1]} agents"
    before, after = (
        [facts for facts, _ in machines_of(record.facts)] for record in (baseline, other)
    )
    if before and after and before != after:
        names = sorted(
            {
                name
                for name in {**before[0], **after[0]}
                if before[0].get(name) != after[0].get(name)
            }
        )
        yield f"the machines differ: {', '.join(names) or 'how many kinds there are'}"
