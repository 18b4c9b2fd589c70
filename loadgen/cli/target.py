"""`loadgen-target`: serves WebSocket, for the demo, rehearsals and tests."""

import click

from loadgen.cli.options import ENDPOINT, CountType, run_command
from loadgen.cli.stdio import decouple
from loadgen.target.settings import LEGAL, Faults, TargetSettings
from loadgen.target.supervisor import serve
from loadgen.values import REFERENCE_CONNECTIONS, TARGET_MODES, Endpoint


@click.command()
@click.option(
    "--listen",
    type=ENDPOINT,
    default="127.0.0.1:9505",
    show_default=True,
    help="Where to listen; port 0: any free one.",
)
@click.option(
    "--workers",
    type=CountType(min=1),
    help=(
        "Worker processes on the port; by default one per core, and more once the connections need"
        " more descriptors; with --limit all that it needs, from the start."
    ),
)
@click.option(
    "--limit",
    type=CountType(min=0),
    show_default=str(REFERENCE_CONNECTIONS),
    help="WebSocket connections open at once, over all workers; a further one gets a 503.",
)
@click.option(
    "--mode",
    type=click.Choice(TARGET_MODES),
    default="echo",
    show_default=True,
    help="Send each message back, answer as Appwrite does, send nothing, or send each message to"
    " all on its path.",
)
@click.option(
    "--vice",
    multiple=True,
    metavar="NAME[=VALUE]",
    help=f"A fault for tests and rehearsals; repeatable. One of {', '.join(LEGAL)}.",
)
def command(
    listen: Endpoint, workers: int | None, limit: int | None, mode: str, vice: tuple[str, ...]
) -> None:
    """Serves WebSocket on any path, GET /stats and POST /publish."""
    decouple()
    serve(TargetSettings(listen, workers, limit, mode, Faults.parse(vice)))


def main() -> None:
    """The console script."""
    run_command(command, "loadgen-target")


if __name__ == "__main__":
    main()
