"""Runs a fleet on an engine and prints the results of its steps.

The command is `python -m tests.engines ENGINE`. It exits with 1 if a step does not hold, and with 0
where this machine can't run the engine, which it says in one line.
"""

import signal
import sys
from pathlib import Path

import click

from tests.engines import compose, image, kube, slurm
from tests.engines.engine import Engine
from tests.tables import show

ENGINES: dict[str, Engine] = {
    "image": image.ENGINE,
    "compose": compose.ENGINE,
    "kube": kube.ENGINE,
    "slurm": slurm.ENGINE,
}
"""By name."""
HEAD = ("step", "what it showed", "took", "held")


@click.command()
@click.argument("name", type=click.Choice([*ENGINES]), metavar="ENGINE")
@click.option("--small", is_flag=True, help="Only the steps that take under a minute.")
@click.option(
    "--markdown",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the table to FILE.",
)
def command(name: str, small: bool, markdown: Path | None) -> None:
    """Run a small fleet on a real ENGINE."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    engine = ENGINES[name]
    if why := engine.why_not():
        click.echo(f"{name}: skipped: {why}")
        return
    engine.prepare()
    held = True
    rows = []
    for row in engine.play(small):
        held = held and row.held
        mark = "yes" if row.held else "NO"
        rows.append((row.step, row.showed.partition("\n")[0], f"{row.seconds:.1f} s", mark))
        click.echo(f"{row.step}: {row.showed} ({row.seconds:.1f} s){'' if row.held else ' FAILED'}")
    show(HEAD, rows, markdown)
    raise SystemExit(0 if held else 1)


if __name__ == "__main__":
    command()
