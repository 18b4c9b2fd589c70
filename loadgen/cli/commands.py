"""`loadgen COMMAND`, and `python -m loadgen COMMAND`: all commands by one name."""

from importlib import import_module

import click

from loadgen.cli.options import run_command, versioned

COMMANDS = {
    "coord": "coordinator.cli.coord:coord",
    "agent": "loadgen.cli.agent:agent",
    "target": "loadgen.cli.target:command",
    "report": "coordinator.cli.report:report",
    "tune": "loadgen.cli.tune:command",
}
"""The place of each command, as in pyproject.toml: no command imports another one, and this package
does not import the coordinator."""


class Commands(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Returns a command; raises UsageError when there is none of that name."""
        if cmd_name not in COMMANDS:
            raise click.UsageError(f"{cmd_name!r} is none of its commands: {', '.join(COMMANDS)}")
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        return versioned(getattr(import_module(module), attribute), f"loadgen-{cmd_name}")


@click.group(cls=Commands, epilog="loadgen COMMAND --help explains a command.")
def loadgen() -> None:
    """Prove that a realtime server holds a million WebSocket connections."""


def main() -> None:
    """Runs a command."""
    run_command(loadgen, "loadgen")
