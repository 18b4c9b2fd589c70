"""`python -m tests.costs`: measures fleets of several sizes.

It writes the document, its plots and the samples.
"""

from pathlib import Path

import click
import msgspec

from loadgen.machine.facts import facts, read_machine
from tests.costs import document, fleet, plots, proc, samples
from tests.costs.model import quantities
from tests.costs.samples import Series

SIZES = "1000,3000,10000,30000,100000,300000,1000000"


def parse_sizes(_: click.Context, __: click.Parameter, text: str) -> list[int]:
    """Returns the sizes in `1000,3000`, the smallest first; a line needs two."""
    words = text.replace("_", "").split(",")
    if not all(word.strip().isdecimal() for word in words) or len(set(map(int, words))) < 2:
        raise click.BadParameter("at least two numbers of connections, with commas between them")
    return sorted(set(map(int, words)))


@click.command(context_settings={"show_default": True})
@click.option(
    "--sizes",
    default=SIZES,
    callback=parse_sizes,
    help="Connections of each fleet; at least as many as its agents.",
)
@click.option("--rate", default=2000.0, help="Arrivals, pings and messages per second.")
@click.option(
    "--hold",
    default=10.0,
    help="Seconds of the idle, message and ping phases; 5 for development.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="docs",
    help="Directory of cost-model.md and cost-model/.",
)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, exists=True),
    metavar="samples.json",
    help="Measure nothing; write the document from samples.",
)
def main(sizes: list[int], rate: float, hold: float, out: Path, source: Path | None) -> None:
    """Write the cost model."""
    folder = out / "cost-model"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "samples.json"
    series = samples.read(source) if source else _measure(sizes, rate, hold, file)
    samples.write(series, file)
    plots.draw(quantities(series), folder)
    (out / "cost-model.md").write_text(document.render(series, document.notes(folder)))
    click.echo(f"written: {out / 'cost-model.md'}")


def _measure(sizes: list[int], rate: float, hold: float, file: Path) -> Series:
    """Measures one size after another, and writes the samples after each.

    The largest size takes long, and may fail.
    """
    machine = facts(read_machine()) | {"cpu": proc.cpu_model()}
    series = Series(machine, rate, hold, fleet.AGENTS, ())
    for size in sizes:
        click.echo(f"{size:,} connections …", err=True)
        series = msgspec.structs.replace(
            series, samples=(*series.samples, fleet.measure(size, rate, hold))
        )
        samples.write(series, file)
    return series


if __name__ == "__main__":
    main()
