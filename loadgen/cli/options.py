"""The option types of all commands, and how a command ends on a mistake."""

import atexit
import gc
import math
import re
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from loadgen.cli.stdio import Outlet, finish, settle
from loadgen.errors import OperatorError
from loadgen.values import Endpoint, bytes_of, number_of, per_second_of, seconds_of
from loadgen.version import VERSION


class DurationType(click.ParamType[float]):
    """Seconds from `30`, `30s`, `500ms`, `5m` or `1h`."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Returns the duration in seconds.

        0 is legal, a negative or malformed one is not.
        """
        try:
            return seconds_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class HoldType(click.ParamType[float | str]):
    """A duration, or `sessions`."""

    name = "duration|sessions"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        """Returns the duration in seconds, or the word."""
        return "sessions" if value == "sessions" else DURATION.convert(value, param, ctx)


class EndpointType(click.ParamType[Endpoint]):
    """An Endpoint from `HOST:PORT` or `[IPV6]:PORT`."""

    name = "host:port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Endpoint:
        """Returns the endpoint; port 0 stands for any free one."""
        if isinstance(value, Endpoint):
            return value
        match = re.fullmatch(
            r"(?:\[(?P<v6>[0-9a-fA-F:.%\w]+)\]|(?P<host>[^:\[\]]+)):(?P<port>\d{1,5})", str(value)
        )
        if match is None or int(match["port"]) > 65535:
            self.fail(f"{value!r} is not HOST:PORT; write for example 127.0.0.1:9505", param, ctx)
        return Endpoint(match["v6"] or match["host"], int(match["port"]))


class RateType(click.ParamType[float]):
    """A positive number of arrivals per second."""

    name = "rate"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Returns the rate; 0, negative, infinite and malformed ones are refused."""
        try:
            rate = number_of(str(value))
        except ValueError:
            rate = math.nan
        if not 0 < rate < math.inf:
            self.fail(
                f"{value!r} is not a rate; write a number of arrivals per second above 0",
                param,
                ctx,
            )
        return rate


class MemoryType(click.ParamType[int]):
    """Bytes from `16GB`, `16GiB` or `512MiB`."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Returns the bytes; 0 and malformed sizes are refused."""
        try:
            size = value if isinstance(value, int) else bytes_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return size or self.fail(f"{value!r} is no memory; write for example 16GB", param, ctx)


class PerSecondType(click.ParamType[float]):
    """A number a second from `10/s`, `6/m` or `1/h`."""

    name = "n/s"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Returns the number a second; 0 is legal."""
        try:
            return value if isinstance(value, float) else per_second_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SpeedType(click.ParamType[float | str]):
    """The speed of a core, or `here`."""

    name = "x|here"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        """Returns the speed, or the word."""
        try:
            speed = "here" if value == "here" else number_of(str(value))
        except ValueError:
            speed = math.nan
        if isinstance(speed, float) and not 0 < speed < math.inf:
            self.fail(f"{value!r} is not a speed; write a number above 0, or here", param, ctx)
        return speed


class CountType(click.IntRange):
    """A whole number, which may also be written `1_000_000`, `1,000,000` or `1e6`."""

    name = "count"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Returns the number; fails when it is none, not whole, or out of its range."""
        try:
            number = number_of(str(value))
        except ValueError:
            number = math.nan
        if not number.is_integer():
            self.fail(
                f"{value!r} is not a whole number; write for example 1000000 or 1e6", param, ctx
            )
        count: int = super().convert(int(number), param, ctx)
        return count


DURATION = DurationType()
HOLD = HoldType()
ENDPOINT = EndpointType()
RATE = RateType()
MEMORY = MemoryType()
PER_SECOND = PerSecondType()
SPEED = SpeedType()


def versioned(command: click.Command, program: str) -> click.Command:
    """Returns a command with `--version`, which no environment variable sets."""
    return click.version_option(VERSION, prog_name=program, allow_from_autoenv=False)(command)


def run_command(command: click.Command, program: str) -> NoReturn:
    """Runs a command and exits with its code.

    A mistake is one line with a code, no traceback.

    Every option also reads `LOADGEN_<COMMAND>_<OPTION>` from the environment.
    """
    # The interpreter searches all objects for cycles when it ends: a sixth of the CPU of a command
    # that only starts and ends. The kernel frees the memory anyway.
    atexit.register(gc.freeze)
    outlet = settle()
    prefix = program.upper().replace("-", "_")
    try:
        sys.exit(_run(command, program, prefix, outlet))
    finally:
        finish()


def _run(command: click.Command, program: str, prefix: str, outlet: Outlet | None) -> int:
    """Runs a command with the options of the command line; returns its exit code."""
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as the console scripts begin
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = versioned(command, program).main(
            prog_name=program, standalone_mode=False, auto_envvar_prefix=prefix
        )
    except click.exceptions.NoArgsIsHelpError as mistake:
        mistake.show()
        return 2
    except click.ClickException as mistake:
        return _report(
            program, mistake.format_message(), mistake.exit_code if mistake.exit_code > 1 else 2
        )
    except OperatorError as mistake:
        return _report(program, str(mistake), mistake.exit_code, mistake.further)
    except (click.Abort, KeyboardInterrupt):
        return 130
    finally:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to tidy up
    return _flush(program, outlet, code if isinstance(code, int) else 0)


def _flush(program: str, outlet: Outlet | None, code: int) -> int:
    """Writes all output.

    Returns the exit code, which is not 0 when some could not be written.
    """
    finish()
    if outlet is None or outlet.failure is None:
        return code
    return code or _report(
        program, f"standard output: {outlet.failure.strerror}; not all of it was written", 2
    )


def _report(program: str, text: str, code: int, further: Sequence[str] = ()) -> int:
    for line in (text, *further):
        click.echo(f"{program}: {' '.join(line.split())}", err=True)
    return code
