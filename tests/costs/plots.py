"""The plots, as reproducible SVG files: measured points and fitted lines."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.costs.model import Quantity


def draw(quantities: Iterable[Quantity], folder: Path) -> None:
    """Writes memory.svg, cpu.svg and idle.svg."""
    quantities = list(quantities)
    events = [one for one in quantities if one.group in ("open", "message", "ping")]
    # The salt makes the ids, and so the files, reproducible; text stays text.
    with mpl.rc_context({"svg.hashsalt": "loadgen", "svg.fonttype": "none", "font.size": 9.0}):
        _save(_memory([one for one in quantities if one.group == "memory"]), folder / "memory.svg")
        _save(_cpu(events), folder / "cpu.svg")
        _save(_idle([one for one in quantities if one.group == "idle"]), folder / "idle.svg")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})


def _memory(quantities: Iterable[Quantity]) -> Figure:
    figure, (axes,) = _figure(1)
    for quantity in quantities:
        _plot(axes, quantity, 1 / (1 << 20), per_connection=False)
    _label(axes, "Memory of all connections", "MiB")
    return figure


def _cpu(quantities: list[Quantity]) -> Figure:
    figure, panels = _figure(2)
    for axes, kind in zip(panels, ("worker", "target"), strict=True):
        for quantity in quantities:
            if quantity.kind == kind:
                _plot(axes, quantity, 1e6, per_connection=True)
        _label(axes, f"CPU of one event: {kind}", "µs")
    return figure


def _idle(quantities: Iterable[Quantity]) -> Figure:
    figure, (axes,) = _figure(1)
    for quantity in quantities:
        _plot(axes, quantity, 100, per_connection=False)
    _label(axes, "CPU while all connections are silent", "% of a core")
    return figure


def _figure(panels: int) -> tuple[Figure, tuple[Axes, ...]]:
    figure = Figure(figsize=(6.4 if panels == 1 else 9.6, 4.0), layout="constrained")
    return figure, tuple(figure.add_subplot(1, panels, number) for number in range(1, panels + 1))


def _plot(axes: Axes, quantity: Quantity, scale: float, *, per_connection: bool) -> None:
    """Plots measured points, and the line at the same sizes.

    Between two sizes the number of workers may change.
    """
    line = quantity.line
    sizes = [point.size for point in quantity.points]
    by = [scale / size if per_connection else scale for size in sizes]
    totals = [point.total * factor for point, factor in zip(quantity.points, by, strict=True)]
    fitted = [
        line.at(*point[:2]) * factor for point, factor in zip(quantity.points, by, strict=True)
    ]
    (drawn,) = axes.plot(sizes, fitted, linewidth=1)
    axes.plot(sizes, totals, "o", markersize=4, color=drawn.get_color(), label=quantity.name)


def _label(axes: Axes, title: str, unit: str) -> None:
    axes.set(xscale="log", yscale="log", title=title, xlabel="connections", ylabel=unit)
    axes.yaxis.set_major_formatter("{x:,g}")
    # On a scale of less than a decade, matplotlib's minor labels would be powers of ten.
    axes.yaxis.set_minor_formatter("{x:,g}")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
