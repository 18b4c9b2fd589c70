"""Arrivals and think times, by the kernel's own time of each packet."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pvariance
from tempfile import TemporaryDirectory

from tests.compare.smirnov import Distribution, even, one_sample
from tests.processes import target
from tests.truth.case import Finding, between, case, close, percentiles, same, serving
from tests.truth.packets import captured
from tests.truth.server import Injection

SYN = "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn"
"""The first packet of a connection, for a capture filter (pcap-filter(7))."""
COUNT = 50_000
DISPERSION = {"uniform": (0.0, 0.4), "poisson": (0.85, 1.15)}
"""The variance ÷ the mean of arrivals in a window. A Poisson process has 1; even distances have 0,
whole milliseconds a little more."""


def _arrivals(agents: int, *options: str) -> list[float]:
    """The times of the arrivals from agents, in seconds from the first one."""
    load = ("--local", f"{agents}", "--ping", "none", "--hold", "1", *options)
    with captured(target("--workers", "4"), *load, only=SYN) as (capture, _):
        times = sorted(capture.syns.values())
        return [time - times[0] for time in times]


def _steady(law: str) -> list[Finding]:
    """The fit of 1,000 arrivals a second to the law.

    The times of a Poisson process, between the first and the last, are evenly distributed too.
    """
    times = _arrivals(16, "--max", f"{COUNT}", "--rate", "1000", "--arrival", law)
    return [
        same("arrivals", COUNT, len(times)),
        between("seconds of all", 0.97 * COUNT / 1000, 1.03 * COUNT / 1000, times[-1]),
        _fit(times[1:-1], even(0, times[-1])),
    ]


def _fit(times: list[float], law: Distribution) -> Finding:
    return between("Kolmogorov–Smirnov p of the times", 0.01, 1.0, one_sample(times, law).p)


@case("1,000 arrivals a second at random times, 50,000 in all, from 16 agents")
def poisson() -> list[Finding]:
    """The times of a whole fleet are those of one Poisson process."""
    return _steady("poisson")


@case("1,000 arrivals a second evenly spaced, 50,000 in all, from 16 agents")
def uniform() -> list[Finding]:
    """As with random times."""
    return _steady("uniform")


@case("a ramp from 0 to 2,000 arrivals a second in 50 s, 50,000 in all, from 16 agents")
def ramp() -> list[Finding]:
    """After a part of the ramp, the square of that part has arrived."""
    with TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.toml"
        plan.write_text("[[phases]]\nrate = 0\nrate_to = 2000\nduration = 50\n")
        times = _arrivals(16, "--plan", str(plan))
    return [
        same("arrivals", COUNT, len(times)),
        _fit(times, lambda time: min(1.0, (time / 50) ** 2)),
    ]


@case("400 arrivals a second for 20 s, from 4 agents")
def batches() -> list[Finding]:
    """Launches are exact to a millisecond: they do not come in batches of 5 ms."""
    found = []
    for law, bounds in DISPERSION.items():
        times = _arrivals(4, "--max", "8000", "--rate", "400", "--arrival", law)
        windows = Counter(int(time / 0.005) for time in times)
        counts = [windows[window] for window in range(int(times[-1] / 0.005))]
        dispersion = pvariance(counts) / fmean(counts)
        found.append(between(f"{law}: variance ÷ mean in 5 ms", *bounds, dispersion))
    return found


@case("think times of 10, 30 and 50 ms, for 10 s")
def think_times() -> list[Finding]:
    """A think time is kept on average, however short it is."""
    found = []
    for think in (0.01, 0.03, 0.05):
        options = ("--local", "1", "--rate", "20", "--max", "20", "--think", f"{think}")
        with captured(serving(Injection()), *options, "--hold", "10") as (capture, _):
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
    with captured(serving(injection), *options) as (capture, run):
        summary = run.summary()
        return [
            *percentiles("handshake", capture.handshakes, summary),
            *percentiles("ping_rtt", capture.round_trips, summary),
        ]


@case("the server accepts nothing for 1 s in every 5 s; tshark's times of SYN and 101")
def accept_stalls() -> list[Finding]:
    """A fifth of the users waits evenly between 0 and 1 s for the 101."""
    injection = Injection(accept_every=5.0, accept_pause=1.0)
    options = ("--local", "1", "--rate", "200", "--max", "4000", "--ping", "none", "--hold", "1")
    with captured(serving(injection), *options) as (capture, run):
        summary = run.summary()
        return [
            same("opened", len(capture.handshakes), summary["opened"]),
            *percentiles("handshake", capture.handshakes, summary),
            between("handshake p90, by hand", 480, 560, summary["histograms"]["handshake"]["p90"]),
        ]
