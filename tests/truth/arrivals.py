"""Arrivals and think times, by the kernel's own time of each packet."""

from collections import Counter
from itertools import pairwise
from statistics import fmean, pvariance

from tests.compare.smirnov import even, one_sample
from tests.truth.case import Finding, between, case, close, percentile
from tests.truth.packets import captured
from tests.truth.server import Injection

SPLIT = ("--local", "4", "--ping", "none", "--hold", "1")


def _arrivals(rate: int, count: int, law: str) -> list[Finding]:
    """The distances of arrivals, and how they fall into windows of 5 ms."""
    options = (*SPLIT, "--rate", f"{rate}", "--max", f"{count}", "--arrival", law)
    with captured(Injection(), *options) as (capture, _):
        times = sorted(capture.syns.values())
        fit = one_sample([time - times[0] for time in times], even(0, count / rate))
        windows = Counter(int((time - times[0]) / 0.005) for time in times)
        counts = [windows[window] for window in range(int((times[-1] - times[0]) / 0.005))]
        dispersion = pvariance(counts) / fmean(counts)
        found = [
            between("Kolmogorov–Smirnov p of the times", 0.01, 1.0, fit.p),
            between("variance ÷ mean of arrivals in 5 ms", *BOUNDS[law], dispersion),
        ]
        if law == "poisson":
            found.append(between("mean of the gaps × rate", 0.97, 1.03, fmean(_gaps(times)) * rate))
        return found


BOUNDS = {"uniform": (0.0, 0.4), "poisson": (0.85, 1.15)}
"""A Poisson process has 1; even distances have 0, whole milliseconds a little more."""


@case("400 arrivals a second at random times, 8,000 in all, from 4 agents")
def poisson() -> list[Finding]:
    """Launches are exact to a millisecond: they do not come in batches."""
    return _arrivals(400, 8000, "poisson")


@case("400 arrivals a second evenly spaced, 8,000 in all, from 4 agents")
def uniform() -> list[Finding]:
    """As with random times."""
    return _arrivals(400, 8000, "uniform")


@case("think times of 10, 30 and 50 ms, for 10 s")
def think_times() -> list[Finding]:
    """A think time is kept on average, however short it is."""
    found = []
    for think in (0.01, 0.03, 0.05):
        options = ("--local", "1", "--rate", "20", "--max", "20", "--think", f"{think}")
        with captured(Injection(), *options, "--hold", "10") as (capture, _):
            gaps = [gap for pings in capture.pings.values() for gap in _gaps(pings)]
            found.append(
                close(
                    f"mean of a think time of {think * 1000:g} ms", think * 1000, fmean(gaps) * 1000
                )
            )
    return found


def _gaps(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


@case("tshark's times of SYN, 101, ping and pong; 15 % of the pongs after 100 ms")
def packets() -> list[Finding]:
    """An independent witness of the same run."""
    injection = Injection(delays=((0.85, 0.02), (1.0, 0.1)))
    options = ("--local", "1", "--rate", "100", "--max", "300", "--think", "0.5", "--hold", "8")
    with captured(injection, *options) as (capture, outcome):
        summary = outcome.summary
        return [
            *_percentiles("handshake", capture.handshakes, summary),
            *_percentiles("ping_rtt", capture.round_trips, summary),
        ]


def _percentiles(name: str, seconds: list[float], summary: dict) -> list[Finding]:
    ordered = sorted(seconds)
    places = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    return [
        close(
            f"{name} {statistic}",
            1000 * ordered[int(place * len(ordered))],
            percentile(summary, f"{name}_{statistic}"),
        )
        for statistic, place in places.items()
    ]
