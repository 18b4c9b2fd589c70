"""Coverage-guided fuzzing of each reader: `make fuzz`.

`python -m tests.fuzz --seconds 600 plan tsung` fuzzes two of them for ten minutes each. Each target
runs in its own process and starts from the corpus in this directory. Inputs that reach new code are
kept in build/fuzz. An input that breaks the target is printed; it belongs into the corpus, together
with the fix.
"""

import subprocess
import sys
from pathlib import Path

import click

CORPUS = Path(__file__).parent / "corpus"
NAMES = sorted(path.name for path in CORPUS.iterdir())
FOUND = Path("build/fuzz")
MAX_INPUT = 4096
"""Bytes."""


@click.command()
@click.option("--seconds", default=60, show_default=True, help="Seconds for each target.")
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
def command(seconds: int, names: tuple[str, ...]) -> int:
    """Fuzz the named readers, or all of them; the exit code is 1 when one broke."""
    broken = [name for name in names or NAMES if not _holds(name, seconds)]
    click.echo(f"broken: {', '.join(broken)}" if broken else "nothing broke")
    return bool(broken)


def _holds(name: str, seconds: int) -> bool:
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    click.echo(f"{name}: {seconds} s")
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_INPUT}",
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
