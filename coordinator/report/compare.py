"""Runs against a baseline: better, worse beyond a tolerance, or not comparable."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from coordinator.report.expect import nearest_of, value_of
from coordinator.report.machines import machines_of
from coordinator.report.tables import asked_text
from coordinator.run.summary import Summary
from coordinator.storage.reader import RunRecord
from loadgen.errors import PlanError
from loadgen.stats.reasons import KINDS, is_reason

Judgement = Literal["same", "better", "worse", "differs"]
MORE_IS_BETTER = ("opened", "open_peak", "rate_achieved", "plateau_s", "reach")
LESS_IS_BETTER = (
    "failed",
    "lost",
    "unexpected",
    "late",
    "delivery_lost",
    "checks_failed",
    "http_errors",
    "http_failed",
    *(
        f"{name}_{statistic}"
        for name in ("handshake", "open", "ping_rtt", "delivery")
        for statistic in ("p50", "p99")
    ),
)
NEITHER = ("launched", "pings", "messages_received", "lag_p99", "loop_lag_p99")
"""The figures that say how comparable two runs are, not how good the server is."""
FIGURES = (*MORE_IS_BETTER, *LESS_IS_BETTER, *NEITHER)
TOLERANCE = 5.0
"""The default of `--tolerance` in percent: two runs of the same plan are never the same."""
ANY = "any"
MAX_VALUE_LENGTH = 60
"""Characters of a plan's value in a warning."""


class Difference(msgspec.Struct, frozen=True):
    """A figure of a run beside that of the baseline.

    The figure is None where a run did not measure it.
    """

    name: str
    before: float | None
    after: float | None
    change: float | None
    """In percent of the baseline; None where the baseline is 0 or a run did not measure it."""
    judgement: Judgement


class RegressionLimit(msgspec.Struct, frozen=True):
    """The percentage by which a figure may get worse before that is a regression."""

    name: str
    percent: float


def limits_of(texts: Sequence[str], tolerance: float) -> list[RegressionLimit]:
    """Returns the limits in texts such as `FIGURE`, `FIGURE:10%` and `any`.

    Without a percentage the tolerance is the limit. Raises PlanError for a name that is no figure.
    """
    limits = []
    names = (*MORE_IS_BETTER, *LESS_IS_BETTER)
    for text in texts:
        match = re.fullmatch(r"([\w.]+)(?::(\d+(?:\.\d+)?)%)?", text.strip())
        if match is None or not (match[1] in (*names, ANY) or _is_reason(match[1])):
            nearest = nearest_of(match[1] if match else text, names)
            raise PlanError(
                f"--fail-on {text!r} is not a limit{nearest}; write {ANY} or one of"
                f" {', '.join(names)}, failed.REASON or closed.REASON, and after it, if wanted, a"
                " percentage such as :10%"
            )
        percent = float(match[2]) if match[2] else tolerance
        limited = names if match[1] == ANY else (match[1],)
        limits += [RegressionLimit(name, percent) for name in limited]
    return limits


def _is_reason(name: str) -> bool:
    kind, _, reason = name.partition(".")
    return kind in KINDS and is_reason(kind, reason)


def differences(
    baseline: Summary, other: Summary, tolerance: float = TOLERANCE
) -> list[Difference]:
    """Returns every figure that either run measured; the tolerance is in percent."""
    found = (_difference(name, baseline, other, tolerance) for name in FIGURES)
    return [one for one in found if one.before is not None or one.after is not None]


def _difference(name: str, baseline: Summary, other: Summary, tolerance: float) -> Difference:
    before = value_of(name, baseline)
    after = value_of(name, other)
    change = None
    if before and after is not None:
        change = round(100 * (after - before) / before, 1)
    return Difference(name, before, after, change, _judge(name, before, after, tolerance))


def _judge(name: str, before: float | None, after: float | None, tolerance: float) -> Judgement:
    if before is None or after is None:
        return "differs"
    if abs(after - before) <= tolerance / 100 * abs(before):
        return "same"
    if name in NEITHER:
        return "differs"
    return "better" if (after > before) == (name in MORE_IS_BETTER) else "worse"


def regressions(baseline: Summary, other: Summary, limits: Sequence[RegressionLimit]) -> list[str]:
    """Returns a line for each limit that a run breaks.

    A figure that only the baseline measured breaks its limit too.
    """
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
    """Yields why two runs are not quite comparable."""
    for record in (baseline, other):
        if record.summary.verdict in ("lost", "stopped"):
            yield f"{record.name} did not run to its end ({record.summary.verdict})"
        if record.summary.changes:
            yield f"the plan of {record.name} was changed by hand: {asked_text(record.summary)}"
        for kind in ("invalid", "saturated"):
            marked = len(getattr(record.summary, f"{kind}_seconds"))
            if marked:
                yield f"{record.name} has {marked} {kind} seconds"
    yield from _differing_plans(baseline, other)
    yield from _differing_machines(baseline, other)


def _differing_plans(baseline: RunRecord, other: RunRecord) -> Iterator[str]:
    before = msgspec.to_builtins(baseline.plan)
    after = msgspec.to_builtins(other.plan)
    pairs = [
        f"{name} {_shorten(before[name])} / {_shorten(after[name])}"
        for name in before
        if before[name] != after[name]
    ]
    if pairs:
        yield f"the plans differ: {'; '.join(pairs)}"


def _shorten(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[: MAX_VALUE_LENGTH - 1]}…"


def _differing_machines(baseline: RunRecord, other: RunRecord) -> Iterator[str]:
    agents = [len(record.summary.agents) for record in (baseline, other)]
    if agents[0] != agents[1]:
        yield f"the fleets differ: {agents[0]} / {agents[1]} agents"
    before = [machine for machine, _ in machines_of(baseline.facts)]
    after = [machine for machine, _ in machines_of(other.facts)]
    if before and after and before != after:
        settings = sorted({*before[0], *after[0]})
        names = [name for name in settings if before[0].get(name) != after[0].get(name)]
        yield f"the machines differ: {', '.join(names) or 'the number of kinds'}"
