"""Expectations of a run.

Examples: `open_peak>=1000000`, `ping_rtt_p99<500ms`, `plateau.unexpected==0`, `failed<0.1%`.

The figures are the fields of the summary. `failed.REASON` and `closed.REASON` count connections by
their reason; what sessions count and time themselves is `counter.NAME` and
`timing.NAME_STATISTIC`, which for a transaction may be written `tr_NAME_STATISTIC`; `check.NAME` is
the share of a check that passed, in percent. `http_replies.STATUS` and `http_failed.REASON` count
HTTP requests. `plateau.`, `phase.NAME.`, `session.NAME.` and `target.URL.` before a figure take it
of that part of the run. Percentiles and means are those of the valid seconds. What nothing ever
recorded has no value, and does not hold.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from math import inf

import msgspec

from coordinator.run.parts import DRAIN, PLATEAU, WHOLE, Part
from coordinator.run.progress import HOLD
from coordinator.run.row import Percentiles
from coordinator.run.summary import ByReason, Derived, ExpectationResult, Summary, Verified
from loadgen.errors import PlanError
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import PythonSession
from loadgen.plan.slices import SESSION, TARGET, slices_of
from loadgen.stats.http_ends import HTTP_FAILURES, HTTP_KINDS, is_http_end
from loadgen.stats.reasons import KINDS, Kind, is_reason, names_of
from loadgen.stats.tally import CHECK, HISTOGRAMS, WORKER_WIDE, Count
from loadgen.stats.tally import COUNTS as COUNTERS
from loadgen.values import SECONDS_PER, number_of

INVALID = "invalid_seconds"
PEAK = "open_peak"
FIGURES = (
    *(
        field.name
        for field in msgspec.structs.fields(Summary)
        if field.name in COUNTERS or field.type in (Count, Derived, Verified, float, ByReason)
    ),
    INVALID,
)
"""The numbers of a run, without percentiles and what sessions count and time themselves."""
REACH = "reach"
"""Deliveries received in percent of those expected; a percentage itself, as those of CHECK are."""
DELIVERY = "delivery_"
"""The prefix of the counters of deliveries, which are not measured where none was expected."""
ONLY_WITH = {"checks_": "checks_made", "http_": "http_requests"}
"""The counter without which figures with a prefix are not measured."""
REORDERED = "delivery_reordered"
DURATIONS = tuple(name for name in FIGURES if name.endswith("_s"))
COUNTS = tuple(name for name in FIGURES if name not in DURATIONS)
"""The figures that count connections, messages and the like, or arrivals per second."""
PART_COUNTS = (
    *COUNTERS,
    *HTTP_KINDS,
    "failed",
    "closed",
    "unexpected",
    "open_peak",
    "open_min",
    "open_end",
    INVALID,
)
"""The figures that a part of the run has of its own."""
STATISTICS = Percentiles.__struct_fields__[1:]
COUNTER = "counter."
"""The prefix of a counter of sessions."""
TIMING = "timing."
"""The prefix of a timing of sessions."""
TRANSACTION = "tr_"
"""The beginning of the name of a timing that is a transaction."""
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
UNITS_S = {"us": 1e-6, "µs": 1e-6} | {unit: value for unit, value in SECONDS_PER.items() if unit}
"""The units of time in seconds."""
BASES: dict[str, str] = {
    **dict.fromkeys(("failed", "late", "opened", "relaunched", "counter"), "launched"),
    **dict.fromkeys(("accepted", "closed", "drained_unanswered", "lost", "unexpected"), "opened"),
    "tls_resumed": "tls_handshakes",
    **dict.fromkeys(("pongs", "pongs_missing", "pongs_skipped"), "pings"),
    **dict.fromkeys(("alive_min", "open_end", "open_min"), "open_peak"),
    "messages_compressed": "messages_received",
    "launched": "planned",
    "open_peak": "arrivals",
    "rate_achieved": "rate_asked",
    **dict.fromkeys(("sessions_done", "sessions_failed"), "sessions_started"),
    **dict.fromkeys(("checks_failed", "checks_passed"), "checks_made"),
    **dict.fromkeys(("http_errors", *HTTP_KINDS), "http_requests"),
}
"""The figure that a percentage of another one is taken of."""
FIGURE = r"\w+|(?:counter|timing|check|failed|closed|http_replies|http_failed)\.[^<>=!]*[^<>=!\s]"
PART = r"plateau|(?:phase|session)\.[^<>=!]+?|target\..+?"
NAME = rf"(?:({PART})\.)?({FIGURE})"
NUMBER = r"\d+(?:_\d+|,\d{3})*(?:\.\d+)?(?:e\+?\d{1,3})?"
"""A number as options take it: `1000000`, `1_000_000`, `1,000,000` or `1e6`."""
GRAMMAR = re.compile(rf"\s*{NAME}\s*(>=|<=|==|!=|>|<)\s*({NUMBER})\s*(%|us|µs|ms|s|m|h|)\s*")


class Expectation(msgspec.Struct, frozen=True):
    """One comparison of a figure with a bound."""

    expr: str
    """As the operator wrote it."""
    part: str
    """The part of the run; WHOLE where none is named."""
    figure: str
    comparison: str
    bound: float
    """In milliseconds for percentiles, in seconds for durations, else a count or a percentage."""
    base: str = ""
    """The figure that a percentage is taken of; empty where the bound is none."""

    @property
    def name(self) -> str:
        """The figure with its part of the run, as it is written."""
        return self.figure if self.part == WHOLE else f"{self.part}.{self.figure}"

    def evaluate(self, summary: Summary) -> ExpectationResult:
        """Returns the value of the figure, and whether the expectation holds.

        A figure that was not measured has no value, and its expectation does not hold. Nor has a
        time that is shorter than the clocks which it is taken from may differ.
        """
        value = value_of(self.figure, summary, self.part)
        most = _most_of(self.figure, summary, self.part)
        bound = _bound_of(self.figure, summary)
        if self.base and value is not None:
            base = _base_value(self.base, summary, self.part)
            value = 100 * value / base if base else None
            most = 100 * most / base if base and most is not None else None
        if value is None:
            return ExpectationResult(self.expr, None, held=False, bound=bound or None)
        held = self._holds(value - bound, value + bound if most is None else most)
        samples = _samples(self.figure, summary, self.part)
        at_least = most is not None and most > value
        return ExpectationResult(self.expr, value, held, samples, bound or None, at_least)

    def _holds(self, low: float, high: float) -> bool:
        """Returns True when the comparison holds for all that the figure may be."""
        compare = COMPARISONS[self.comparison]
        nearest = min(max(self.bound, low), high)
        return all(compare(possible, self.bound) for possible in (low, nearest, high))


def parse(text: str, plan: Plan | None = None, option: str = "--expect") -> Expectation:
    """Returns the expectation in a text; raises PlanError with the fault and its fix.

    With a plan, the phases and reasons that it names must be possible in a run of that plan.
    """
    match = GRAMMAR.fullmatch(text)
    if match is None:
        raise PlanError(f"{option} {text!r} is not an expectation; write for example 'failed<0.1%'")
    part, short, comparison, number, unit = match.groups()
    figure = full_name(short)
    try:
        if part and plan is not None:
            part = part_in(plan, part)
        check_figure(figure, part, plan)
        base = _base_of(figure) if unit == "%" and not _is_percentage(figure) else ""
        bound = number_of(number) * _scale(figure, unit)
        if bound == inf:
            raise PlanError("no figure is as large as that")
    except ValueError as error:  # a PlanError is one
        raise PlanError(f"{option} {text!r}: {error}") from error
    return Expectation(text.strip(), part or WHOLE, figure, comparison, bound, base)


def unit_of(expr: str) -> str:
    """Returns the unit of what an expectation compares: `ms`, `s` or `%`.

    It is empty for a count, and for what another version expected.
    """
    try:
        expected = parse(expr)
    except PlanError:
        return ""
    if expected.base or _is_percentage(expected.figure):
        return "%"
    if expected.figure in DURATIONS:
        return "s"
    return "ms" if percentile_of(expected.figure) else ""


def _is_percentage(figure: str) -> bool:
    return figure == REACH or figure.startswith(CHECK)


def part_and_figure(name: str) -> tuple[str, str]:
    """Returns the part and the figure in a name such as `session.chatter.failed`.

    A name that is none comes back whole, as a figure.
    """
    match = re.fullmatch(NAME, name)
    return (match[1] or WHOLE, match[2]) if match else (WHOLE, name)


def part_in(plan: Plan, part: str) -> str:
    """Returns the name of a part of a run of a plan, as the summary has it.

    The only session, or target, is the whole run. Raises PlanError where the plan has no such
    phase, session or target, or where results are not split by it.
    """
    kind, _, name = part.partition(".")
    names: Sequence[str] = (*plan.phase_names, HOLD, DRAIN)
    if kind == PLATEAU:
        return part
    if kind == "session":
        names = [spec.name for spec in plan.session_specs]
    elif kind == "target":
        names = list(plan.shown_urls.values())
        name = plan.shown_urls.get(name, name)
    if name not in names:
        raise PlanError(
            f"the plan has no {kind} {name!r}{nearest_of(name, names)}; it has {', '.join(names)}"
        )
    if kind != "phase" and len(names) == 1:
        return WHOLE
    slices = slices_of(plan)
    if kind != "phase" and f"{kind}.{name}" not in slices.parts:
        raise PlanError(slices.note)
    return f"{kind}.{name}"


def check_figure(figure: str, part: str | None, plan: Plan | None) -> None:
    """Raises PlanError for a name that no figure has, or none of a part of the run."""
    kind, _, reason = figure.partition(".")
    if reason:
        if kind in KINDS:
            _check_reason(kind, reason, plan)
        elif kind in HTTP_KINDS and not is_http_end(kind, reason):
            names = list(HTTP_FAILURES) if kind == "http_failed" else ["200", "404", "503"]
            raise PlanError(
                f"no HTTP request ends so{nearest_of(reason, names)}; write {kind}. and one of"
                f" {', '.join(names)}"
            )
        elif kind == "timing" and percentile_of(figure) is None:
            raise PlanError(
                f"{figure} has no statistic; write {figure}_p99, or another of {_STATS}"
            )
        return
    if part and part.startswith((SESSION, TARGET)) and _is_worker_wide(figure):
        raise PlanError(f"{figure} is measured for the whole run, not by session or target")
    known = PART_COUNTS if part else FIGURES
    if figure in known or percentile_of(figure) is not None or (figure == REACH and not part):
        return
    if figure in PART_COUNTS:
        raise PlanError(f"{figure} is a figure of a part of the run; write {PLATEAU}.{figure}")
    if figure in FIGURES:
        raise PlanError(
            f"{figure} is a figure of the whole run alone; a part of it has {', '.join(known)}"
        )
    percentiles = [f"{name}_{statistic}" for name in HISTOGRAMS for statistic in STATISTICS]
    raise PlanError(
        f"{figure!r} is not a figure{nearest_of(figure, [*known, *percentiles])}; write one of"
        f" {', '.join(known)}, or HISTOGRAM_STATISTIC such as handshake_p99"
        f" ({', '.join(HISTOGRAMS)}; {_STATS}), failed.REASON, closed.REASON, http_replies.STATUS,"
        " http_failed.REASON, or for what sessions count, time and check counter.NAME,"
        " timing.NAME_STATISTIC and check.NAME"
    )


_STATS = ", ".join(STATISTICS)


def _is_worker_wide(figure: str) -> bool:
    percentile = percentile_of(figure)
    return (figure if percentile is None else percentile[1]) in WORKER_WIDE


def _check_reason(kind: Kind, reason: str, plan: Plan | None) -> None:
    """Raises PlanError for a name that no connection can fail or be closed for.

    A session in Python may give its closes reasons of its own.
    """
    own = kind == "closed" and (
        plan is None or any(isinstance(spec, PythonSession) for spec in plan.session_specs)
    )
    if not own and not is_reason(kind, reason):
        raise PlanError(
            f"{reason!r} is no reason for which a connection is {kind}"
            f"{nearest_of(reason, names_of(kind))}; docs/operate.md has the table of reasons"
        )


def nearest_of(name: str, names: Sequence[str]) -> str:
    """Returns a question after the name that is most like this one, if any."""
    found = get_close_matches(name, names, 1)
    return f", did you mean {found[0]!r}?" if found else ""


def _base_of(figure: str) -> str:
    """Returns the figure that a percentage of this one is taken of.

    Raises PlanError when there is none.
    """
    base = BASES.get(figure.partition(".")[0])
    if base is None:
        have = ", ".join(f"{name} (of {base})" for name, base in _bases())
        raise PlanError(
            f"{figure} has no percentage; write a bound in its own unit; these do: {have}"
        )
    return base


def _bases() -> Iterator[tuple[str, str]]:
    for name, base in BASES.items():
        if name in (*FIGURES, *PART_COUNTS):
            yield name, base
        else:
            yield f"{name}.NAME", base


def _scale(figure: str, unit: str) -> float:
    """Returns the factor from a unit to the unit of a figure."""
    if figure in DURATIONS:
        return UNITS_S[unit or "s"]
    if percentile_of(figure) is not None:
        return UNITS_S[unit or "ms"] * 1000
    if unit in UNITS_S and _is_percentage(figure):
        name = figure if figure == REACH else f"{CHECK}NAME"
        raise PlanError(f"{name} is a percentage; write '{name}>=99.99%'")
    if unit in UNITS_S:
        raise PlanError(f"{figure} is a count; write a number, or a percentage")
    return 1.0


def full_name(figure: str) -> str:
    """Returns the name of a figure that may be a short one.

    `tr_login_p95` is short for `timing.tr_login_p95`.
    """
    return f"{TIMING}{figure}" if figure.startswith(TRANSACTION) else figure


def percentile_of(figure: str) -> tuple[str, str, str] | None:
    """Returns the field of the summary, the histogram in it, and the statistic.

    Returns None when the name is not that of a percentile or a mean.
    """
    histogram, _, statistic = figure.rpartition("_")
    if statistic not in STATISTICS:
        return None
    if histogram.startswith(TIMING):
        return "timings", histogram.removeprefix(TIMING), statistic
    return ("histograms", histogram, statistic) if histogram in HISTOGRAMS else None


def value_of(figure: str, summary: Summary, part: str = WHOLE) -> float | None:
    """Returns a figure of a part of the run.

    Percentiles are in milliseconds, durations in seconds. The figure is None when it was not
    measured.
    """
    of = _part_of(summary, part)
    if of is None:
        return None
    percentile = percentile_of(figure)
    if percentile is not None:
        percentiles = _percentiles(figure, summary, part)
        found: float | None = getattr(percentiles, percentile[2]) if percentiles else None
        return None if found is None or found < _bound_of(figure, summary) else found
    kind, _, name = figure.partition(".")
    if figure.startswith(CHECK):
        check = of.checks.get(name)
        return check.share if check and check.total else None
    needs = next((base for start, base in ONLY_WITH.items() if figure.startswith(start)), "")
    if needs not in ("", figure) and not getattr(of, needs):
        return None
    if name:
        counts: Mapping[str, int] = of.counters if kind == "counter" else getattr(of, kind)
        known = is_reason(kind, name) if kind in KINDS else kind in HTTP_KINDS
        return counts.get(name, 0 if known else None)
    if figure.startswith(DELIVERY) and summary.reach is None:
        return None
    if figure == REORDERED and summary.publications and not summary.publications.ordered:
        return None
    value = getattr(of, figure)
    if isinstance(value, dict):
        return float(sum(value.values()))
    return float(len(value)) if isinstance(value, list) else value


def _bound_of(figure: str, summary: Summary) -> float:
    """Returns the milliseconds by which a percentile or a mean is wrong at most."""
    percentile = percentile_of(figure)
    return summary.bounds.get(percentile[1], 0.0) if percentile else 0.0


def _most_of(figure: str, summary: Summary, part: str) -> float | None:
    """Returns the most that a figure may be; None where its value is exact."""
    if figure != PEAK or part != WHOLE:
        return None
    return inf if summary.open_peak_most is None else summary.open_peak_most


def _part_of(summary: Summary, part: str) -> Summary | Part | None:
    return summary if part == WHOLE else summary.parts.get(part)


def _percentiles(figure: str, summary: Summary, part: str) -> Percentiles | None:
    """Returns the percentiles that a figure is taken from; None where they are empty.

    Those of the whole run are of its valid seconds; an older run directory has only those of all.
    """
    percentile = percentile_of(figure)
    of = summary.parts.get(part) or _part_of(summary, part)
    if percentile is None or of is None:
        return None
    field, histogram, _ = percentile
    found: Percentiles | None = getattr(of, field).get(histogram)
    return found if found and found.count else None


def _samples(figure: str, summary: Summary, part: str) -> int | None:
    percentiles = _percentiles(figure, summary, part)
    return percentiles.count if percentiles else None


def _base_value(base: str, summary: Summary, part: str) -> float | None:
    """Returns the figure that a percentage is taken of.

    Subtle: what a part has opened is no base for what was closed in it, since most of that was
    opened before. There it is what was `held`: open at its begin, or opened in it.
    """
    of = _part_of(summary, part)
    if isinstance(of, Part):
        return of.held if base == "opened" else getattr(of, base, getattr(summary, base))
    return getattr(summary, base)  # type: ignore[no-any-return]  # a count or a rate
