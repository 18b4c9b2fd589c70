"""Runs against a baseline: better, worse beyond a tolerance, or not comparable."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from coordinator.report.expect import (
    COUNTER,
    STATISTICS,
    TIMING,
    TRANSACTION,
    check_figure,
    full_name,
    nearest_of,
    part_and_figure,
    percentile_of,
    value_of,
)
from coordinator.report.machines import machines_of
from coordinator.report.tables import NOT_MEASURED, asked_text
from coordinator.run.parts import WHOLE
from coordinator.run.summary import Summary
from coordinator.storage.reader import RunRecord
from loadgen.errors import PlanError
from loadgen.stats.reasons import KINDS, is_reason
from loadgen.stats.tally import CHECK

Judgement = Literal["same", "better", "worse", "differs"]
COMPARED_TIMES = ("p50", "p95", "p99")
"""The statistics of a histogram, or of a timing of sessions, that every comparison shows."""
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
        for name in ("handshake", "open", "ping_rtt", "delivery", "http")
        for statistic in COMPARED_TIMES
    ),
)
NEITHER = ("launched", "pings", "messages_received", "lag_p99", "loop_lag_p99")
"""The figures that say how comparable two runs are, not how good the server is."""
GENERATOR = ("lag", "loop_lag")
"""The histograms of the generator's own lateness."""
FIGURES = (*MORE_IS_BETTER, *LESS_IS_BETTER, *NEITHER)
"""The figures that every run may have; `figures_of` adds what sessions count, time and check."""
FAILED_TRANSACTIONS = re.compile(rf"{re.escape(COUNTER)}{TRANSACTION}.*_failed")
"""The counter of the transactions of a name that raised."""
TOLERANCE = 5.0
"""The default of `--tolerance` in percent: two runs of the same plan are never the same."""
ANY = "any"
LIMIT = re.compile(r"\s*(.+?)(?::(\d+(?:\.\d+)?)%)?\s*")
"""A figure, and the percentage by which it may get worse."""
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


def own_figures(summaries: Sequence[Summary], statistics: Sequence[str]) -> list[str]:
    """Returns the checks, timings and counters that sessions of any run kept.

    They are named as in --expect; a timing is there once for each statistic.
    """
    names = {
        CHECK: {name for summary in summaries for name in summary.checks},
        TIMING: {name for summary in summaries for name in summary.timings},
        COUNTER: {name for summary in summaries for name in summary.counters},
    }
    return [
        f"{kind}{name}{end}"
        for kind, own in names.items()
        for name in sorted(own)
        for end in ([f"_{one}" for one in statistics] if kind == TIMING else [""])
    ]


def figures_of(summaries: Sequence[Summary]) -> list[str]:
    """Returns the names of all figures by which runs are compared."""
    return [*FIGURES, *own_figures(summaries, COMPARED_TIMES)]


def limits_of(
    texts: Sequence[str], tolerance: float, summaries: Sequence[Summary] = ()
) -> list[RegressionLimit]:
    """Returns the limits in texts such as `FIGURE`, `FIGURE:10%` and `any`.

    Without a percentage the tolerance is the limit. Raises PlanError for a name that is no figure,
    nor a check, timing or counter of any of the summaries, and for a part that none of them has.
    """
    limits = []
    every = [*MORE_IS_BETTER, *LESS_IS_BETTER, *own_figures(summaries, COMPARED_TIMES)]
    own = own_figures(summaries, STATISTICS) if texts else []
    for text in texts:
        match = LIMIT.fullmatch(text)
        part, short = part_and_figure(match[1]) if match else (WHOLE, text)
        figure = full_name(short)
        if match is None or not (
            match[1] == ANY or figure in (*every, *own) or _is_limited(figure)
        ):
            nearest = nearest_of(figure, [*every, *own])
            raise PlanError(
                f"--fail-on {text!r} is not a limit{nearest}; write {ANY} or one of"
                f" {', '.join((*MORE_IS_BETTER, *LESS_IS_BETTER))}, failed.REASON, closed.REASON"
                " or, of what sessions of these runs check, time and count, check.NAME,"
                " timing.NAME_STATISTIC or counter.NAME; before it, if wanted, a part such as"
                " session.NAME., and after it a percentage such as :10%"
            )
        if part != WHOLE:
            _check_part(text, part, figure, summaries)
        percent = float(match[2]) if match[2] else tolerance
        named = figure if part == WHOLE else f"{part}.{figure}"
        names = every if match[1] == ANY else [named]
        limits += [RegressionLimit(name, percent) for name in names]
    return limits


def _check_part(text: str, part: str, figure: str, summaries: Sequence[Summary]) -> None:
    """Raises PlanError for a part that no run has, or a figure that no part has."""
    try:
        check_figure(figure, part, None)
    except PlanError as error:
        raise PlanError(f"--fail-on {text!r}: {error}") from None
    parts = list(dict.fromkeys(name for summary in summaries for name in summary.parts))
    if summaries and part not in parts:
        have = f"they have {', '.join(parts)}" if parts else "their results are not split"
        raise PlanError(
            f"--fail-on {text!r}: these runs have no part {part!r}{nearest_of(part, parts)}; {have}"
        )


def _is_limited(name: str) -> bool:
    """True for a reason, and for a statistic that tells how good the server is."""
    kind, _, reason = name.partition(".")
    if kind in KINDS:
        return is_reason(kind, reason)
    time = percentile_of(name)
    return time is not None and time[0] == "histograms" and time[1] not in GENERATOR


def differences(
    baseline: Summary, other: Summary, tolerance: float = TOLERANCE
) -> list[Difference]:
    """Returns every figure that either run measured; the tolerance is in percent."""
    names = figures_of((baseline, other))
    found = (_difference(name, baseline, other, tolerance) for name in names)
    return [one for one in found if one.before is not None or one.after is not None]


def _difference(name: str, baseline: Summary, other: Summary, tolerance: float) -> Difference:
    part, figure = part_and_figure(name)
    before = value_of(figure, baseline, part)
    after = value_of(figure, other, part)
    change = None
    if before and after is not None:
        change = round(100 * (after - before) / before, 1)
    return Difference(name, before, after, change, _judge(figure, before, after, tolerance))


def _judge(name: str, before: float | None, after: float | None, tolerance: float) -> Judgement:
    if before is None or after is None:
        return "differs"
    if abs(after - before) <= tolerance / 100 * abs(before):
        return "same"
    if name in NEITHER or (name.startswith(COUNTER) and not FAILED_TRANSACTIONS.fullmatch(name)):
        return "differs"
    more_is_better = name in MORE_IS_BETTER or name.startswith(CHECK)
    return "better" if (after > before) == more_is_better else "worse"


def regressions(baseline: Summary, other: Summary, limits: Sequence[RegressionLimit]) -> list[str]:
    """Returns a line for each limit that a run breaks.

    A figure that only the baseline measured breaks its limit too. Whether more of a counter of
    sessions is better, only they know: it breaks its limit in either direction, and as a new one.
    Fewer failed transactions are better.
    """
    broken = []
    for limit in limits:
        one = _difference(limit.name, baseline, other, limit.percent)
        if _breaks(one):
            by = "" if one.change is None else f", {one.change:+.1f} %"
            broken.append(
                f"{limit.name}: {_measured(one.before)} before, now {_measured(one.after)}{by};"
                f" {limit.percent:g} % are allowed"
            )
    return broken


def _breaks(one: Difference) -> bool:
    _, figure = part_and_figure(one.name)
    if FAILED_TRANSACTIONS.fullmatch(figure):
        return one.judgement == "worse" or (one.before is None and bool(one.after))
    if figure.startswith(COUNTER):
        return one.judgement == "differs" and (one.before, one.after) != (None, None)
    return one.judgement == "worse" or (one.before is not None and one.after is None)


def _measured(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:,.6g}"


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
