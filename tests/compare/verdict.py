"""The comparison of one file's two outcomes: counts, arrivals and think times."""

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Literal, NamedTuple

from tests.compare.cases import EVERYWHERE, Case, Known
from tests.compare.smirnov import Distribution, Fit, exponential, mixture, one_sample, two_samples
from tests.compare.tools import Outcome

Verdict = Literal["same", "by chance", "explained", "DIFFERENT"]
MAX_SIGMAS = 3.5
"""Standard deviations by which counts may differ by chance: equal tools exceed it once in 2,000
comparisons."""
SIGNIFICANT = 0.001
"""The probability below which a fit is rejected; one comparison has about fifty fits."""

NOT_AS_ASKED = Known(("*",), "loadgen's times are as asked for, Tsung's are not")


class Finding(NamedTuple):
    """One count of both tools."""

    name: str
    tsung: float
    loadgen: float
    verdict: Verdict
    known: Known | None = None
    """The reason of the difference."""


class Shape(NamedTuple):
    """The distribution of some times of both tools."""

    name: str
    means: tuple[float, float]
    """Tsung's and loadgen's, in seconds."""
    between: Fit
    tsung: Fit
    """The fit of Tsung's times to the configured distribution; the next one is loadgen's."""
    loadgen: Fit
    verdict: Verdict
    """`same`: loadgen's times fit the configured distribution and Tsung's."""
    known: Known | None = None


class Comparison(NamedTuple):
    """The comparison of one file."""

    case: Case
    tsung: Outcome
    loadgen: Outcome
    findings: list[Finding]
    shapes: list[Shape]

    @property
    def seen(self) -> list[Finding | Shape]:
        """All comparisons of the file."""
        return [*self.findings, *self.shapes]

    @property
    def held(self) -> bool:
        """True when nothing differs without a known reason."""
        return all(seen.verdict != "DIFFERENT" for seen in self.seen)

    @property
    def unseen(self) -> list[Known]:
        """The known differences of this file that did not occur."""
        seen = [seen.known for seen in self.seen]
        return [known for known in self.case.known if known not in seen]


def compare(case: Case, tsung: Outcome, loadgen: Outcome) -> Comparison:
    """Returns the comparison of a file's outcomes."""
    return Comparison(
        case,
        tsung,
        loadgen,
        list(_findings(case, tsung, loadgen)),
        list(_shapes(case, tsung, loadgen)),
    )


def _findings(case: Case, tsung: Outcome, loadgen: Outcome) -> Iterator[Finding]:
    pairs = (
        (tsung.recording.counts(), loadgen.recording.counts()),
        (tsung.statistics, loadgen.statistics),
    )
    for one, other in pairs:
        for name in dict.fromkeys([*one, *other]):
            yield finding(case, name, one.get(name, 0), other.get(name, 0))


def finding(case: Case, name: str, tsung: float, loadgen: float) -> Finding:
    """Returns the verdict on a count."""
    if tsung == loadgen:
        return Finding(name, tsung, loadgen, "same")
    if (chance := case.chances.get(name)) is not None:
        users = sum(users for users, _ in case.rates)
        near = abs(tsung - loadgen) <= MAX_SIGMAS * sqrt(2 * users * chance * (1 - chance))
        return Finding(name, tsung, loadgen, "by chance" if near else "DIFFERENT")
    return Finding(name, tsung, loadgen, *_differs(case, name))


def _differs(case: Case, name: str) -> tuple[Verdict, Known | None]:
    known = next((known for known in (*case.known, *EVERYWHERE) if known.explains(name)), None)
    return ("explained", known) if known else ("DIFFERENT", None)


def _shapes(case: Case, tsung: Outcome, loadgen: Outcome) -> Iterator[Shape]:
    one = tsung.recording
    other = loadgen.recording
    arrivals = mixture([(users, exponential(rate)) for users, rate in case.rates])
    yield shape(case, "arrivals", one.arrival_gaps(), other.arrival_gaps(), arrivals)
    if case.spread:
        asked = exponential(case.rates[0][1], case.spread)
        pair = one.arrival_gaps(case.spread), other.arrival_gaps(case.spread)
        yield shape(case, f"every {case.spread}th arrival", *pair, asked)
    for text, asked in case.thinks.items():
        yield shape(
            case, f"think times, {text}", one.think_times(text), other.think_times(text), asked
        )


def shape(
    case: Case, name: str, tsung: Sequence[float], loadgen: Sequence[float], asked: Distribution
) -> Shape:
    """Returns the fits of two samples to each other and to the configuration.

    Where they differ because only Tsung's do not fit the configuration, that is the reason.
    """
    means = sum(tsung) / len(tsung), sum(loadgen) / len(loadgen)
    between = two_samples(tsung, loadgen)
    theirs = one_sample(tsung, asked)
    ours = one_sample(loadgen, asked)
    verdict: tuple[Verdict, Known | None] = ("same", None)
    if ours.p < SIGNIFICANT or (between.p < SIGNIFICANT <= theirs.p):
        verdict = _differs(case, name)
    elif between.p < SIGNIFICANT:
        verdict = ("explained", NOT_AS_ASKED)
    return Shape(name, means, between, theirs, ours, *verdict)
