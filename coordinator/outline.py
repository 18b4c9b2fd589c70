"""A plan in words: its phases, its sessions and targets with their parts of all users, and its end."""

from collections.abc import Iterator
from math import inf

from coordinator.words import columns, count, seconds
from loadgen.phases import Phase
from loadgen.plan import Plan


def outline(plan: Plan) -> Iterator[str]:
    """One text for each of them."""
    yield _table(["phase", "from", "to", "arrivals", "rate", "besides"], _phases(plan))
    if plan.sessions:
        yield _table(["session", "users"], [[name, f"{part:.2%}"] for name, part in parts_of_sessions(plan).items()])
    if plan.targets:
        whole = sum(target.weight for target in plan.targets)
        yield _table(["target", "users"], [[target.url, f"{target.weight / whole:.2%}"] for target in plan.targets])
    yield f"{_arrived(plan)}, {_drained(plan)}"


def parts_of_sessions(plan: Plan) -> dict[str, float]:
    """The part of all users that each session may expect, by name; phases may have mixes of their own."""
    parts = dict.fromkeys((behaviour.name for behaviour in plan.behaviours), 0.0)
    usual = {behaviour.name: behaviour.weight for behaviour in plan.behaviours}
    mixes = [phase.sessions or usual for phase in plan.phases] or [usual]
    for mix, span in zip(mixes, plan.schedule.spans, strict=True):
        for name, weight in mix.items():
            parts[name] += weight / sum(mix.values()) * span.planned / plan.total
    return parts


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(columns([head, *rows]))


def _phases(plan: Plan) -> list[list[str]]:
    """When each phase runs, who comes in it, and what else happens."""
    phases = plan.phases or (Phase(rate=plan.rate, max=plan.max),)
    return [
        [
            name,
            *(_time(span.gate, at) for at in (span.begin, span.end)),
            count(span.planned),
            _rate(phase),
            _other(phase),
        ]
        for name, span, phase in zip(plan.phase_names, plan.schedule.spans, phases, strict=True)
    ]


def _time(gate: int, after: float) -> str:
    """When a gate opens nobody knows before all sessions ahead of it are over."""
    return f"gate {gate} + {seconds(after)}" if gate else seconds(after)


def _rate(phase: Phase) -> str:
    first, last = f"{phase.rate:,.6g}/s", f"{phase.last_rate:,.6g}/s"
    return "–" if not (phase.rate or phase.last_rate) else first if phase.is_steady else f"{first} to {last}"


def _other(phase: Phase) -> str:
    mix = ", ".join(f"{name} {weight:g}" for name, weight in phase.sessions.items())
    words = {
        f"sessions {mix}": phase.sessions,
        "who leaves comes back": phase.keep,
        f"{phase.churn:,.6g}/s are replaced": phase.churn,
        f"{100 * phase.storm:.6g} % are cut and back within {phase.jitter:g} s": phase.storm,
        "waits for all sessions": phase.wait,
    }
    return "; ".join(text for text, applies in words.items() if applies)


def _arrived(plan: Plan) -> str:
    schedule = plan.schedule
    if not plan.phases:
        return f"last arrival after {seconds(schedule.end())}"
    return f"last phase over {'at' if schedule.gates > 1 else 'after'} {_time(schedule.gates - 1, schedule.end())}"


def _drained(plan: Plan) -> str:
    drained = plan.drain_at()
    if drained < inf:
        return f"drained after {seconds(drained)}"
    return "over with the last session" if plan.hold == "sessions" else f"drained {seconds(plan.hold)} later"
