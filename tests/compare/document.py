"""compare-tsung.md: the template, filled with the comparisons."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from string import Template

from loadgen.machine.facts import facts, read_machine
from loadgen.version import VERSION
from tests.compare.cases import EVERYWHERE, Known
from tests.compare.smirnov import Fit
from tests.compare.tools import Outcome
from tests.compare.verdict import NOT_AS_ASKED, SIGNIFICANT, Comparison, Finding, Shape
from tests.costs.document import figure, table
from tests.costs.proc import cpu_model

COMMAND = "make compare-tsung"


def render(comparisons: Sequence[Comparison], tsung: str, seconds: float) -> str:
    """Returns the document.

    `tsung` is Tsung's version, `seconds` the time of all runs.
    """
    verdicts = Counter(
        finding.verdict for comparison in comparisons for finding in comparison.findings
    )
    template = Template(Path(__file__).with_name("document.md").read_text())
    return template.substitute(
        command=COMMAND,
        minutes=f"{seconds / 60:.0f}",
        machine=_machine(),
        tsung=tsung,
        loadgen=VERSION,
        compared=verdicts.total(),
        equal=verdicts["same"],
        chance=verdicts["by chance"],
        explained=verdicts["explained"],
        different=verdicts["DIFFERENT"] or "none",
        significant=f"{SIGNIFICANT:g}",
        summary=_summary(comparisons),
        shapes=_shapes(comparisons),
        usage=_usage(comparisons),
        per_user=_per_user(
            max(comparisons, key=lambda comparison: len(comparison.loadgen.recording.upgraded))
        ),
        differences="\n".join(_differences(comparisons)),
        everywhere="; ".join(f"{_names(known.names)}: {known.why}" for known in EVERYWHERE),
    )


def _machine() -> str:
    machine = facts(read_machine())
    return (
        f"{machine['cpus']} cores ({cpu_model()}), Linux {machine['kernel']}, Python"
        f" {machine['python']}"
    )


def _both(comparison: Comparison, value: Callable[[Outcome], str]) -> str:
    return f"{value(comparison.tsung)} / {value(comparison.loadgen)}"


def _summary(comparisons: Iterable[Comparison]) -> str:
    def row(comparison: Comparison) -> Iterable[str]:
        yield f"`{comparison.case.name}`: {comparison.case.shows}"
        yield _both(comparison, lambda outcome: f"{outcome.statistics['users_count']:,.0f}")
        yield _both(comparison, lambda outcome: f"{len(outcome.recording.connections):,}")
        yield _both(comparison, lambda outcome: f"{outcome.recording.messages:,}")
        yield p_value(comparison.shapes[0].between)
        yield _both(comparison, lambda outcome: figure(outcome.usage.cpu_s_after(outcome.first)))
        yield _both(comparison, lambda outcome: figure(outcome.usage.mib_peak))
        yield verdict(comparison)

    head = [
        "file",
        "users",
        "connections",
        "messages",
        "arrivals: p",
        "CPU s",
        "MiB at the peak",
        "verdict",
    ]
    return table(head, map(row, comparisons))


def verdict(comparison: Comparison) -> str:
    """Returns the verdict on a file."""
    if not comparison.held:
        return "**DIFFERENT**"
    return "differ as known" if any(True for _ in _known(comparison)) else "same"


def p_value(fit: Fit) -> str:
    """Returns a probability with two significant digits."""
    return f"{fit.p:.2f}" if fit.p >= 0.095 else f"{fit.p:.2g}" if fit.p >= 1e-4 else "< 0.0001"


def _shapes(comparisons: Iterable[Comparison]) -> str:
    def row(comparison: Comparison, shape: Shape) -> Iterable[str]:
        means = " / ".join(figure(1e3 * mean) for mean in shape.means)
        fits = (
            f"{fit.distance:.3f}, {p_value(fit)}"
            for fit in (shape.between, shape.tsung, shape.loadgen)
        )
        return [f"`{comparison.case.name}`: {shape.name}", means, *fits, shape.verdict]

    fits = ["between them: D, p", "Tsung and what was asked", "loadgen and what was asked"]
    head = ["times", "mean ms, Tsung / loadgen", *fits, "verdict"]
    return table(
        head, (row(comparison, shape) for comparison in comparisons for shape in comparison.shapes)
    )


def _usage(comparisons: Iterable[Comparison]) -> str:
    def row(comparison: Comparison) -> Iterable[str]:
        yield f"`{comparison.case.name}`"
        yield _both(comparison, lambda outcome: figure(outcome.usage.seconds))
        yield _both(comparison, lambda outcome: figure(outcome.usage.cpu_s))
        yield _both(comparison, lambda outcome: figure(outcome.usage.cpu_s_after(outcome.first)))
        yield _both(comparison, lambda outcome: figure(outcome.usage.mib_at(outcome.first)))
        yield _both(comparison, lambda outcome: figure(outcome.usage.mib_peak))

    head = [
        "file",
        "seconds",
        "CPU s in all",
        "CPU s from the first connection",
        "MiB before it",
        "MiB at the peak",
    ]
    return table(head, map(row, comparisons))


def _per_user(comparison: Comparison) -> str:
    def kib(outcome: Outcome) -> str:
        growth = outcome.usage.mib_peak - outcome.usage.mib_at(outcome.first)
        return figure(1024 * growth / len(outcome.recording.upgraded))

    def cpu(outcome: Outcome) -> str:
        return figure(
            1e6 * outcome.usage.cpu_s_after(outcome.first) / len(outcome.recording.upgraded)
        )

    tsung = comparison.tsung
    loadgen = comparison.loadgen
    return (
        f"{kib(tsung)} KiB and {cpu(tsung)} µs with Tsung, {kib(loadgen)} KiB and {cpu(loadgen)} µs"
        " with loadgen"
    )


def _differences(comparisons: Iterable[Comparison]) -> Iterator[str]:
    for comparison in comparisons:
        for known, seen in _known(comparison):
            yield f"- `{comparison.case.name}`: {known.why} ({'; '.join(seen)})."
        for unseen in comparison.unseen:
            yield f"- `{comparison.case.name}`: not seen this time: {unseen.why}."
        for finding in comparison.seen:
            if finding.verdict == "DIFFERENT":
                text = _text_of(finding)
                yield f"- **`{comparison.case.name}`: {text}, and no reason is known.**"


def _known(comparison: Comparison) -> Iterator[tuple[Known, list[str]]]:
    """Yields the known differences of a file that occurred, each with its counts."""
    for known in (*comparison.case.known, NOT_AS_ASKED):
        seen = [_text_of(seen) for seen in comparison.seen if seen.known is known]
        if seen:
            yield known, seen


def _text_of(seen: Finding | Shape) -> str:
    if isinstance(seen, Shape):
        return f"{seen.name}: D {seen.between.distance:.2f}"
    return f"{seen.name}: {seen.tsung:,.0f} / {seen.loadgen:,.0f}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
