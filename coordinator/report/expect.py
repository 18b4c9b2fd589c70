"""What a run is expected to show: `open_peak>=1000000`, `handshake_p99<500ms`, `failed<0.1%`.

What sessions count and time themselves goes by `counter.NAME` and `timing.NAME_STATISTIC`; a
counter that nobody ever touched is 0.
"""

import operator
import re
from collections.abc import Callable
from typing import Any

import msgspec

from loadgen.errors import PlanError
from loadgen.stats.histogram import QUANTILES
from loadgen.stats.tally import HISTOGRAMS

COUNTS = (
    "planned",
    "launched",
    "relaunched",
    "opened",
    "accepted",
    "open_peak",
    "open_end",
    "failed",
    "closed",
    "lost",
    "late",
    "pings",
    "pongs",
    "messages_sent",
    "messages_received",
    "bytes_sent",
    "bytes_received",
    "ports_skipped",
    "sessions_started",
    "sessions_done",
    "rate_asked",
    "rate_achieved",
)
DURATIONS = ("duration_s", "plateau_s")
COUNTER, TIMING = "counter.", "timing."
"""Before the name of a session's own."""
STATISTICS = (*QUANTILES, "max")
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
TIMES_MS = {"us": 0.001, "µs": 0.001, "ms": 1.0, "s": 1000.0}
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
    """Whether the figure is taken in percent of the launched connections."""

    def evaluate(self, summary: dict[str, Any]) -> dict[str, Any]:
        """`{expr, value, held}`; what was not measured has no value and does not hold."""
        value = value_of(self.name, summary)
        if self.percent and value is not None:
            value = 100 * value / summary["launched"] if summary["launched"] else None
        held = value is not None and COMPARISONS[self.comparison](value, self.bound)
        return {"expr": self.expr, "value": value, "held": held}


def parse(text: str) -> Expectation:
    """The expectation in a text; raises PlanError saying what is wrong with it."""
    match = GRAMMAR.fullmatch(text)
    if match is None:
        raise PlanError(f"--expect {text!r} is not an expectation; write for example 'failed<0.1%'")
    name, comparison, number, unit = match.groups()
    return Expectation(
        text.strip(), name, comparison, float(number) * _scale(text, name, unit), unit == "%"
    )


def _scale(text: str, name: str, unit: str) -> float:
    if name in COUNTS or name.startswith(COUNTER):
        if unit not in ("", "%"):
            raise PlanError(
                f"--expect {text!r}: {name} is a count; write a number or a percentage of the"
                " launched"
            )
        return 1.0
    if name not in DURATIONS and _percentile(name) is None:
        raise PlanError(
            f"--expect {text!r}: there is no {name!r}; there are"
            f" {', '.join((*COUNTS, *DURATIONS))}, and HISTOGRAM_STATISTIC such as handshake_p99"
            f" ({', '.join(HISTOGRAMS)}; {', '.join(STATISTICS)}), and of sessions' own"
            " counter.NAME and timing.NAME_STATISTIC"
        )
    if unit == "%":
        raise PlanError(f"--expect {text!r}: {name} is a time; write us, ms or s")
    if name in DURATIONS:
        return TIMES_MS[unit] / 1000 if unit else 1.0
    return TIMES_MS[unit or "ms"]


def _percentile(name: str) -> tuple[str, str, str] | None:
    """Which histogram's which statistic a name means: the key of the summary, the histogram's
    name, the statistic's."""
    histogram, _, statistic = name.rpartition("_")
    if statistic not in STATISTICS:
        return None
    if histogram.startswith(TIMING):
        return "timings", histogram.removeprefix(TIMING), statistic
    return ("histograms", histogram, statistic) if histogram in HISTOGRAMS else None


def value_of(name: str, summary: dict[str, Any]) -> float | None:
    """The figure of a summary that a name means; None when it was not measured."""
    percentile = _percentile(name)
    if percentile is not None:
        key, histogram, statistic = percentile
        figures = summary[key].get(histogram, {"count": 0})
        return float(figures[statistic]) if figures["count"] else None
    if name.startswith(COUNTER):
        return float(summary["counters"].get(name.removeprefix(COUNTER), 0))
    value = summary[name]
    return float(sum(value.values())) if isinstance(value, dict) else value
