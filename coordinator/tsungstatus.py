"""What Tsung's `GET /es/ts_api:status` tells, of a run of ours."""

from typing import Any

from coordinator.run import Run
from loadgen.arrivals import Span


def tsung_status(run: Run, now: float, cpu: float) -> dict[str, Any]:
    """Tsung's fields with Tsung's meaning; `cpu` is the coordinator's own, in percent of one core.

    The request rate is that of the last settled second: upgrades, and what scripts await replies to.
    """
    spans = run.plan.schedule.spans if run.plan.phases else ()
    total, last = run.total, run.timeline.last
    histograms = {**last.fleet.histograms, **last.fleet.timings} if last is not None else {}
    requests = histograms.get("request") or histograms.get("handshake") or {"count": 0}
    return {
        "phase": _phase(spans, run.gates, run.age(now)),
        "phase_total": max(1, len(spans)),
        "users": total.sessions_started - total.sessions_done,
        "connected_users": run.ledger.open,
        "request_rate": float(requests["count"]),
        "active_beams": len(run.active()),
        "cpu_controller": round(cpu, 2),
    }


def _phase(spans: tuple[Span, ...], gates: tuple[float, ...], age: float) -> int:
    """The number of the phase that is under way, from 1; behind a gate that is shut no phase has begun."""
    openings = (0.0, *gates)
    return max(1, sum(span.gate < len(openings) and openings[span.gate] + span.begin <= age for span in spans))
