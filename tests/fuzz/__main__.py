"""Coverage-guided fuzzing of each reader: `make fuzz`, or `python -m tests.fuzz --seconds 600 plan
tsung`.

Each target runs in a process of its own and starts from the corpus beside this file. What it
discovers on the way stays below build/fuzz; what breaks it is printed, and belongs into the corpus
together with its mend.
"""

import subprocess
import sys
from pathlib import Path

import click

CORPUS = Path(__file__).parent / "corpus"
NAMES = sorted(path.name for path in CORPUS.iterdir())
FOUND = Path("build/fuzz")
LONGEST = 4096
"""Bytes of an input at most."""


@click.command()
@click.option("--seconds", default=60, show_default=True, help="For each target.")
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
def command(seconds: int, names: tuple[str, ...]) -> int:
    """Fuzzes the named readers, or all of them; exit code 1 when one of them broke."""
    broken = [name for name in names or NAMES if not _holds(name, seconds)]
    click.echo(f"broken: {', '.join(broken)}" if broken else "nothing broke")
    return bool(broken)


def _holds(name: str, seconds: int) -> bool:
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    click.echo(f"{name}: {seconds} s")
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={found.parent}/{name}-",
    ]
    log = found.parent / f"{name}.log"
    with log.open("wb") as output:
        child = [
            sys.executable,
            "-m",
            "tests.fuzz.guided",
            name,
            str(found),
            str(CORPUS / name),
            *options,
        ]
        code = subprocess.run(child, stdout=output, stderr=output, check=False).returncode
    last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-12:]
    click.echo("\n".join(f"  {line}" for line in (last if code else last[-2:])))
    return code == 0


if __name__ == "__main__":
    sys.exit(command(standalone_mode=False))
