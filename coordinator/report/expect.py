"""Expectations of a run.

Examples: `open_peak>=1000000`, `handshake_p99<500ms`, `failed<0.1%`.

The figures are the fields of the summary. What sessions count and time themselves is
`counter.NAME` and `timing.NAME_STATISTIC`; a counter that no session touched is 0.
"""

import operator
import re
from collections.abc import Callable

import msgspec

from coordinator.run.summary import ByReason, Derived, ExpectationResult, Summary
from coordinator.run.timeline import Percentiles
from loadgen.errors import PlanError
from loadgen.stats.tally import COUNTS as COUNTERS
from loadgen.stats.tally import HISTOGRAMS, Count

FIGURES = tuple(
    field.name
    for field in msgspec.structs.fields(Summary)
    if field.name in COUNTERS or field.type in (Count, Derived, float, ByReason)
)
"""The numbers of a run, without percentiles and what sessions count and time themselves."""
REACH = "reach"
"""Deliveries received in percent of those expected: the one figure that is a percentage itself."""
DELIVERY = "delivery_"
"""The prefix of the counters of deliveries, which are not measured where none was expected."""
REORDERED = "delivery_reordered"
DURATIONS = tuple(name for name in FIGURES if name.endswith("_s"))
COUNTS = tuple(name for name in FIGURES if name not in DURATIONS)
"""The figures that count connections, messages and the like, or arrivals per second."""
STATISTICS = Percentiles.__struct_fields__[1:]
COUNTER = "counter."
"""The prefix of a counter of sessions."""
TIMING = "timing."
"""The prefix of a timing of sessions."""
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
TIMES_MS = {"us": 0.001, "µs": 0.001, "ms": 1.0, "s": 1000.0}
"""The units of time in milliseconds."""
NAME = r"\w+|(?:counter|timing)\.[^<>=!]*[^<>=!\s]"
GRAMMAR = re.compile(
    rf"\s*({NAME})\s*(>=|<=|==|!=|>|<)\s*(\d+(?:_\d+)*(?:\.\d+)?)\s*(%|us|µs|ms|s|)\s*"
)


class Expectation(msgspec.Struct, frozen=True):
    """One comparison of a figure of the summary with a bound."""

    expr: str
    """As the operator wrote it."""
    name: str
    comparison: str
    bound: float
    """In milliseconds for percentiles, in seconds for durations, else a count or a percentage."""
    percent: bool = False
    """True when the figure is taken in percent of the launched connections."""

    def evaluate(self, summary: Summary) -> ExpectationResult:
        """Returns the value of the figure, and whether the expectation holds.

        A figure that was not measured has no value, and its expectation does not hold.
        """
        value = value_of(self.name, summary)
        if self.percent and value is not None:
            value = 100 * value / summary.launched if summary.launched else None
        held = value is not None and COMPARISONS[self.comparison](value, self.bound)
        return ExpectationResult(self.expr, value, held)


def parse(text: str) -> Expectation:
    """Returns the expectation in a text; raises PlanError with the fault and its fix."""
    match = GRAMMAR.fullmatch(text)
    if match is None:
        raise PlanError(f"--expect {text!r} is not an expectation; write for example 'failed<0.1%'")
    name, comparison, number, unit = match.groups()
    if name == REACH:
        if unit not in ("", "%"):
            raise PlanError(f"--expect {text!r}: reach is a percentage; write 'reach>=99.99%'")
        return Expectation(text.strip(), name, comparison, float(number))
    bound = float(number) * _scale(text, name, unit)
    return Expectation(text.strip(), name, comparison, bound, unit == "%")


def _scale(text: str, name: str, unit: str) -> float:
    """Returns the factor from a unit to the unit of a figure."""
    if name in COUNTS or name.startswith(COUNTER):
        if unit not in ("", "%"):
            raise PlanError(
                f"--expect {text!r}: {name} is a count; write a number, or a percentage of the"
                " launched connections"
            )
        return 1.0
    if name not in DURATIONS and _percentile_of(name) is None:
        raise PlanError(
            f"--expect {text!r}: {name!r} is not a figure; write one of"
            f" {', '.join((*COUNTS, *DURATIONS, REACH))}, or HISTOGRAM_STATISTIC such as"
            f" handshake_p99 ({', '.join(HISTOGRAMS)}; {', '.join(STATISTICS)}), or for what"
            " sessions count and time counter.NAME and timing.NAME_STATISTIC"
        )
    if unit == "%":
        raise PlanError(f"--expect {text!r}: {name} is a time; write us, ms or s")
    if name in DURATIONS:
        return TIMES_MS[unit] / 1000 if unit else 1.0
    return TIMES_MS[unit or "ms"]


def _percentile_of(name: str) -> tuple[str, str, str] | None:
    """Returns the field of the summary, the histogram in it, and the statistic.

    None when the name is not that of a percentile.
    """
    histogram, _, statistic = name.rpartition("_")
    if statistic not in STATISTICS:
        return None
    if histogram.startswith(TIMING):
        return "timings", histogram.removeprefix(TIMING), statistic
    return ("histograms", histogram, statistic) if histogram in HISTOGRAMS else None


def value_of(name: str, summary: Summary) -> float | None:
    """Returns the figure of a name.

    Percentiles are in milliseconds, durations in seconds.

    None when it was not measured.
    """
    percentile = _percentile_of(name)
    if percentile is not None:
        field, histogram, statistic = percentile
        percentiles = getattr(summary, field).get(histogram)
        return getattr(percentiles, statistic) if percentiles and percentiles.count else None
    if name.startswith(COUNTER):
        return float(summary.counters.get(name.removeprefix(COUNTER), 0))
    if name.startswith(DELIVERY) and summary.reach is None:
        return None
    if name == REORDERED and summary.publications and not summary.publications.ordered:
        return None
    value = getattr(summary, name)
    return float(sum(value.values())) if isinstance(value, dict) else value
