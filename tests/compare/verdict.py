"""The two outcomes of one file compared: each count, and the distributions of arrivals and think
times."""

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Literal, NamedTuple

from tests.compare.cases import EVERYWHERE, Case, Known
from tests.compare.smirnov import Distribution, Fit, exponential, mixture, one_sample, two_samples
from tests.compare.tools import Outcome

Verdict = Literal["same", "by chance", "explained", "DIFFERENT"]
SIGMAS = 3.5
"""How far apart counts by chance may be: equal tools are further apart once in 2,000
comparisons."""
SIGNIFICANT = 0.001
"""The probability below which a fit is rejected; there are about fifty in one comparison."""

NOT_AS_ASKED = Known(("*",), "loadgen's times are as asked for, Tsung's are not")


class Finding(NamedTuple):
    """One count of both."""

    name: str
    tsung: float
    loadgen: float
    verdict: Verdict
    known: Known | None = None
    """Why they differ."""


class Shape(NamedTuple):
    """The distribution of some times of both."""

    name: str
    means: tuple[float, float]
    """Tsung's and loadgen's, in seconds."""
    between: Fit
    tsung: Fit
    """Against what the configuration asks for, as the next."""
    loadgen: Fit
    verdict: Verdict
    """`same`: loadgen's are as asked for, and of Tsung's distribution."""
    known: Known | None = None


class Comparison(NamedTuple):
    """All about one file."""

    case: Case
    tsung: Outcome
    loadgen: Outcome
    findings: list[Finding]
    shapes: list[Shape]

    @property
    def seen(self) -> list[Finding | Shape]:
        """All that was compared."""
        return [*self.findings, *self.shapes]

    @property
    def held(self) -> bool:
        """Whether nothing differs without a known reason."""
        return all(seen.verdict != "DIFFERENT" for seen in self.seen)

    @property
    def unseen(self) -> list[Known]:
        """Known differences of this file that did not show."""
        seen = [seen.known for seen in self.seen]
        return [known for known in self.case.known if known not in seen]


def compare(case: Case, tsung: Outcome, loadgen: Outcome) -> Comparison:
    """The comparison of a file's outcomes."""
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
    """What is to be said of a count."""
    if tsung == loadgen:
        return Finding(name, tsung, loadgen, "same")
    if (chance := case.chances.get(name)) is not None:
        users = sum(users for users, _ in case.rates)
        near = abs(tsung - loadgen) <= SIGMAS * sqrt(2 * users * chance * (1 - chance))
        return Finding(name, tsung, loadgen, "by chance" if near else "DIFFERENT")
    return Finding(name, tsung, loadgen, *_differs(case, name))


def _differs(case: Case, name: str) -> tuple[Verdict, Known | None]:
    known = next((known for known in (*case.known, *EVERYWHERE) if known.explains(name)), None)
    return ("explained", known) if known else ("DIFFERENT", None)


def _shapes(case: Case, tsung: Outcome, loadgen: Outcome) -> Iterator[Shape]:
    one, other = tsung.recording, loadgen.recording
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
    """Two samples against each other, and each against what was asked for.

    Where they differ since Tsung's are not as asked for and loadgen's are, that is the reason.
    """
    means = sum(tsung) / len(tsung), sum(loadgen) / len(loadgen)
    between, theirs, ours = (
        two_samples(tsung, loadgen),
        one_sample(tsung, asked),
        one_sample(loadgen, asked),
    )
    verdict: tuple[Verdict, Known | None] = ("same", None)
    if ours.p < SIGNIFICANT or (between.p < SIGNIFICANT <= theirs.p):
        verdict = _differs(case, name)
    elif between.p < SIGNIFICANT:
        verdict = ("explained", NOT_AS_ASKED)
    return Shape(name, means, between, theirs, ours, *verdict)
