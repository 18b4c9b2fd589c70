"""The table of truths: what is injected, what follows, what is reported."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

from tests.debian import installed
from tests.processes import (
    Address,
    Command,
    Coordinator,
    closing_command,
    command,
    coordinator,
    get_json,
)
from tests.truth.server import Injection

PERCENT = 0.02
"""The part of a time by which it may be wrong."""
MILLISECOND = 1.0
"""The milliseconds by which a short time may be wrong."""
PLACES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
"""The part of the values below each percentile."""


class Finding(NamedTuple):
    """One figure of a case."""

    figure: str
    truth: str
    """The value that follows from the injection."""
    reported: str
    held: bool
    tail: float = 0.0
    """The part of the values beyond a time; 0 for a count. A busy machine falsifies times, and
    those with a short tail first."""


class Case(NamedTuple):
    """One thing that is injected."""

    injected: str
    find: Callable[[], list[Finding]]
    small: bool
    """True when it is quick enough for the gate."""


CASES: dict[str, Case] = {}
"""By name, in the order of the table."""


def case(
    injected: str, *, small: bool = False
) -> Callable[[Callable[[], list[Finding]]], Callable[[], list[Finding]]]:
    """Puts a case into the table, under the name of its function."""

    def put(find: Callable[[], list[Finding]]) -> Callable[[], list[Finding]]:
        CASES[find.__name__.replace("_", " ")] = Case(injected, find, small)
        return find

    return put


def same(figure: str, truth: Any, reported: Any) -> Finding:
    """Returns the finding of a figure that must be exact."""
    return Finding(figure, f"{truth}", f"{reported}", truth == reported)


def close(figure: str, truth_ms: float, reported_ms: float | None, place: float = 0.5) -> Finding:
    """Returns the finding of a time, in milliseconds.

    `place` is the part of the values below it.
    """
    tail = 1 - place
    if reported_ms is None:
        return Finding(figure, f"{truth_ms:,.1f} ms", "not measured", held=False, tail=tail)
    allowed = max(MILLISECOND, PERCENT * truth_ms)
    held = abs(reported_ms - truth_ms) <= allowed
    return Finding(figure, f"{truth_ms:,.1f} ms", f"{reported_ms:,.1f} ms", held, tail)


def between(figure: str, low: float, high: float, reported: float) -> Finding:
    """Returns the finding of a figure that must be within bounds."""
    return Finding(figure, f"{low:g} to {high:g}", f"{reported:.3g}", low <= reported <= high)


@contextmanager
def serving(injection: Injection) -> Iterator[Address]:
    """The address of a server with an injection, in a process of its own."""
    words = [sys.executable, "-m", "tests.truth.server", msgspec.json.encode(injection).decode()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Address("127.0.0.1", int(process.stdout.readline()))
        finally:
            process.terminate()


class Outcome(NamedTuple):
    """A run that is over, and the ledger of its server."""

    run: Coordinator
    summary: dict[str, Any]
    server: dict[str, Any]


@contextmanager
def played(injection: Injection, *options: str) -> Iterator[Outcome]:
    """The outcome of a run against a server with an injection."""
    with (
        TemporaryDirectory() as folder,
        serving(injection) as server,
        coordinator(Path(folder), *options, server.ws) as run,
    ):
        yield outcome_of(run, server)


def outcome_of(run: Coordinator, server: Address) -> Outcome:
    """Waits for the end of a run; returns its outcome."""
    run.end(180)
    ledger = get_json(f"http://{server.host}:{server.port}/ledger")
    return Outcome(run, run.summary(), ledger)


def percentiles(
    name: str,
    truths_ms: Sequence[float],
    summary: dict[str, Any],
    statistics: Sequence[str] = ("p50", "p90", "p99"),
) -> list[Finding]:
    """Returns the findings of percentiles of a histogram, by the true times."""
    ordered = sorted(truths_ms)
    return [
        close(
            f"{name} {statistic}",
            ordered[int(PLACES[statistic] * len(ordered))],
            percentile(summary, f"{name}_{statistic}"),
            PLACES[statistic],
        )
        for statistic in statistics
    ]


def agent_on_a_fast_clock(coordinator_url: str, *options: str) -> AbstractContextManager[Command]:
    """Returns an agent whose clock is 3.7 s ahead and 50 ppm fast, for one run."""
    join = command("loadgen-agent", "--once", "--coordinator", coordinator_url, *options)
    return closing_command([installed("faketime"), "-f", "+3.7s x1.00005", *join])


def percentile(summary: dict[str, Any], name: str) -> float | None:
    """Returns a figure such as `ping_rtt_p99`, in milliseconds; None without one."""
    histogram, _, statistic = name.rpartition("_")
    found: float | None = summary["histograms"].get(histogram, {}).get(statistic)
    return found
