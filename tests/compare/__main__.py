"""`python -m tests.compare`: runs each file with Debian's Tsung and with loadgen.

It writes docs/compare-tsung.md.
"""

import sys
import time
from pathlib import Path

import click

from tests.compare import debian, document, tools
from tests.compare.cases import CASES, Case
from tests.compare.verdict import Comparison, compare

NAMES = [case.name for case in CASES]


@click.command(context_settings={"show_default": True})
@click.option(
    "--only",
    "names",
    type=click.Choice(NAMES),
    multiple=True,
    help="Only this file; writes no document.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default="docs", help="Directory of compare-tsung.md."
)
def main(names: tuple[str, ...], out: Path) -> None:
    """Compare the tools; the exit code is 1 when they differ without a known reason."""
    began = time.monotonic()
    tsung = debian.tsung()
    comparisons = [_compare(tsung, case) for case in CASES if case.name in (names or NAMES)]
    if not names:
        text = document.render(comparisons, f"Tsung {debian.version()}", time.monotonic() - began)
        (out / "compare-tsung.md").write_text(text)
        click.echo(f"written: {out / 'compare-tsung.md'}")
    sys.exit(0 if all(comparison.held for comparison in comparisons) else 1)


def _compare(tsung: str, case: Case) -> Comparison:
    click.echo(f"{case.name}: {case.shows}")
    comparison = compare(case, tools.with_tsung(tsung, case.file), tools.with_loadgen(case.file))
    for finding in comparison.findings:
        click.echo(
            f"  {finding.name:40}{finding.tsung:10,.0f}{finding.loadgen:10,.0f}  {finding.verdict}"
        )
    for shape in comparison.shapes:
        fits = "".join(f"  D {fit.distance:.3f} p {document.p_value(fit)}" for fit in shape[2:5])
        click.echo(f"  {shape.name:40}{fits}  {shape.verdict}")
    return comparison


if __name__ == "__main__":
    main()
