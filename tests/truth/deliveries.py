"""Publications that are delivered late, twice, out of order, or not at all."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.processes import coordinator
from tests.truth.case import (
    MILLISECOND,
    PERCENT,
    Finding,
    agent_on_a_fast_clock,
    between,
    case,
    outcome_of,
    percentile,
    percentiles,
    played,
    same,
    serving,
)
from tests.truth.server import Injection

LOAD = ("--rate", "200", "--max", "200", "--think", "1", "--hold", "9")
PUBLISH = ("--publish", "target", "--publish-rate", "10")
DELAYS = ((0.85, 0.25), (1.0, 0.5))


@case("85 % of the deliveries after 250 ms, 15 % after 500 ms")
def delivery_times() -> list[Finding]:
    """Percentiles are those of the server's own times; each delivery counts once."""
    with played(Injection(deliver=DELAYS), "--local", "2", *LOAD, *PUBLISH) as (_, found, server):
        return [
            *percentiles("delivery", server["took"], found),
            same("publications", server["published"], found["publications"]["sent"]),
            same("deliveries", server["deliveries"], found["delivery_received"]),
            same("reach", 100.0, found["reach"]),
        ]


@case("3 % of the deliveries lost, 2 % sent twice, 1 % after the next one", small=True)
def deliveries() -> list[Finding]:
    """Every loss, duplicate and reordering is found."""
    injection = Injection(lose=0.03, double=0.02, swap=0.01)
    with played(injection, "--local", "2", *LOAD, *PUBLISH) as (_, found, server):
        return [
            same("expected", server["deliveries"], found["delivery_expected"]),
            same("lost", server["lost"], found["delivery_lost"]),
            same("duplicates", server["doubled"], found["delivery_duplicates"]),
            same("reordered", server["swapped"], found["delivery_reordered"]),
        ]


@case("deliveries after 250 ms to an agent whose clock is 3.7 s ahead and 50 ppm fast")
def delivery_across_clocks() -> list[Finding]:
    """The times are right within the bound that is stated with them."""
    with (
        TemporaryDirectory() as folder,
        serving(Injection(deliver=((1.0, 0.25),))) as server,
        coordinator(Path(folder), "--agents", "1", *LOAD, *PUBLISH, server.ws) as run,
        agent_on_a_fast_clock(run.url),
    ):
        _, found, ledger = outcome_of(run, server)
    bound = found["publications"]["clock_bound_ms"]
    middle = sorted(ledger["took"])[len(ledger["took"]) // 2]
    low, high = middle - bound - MILLISECOND, middle + bound + PERCENT * middle
    return [
        same("received", ledger["deliveries"], found["delivery_received"]),
        same("without a time", 0, found["delivery_untimed"] + found["delivery_negative"]),
        between("bound of the times, ms", 0.001, 50.0, bound),
        between("delivery p50, ms", low, high, percentile(found, "delivery_p50") or 0.0),
    ]
