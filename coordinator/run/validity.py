"""The validity of a settled second: the reasons that its numbers prove nothing."""

from loadgen.stats.fanin import Settled
from loadgen.stats.ledger import Ledger


def why_invalid(
    settled: Settled, ledger: Ledger, mark: str = "", *, exact: bool = True
) -> list[str]:
    """Returns the reasons that the numbers of a second prove nothing.

    `ledger` is that of its end, `mark` a fault that no agent reports. `exact`: what agents hold can
    be compared with the counts.
    """
    wrong = [f"no report from {', '.join(settled.missing)}"] if settled.missing else []
    if settled.lost:
        wrong.append(f"no report from {', '.join(settled.lost)} before the loss")
    wrong += [
        f"no report from worker {number} of agent {name} before it was gone"
        for name, part in settled.parts.items()
        for number in part.delays.unreported
    ]
    wrong += [mark] if mark else []
    merged = [name for name, part in settled.parts.items() if part.span != 1]
    if merged:
        wrong.append(f"{', '.join(merged)} reported the counts of several seconds as one")
    wrong += [
        f"the ledger does not add up: {law}"
        for law in ledger.breaches(settled.second.held if exact else None)
    ]
    if settled.second.tally.lost:
        wrong.append(
            f"{settled.second.tally.lost:,} open connections were lost with their agent or worker"
        )
    wrong += [
        _standstill(name, part.delays.stalls)
        for name, part in settled.parts.items()
        if part.delays.stalls
    ]
    wrong += [
        f"the clock of {name} and that of the run went apart by {part.delays.stepped:.1f} s"
        for name, part in settled.parts.items()
        if part.delays.stepped
    ]
    delays = settled.second.delays
    if delays.late:
        wrong.append(
            f"{delays.late:,} {'launch was' if delays.late == 1 else 'launches were'} late by"
            f" up to {delays.late_by:.2g} s"
        )
    return wrong


def _standstill(agent: str, stalls: dict[int, float]) -> str:
    """Returns which workers of an agent stood still, and for how long."""
    workers = sorted(stalls)
    if len(workers) == 1:
        return f"worker {workers[0]} of agent {agent} stood still for {stalls[workers[0]]:.2g} s"
    return (
        f"workers {', '.join(map(str, workers))} of agent {agent} stood still, for up to"
        f" {max(stalls.values()):.2g} s"
    )
