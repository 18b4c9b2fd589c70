"""cost-model.md: the template, filled with tables of figures."""

from collections.abc import Iterable
from pathlib import Path
from string import Template

import msgspec

from loadgen.machine import limits
from loadgen.machine.facts import Machine
from tests.costs import model
from tests.costs.model import KIB, Quantity, base_bytes, per_event, share
from tests.costs.samples import Sample, Series

MIB = 1 << 20
REDRAW = "python -m tests.costs --from docs/cost-model/samples.json"
BASES = ("worker", "workers' parent", "agent", "coordinator", "target", "target's parent")
# The reference run.
AGENT_HOLDS = 64_000
"""Connections of an agent."""
THINK = 30
"""Seconds between the pings of a connection."""
FLEET = 16
"""Agents."""
RATE = 2_000
"""Arrivals per second of all agents."""


def notes(folder: Path) -> str:
    """Returns the hand-written section; its heading alone while it does not exist."""
    path = folder / "notes.md"
    return path.read_text() if path.exists() else "## Where it is not linear, and why\n"


def render(series: Series, notes: str) -> str:
    """Returns the document."""
    quantities = model.quantities(series)
    machine = msgspec.convert(series.machine, Machine)
    workers = limits.workers_needed(AGENT_HOLDS, machine, cores=1)
    template = Template(Path(__file__).with_name("document.md").read_text())
    return template.substitute(
        redraw=REDRAW,
        machine=_machine(series),
        agents=series.agents,
        rate=f"{series.rate:,.0f}",
        hold=f"{series.hold:g}",
        base=_base(series.samples),
        memory=_memory(series.samples),
        cpu=_cpu(series.samples),
        standing=_standing(series.samples),
        lines=_lines(quantities),
        forecast_size=f"{AGENT_HOLDS:,}",
        forecast_workers=workers,
        forecast_opens=f"{RATE / FLEET:g}",
        forecast=_forecast(series, workers),
        constants=_constants(series, quantities),
        notes=notes.strip(),
    )


def figure(value: float) -> str:
    """Returns a number with three significant digits, never as a power of ten."""
    for bound, digits in ((0.0995, 3), (9.95, 2), (99.5, 1)):
        if abs(value) < bound:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Returns a Markdown table, its first column aligned left and the others right."""
    head = list(head)
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def _machine(series: Series) -> str:
    facts = series.machine
    memory = series.samples[-1].base.meminfo["MemTotal"] / (1 << 30)
    return (
        f"{facts['cpus']} cores ({facts['cpu']}), {memory:.0f} GiB, Linux {facts['kernel']}, Python"
        f" {facts['python']}, uvloop {facts['uvloop']}, {facts['nofile_hard']:,} descriptors a"
        " process"
    )


def _base(samples: Iterable[Sample]) -> str:
    kinds = [kind for kind in BASES if any(kind in sample.base.pss for sample in samples)]
    rows = (
        [
            f"{sample.size:,}",
            *(
                f"{base_bytes(sample, kind) / MIB:.1f} ({sample.base.processes[kind]})"
                for kind in kinds
            ),
        ]
        for sample in samples
    )
    return table(["connections", *kinds], rows)


def _memory(samples: Iterable[Sample]) -> str:
    def row(sample: Sample) -> Iterable[str]:
        kernel = sample.held.meminfo["Slab"] - sample.base.meminfo["Slab"]
        user = (sample.held.anon[kind] - sample.base.anon[kind] for kind in ("worker", "target"))
        growths = (kernel, *user, model.machine_growth(sample))
        return [f"{sample.size:,}", *(figure(growth / sample.size / KIB) for growth in growths)]

    return table(
        ["connections", "kernel, both ends", "worker", "target", "kernel, by free memory"],
        map(row, samples),
    )


def _cpu(samples: Iterable[Sample]) -> str:
    def row(sample: Sample) -> Iterable[str]:
        events = (
            (sample.ramp, "opened"),
            (sample.messages, "messages_sent"),
            (sample.pings, "pings"),
        )
        costs = (
            per_event(sample, kind, *event) for event in events for kind in ("worker", "target")
        )
        return [f"{sample.size:,}", *(figure(cost * 1e6) for cost in costs)]

    head = [
        f"{event}: {kind}" for event in ("open", "message", "ping") for kind in ("worker", "target")
    ]
    return table(["connections", *head], map(row, samples))


def _standing(samples: Iterable[Sample]) -> str:
    def row(sample: Sample) -> Iterable[str]:
        idle = (share(sample.idle, kind) for kind in ("worker", "target", "agent", "coordinator"))
        opening = (share(sample.ramp, kind) for kind in ("agent", "coordinator"))
        return [f"{sample.size:,}", *(figure(100 * busy) for busy in (*idle, *opening))]

    head = [
        "connections",
        "idle: workers",
        "target",
        "agents",
        "coordinator",
        "opening: agents",
        "coordinator",
    ]
    return table(head, map(row, samples))


def _lines(quantities: Iterable[Quantity]) -> str:
    def row(quantity: Quantity) -> Iterable[str]:
        line = quantity.line
        base = (
            figure(line.base * 1e3) + " ms"
            if quantity.unit.startswith("µs")
            else figure(line.base / MIB) + " MiB"
        )
        off = f"{100 * line.deviation:+.1f} % at {line.deviation_at:,}"
        return [
            quantity.name,
            f"{figure(line.slope * quantity.scale)} {quantity.unit}",
            base,
            f"{line.r2:.4f}",
            off,
        ]

    return table(
        ["quantity", "slope, a connection", "base, a process", "R²", "largest deviation"],
        map(row, quantities),
    )


def _forecast(series: Series, workers: int) -> str:
    cost = model.forecast(
        series,
        connections=AGENT_HOLDS,
        workers=workers,
        opens=RATE / FLEET,
        pings=AGENT_HOLDS / THINK,
    )
    total = cost.user_bytes + cost.agent_bytes + cost.kernel_bytes
    preflight = workers * limits.WORKER_BYTES + AGENT_HOLDS * (
        limits.CLIENT_BYTES + limits.KERNEL_BYTES
    )
    memory = {
        "workers": cost.user_bytes,
        "the agent": cost.agent_bytes,
        "the kernel, its own ends": cost.kernel_bytes,
        "**memory in all**": total,
        "what the preflight asks for": preflight,
    }
    rows = [[what, f"{figure(size / MIB)} MiB"] for what, size in memory.items()]
    rows += [[what, f"{figure(100 * busy)} % of a core"] for what, busy in cost.cpu.items()]
    return table(["of", "amount"], rows)


def _constants(series: Series, quantities: Iterable[Quantity]) -> str:
    slopes = {quantity.name: quantity.line.slope for quantity in quantities}
    measured = {
        "WORKER_BYTES": max(base_bytes(sample, "worker") for sample in series.samples),
        "KERNEL_BYTES": slopes[model.BOTH_ENDS] / 2,
        "CLIENT_BYTES": slopes["worker"],
        "TARGET_BYTES": slopes["target"],
    }
    rows = (
        [f"`{name}`", figure(value / KIB), figure(constant / KIB), figure(constant / value)]
        for name, value in measured.items()
        for constant in (int(getattr(limits, name)),)
    )
    return table(["constant", "measured, KiB", "preflight, KiB", "preflight ÷ measured"], rows)
