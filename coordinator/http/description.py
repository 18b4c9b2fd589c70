"""The description of a run as it stands: the JSON of /v1/run and of the feed."""

from math import inf
from typing import Any

from coordinator.run.row import in_order, summaries
from coordinator.run.run import Run
from loadgen.plan.life import alive_within
from loadgen.stats.ledger import Ledger
from loadgen.stats.reasons import unexpected


def describe(run: Run, now: float) -> dict[str, Any]:
    """Returns the run as it stands: plan, state, agents, totals and ledger.

    `now` is in seconds on the run's clock; percentiles are in milliseconds.
    """
    total = run.total
    agents = [
        {
            "name": agent.name,
            "status": agent.status_at(now),
            "refusal": agent.refusal,
            "addresses": agent.shown_addresses(run.shown_urls),
            "preflight": agent.warning,
            "silent_s": round(now - agent.seen, 1),
            "workers": len(agent.workers),
            "cpu_s": round(agent.cpu_s, 3),
            "clock": agent.clock,
            "ledger": Ledger.of(agent.planned, run.reports.total_of(agent)),
            "alive": run.reports.alive_of(agent),
        }
        for agent in run.agents.by_id.values()
    ]
    return {
        "key": run.key,
        "state": run.state,
        "paused": run.paused,
        "plan": run.plan.redacted(),
        "insecure": run.plan.insecure,
        "appwrite": run.plan.appwrite,
        "wanted": run.wanted,
        "phase": run.phase(now),
        "phases": run.phase_progress(),
        "changes": run.steering.asked(),
        "age_s": round(run.age(now), 3),
        "drain_after_s": round(run.progress.drain_after, 3)
        if run.progress.drain_after < inf
        else None,
        "aborted": {"why": run.ending.aborted, "second": run.ending.aborted_at}
        if run.ending.aborted
        else None,
        "ledger": run.ledger,
        "unexpected": unexpected(total.closed),
        "alive": run.fanin.alive,
        "alive_within_s": alive_within(run.plan.session_specs),
        "totals": total.counts(),
        "compression": in_order(total.compression),
        "histograms": summaries(total.histograms()),
        "counters": in_order(total.counters),
        "timings": summaries(in_order(total.timings)),
        "checks": in_order(total.checks),
        "http_replies": in_order(total.http_replies),
        "http_failed": in_order(total.http_failed),
        "parts": run.parts.figures(run.slices.parts) if run.slices.number else {},
        "reach": total.reach,
        "publications": run.publications.summary if run.plan.publish else None,
        "agents": agents,
    }
