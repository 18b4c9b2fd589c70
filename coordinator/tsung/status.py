"""The status of a run in the form of Tsung's `GET /es/ts_api:status`."""

from typing import Any

from coordinator.run.run import Run


def tsung_status(run: Run, now: float, cpu: float) -> dict[str, Any]:
    """Returns Tsung's fields with Tsung's meaning.

    `now` is in seconds on the run's clock; `cpu` is the coordinator's, in percent of one core. The
    request rate is that of the last settled second: upgrades, or the requests of scripts.
    """
    phase, phases = run.progress.place(run.age(now))
    total, last = run.total, run.timeline.last
    histograms = {**last.fleet.histograms, **last.fleet.timings} if last is not None else {}
    requests = histograms.get("request") or histograms.get("handshake")
    return {
        "phase": phase,
        "phase_total": phases,
        "users": total.sessions_running,
        "connected_users": run.ledger.open,
        "request_rate": float(requests.count if requests else 0),
        "active_beams": len(run.agents.active()),
        "cpu_controller": round(cpu, 2),
    }
