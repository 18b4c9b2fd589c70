"""The command `loadgen-coord`: turns its options into settings, and runs them."""

from contextlib import closing
from pathlib import Path
from typing import Any

import click
import uvloop
from msgspec.structs import replace

from coordinator.cli.option_types import watched_of
from coordinator.cli.options import (
    FILES,
    FLEET,
    LOAD,
    MEASURED,
    REFERENCE,
    RUN,
    SESSIONS,
    TARGET,
    VERDICT,
    with_options,
)
from coordinator.cli.plans import (
    check_tls,
    is_given,
    plan_from_options,
    plan_from_tsung,
    with_conditions,
)
from coordinator.dryrun import dry_run
from coordinator.embedded import AUTO, target_mode
from coordinator.har.recording import read_har
from coordinator.har.steps import target_of
from coordinator.local import FORKED
from coordinator.report.abort import parse_abort
from coordinator.report.expect import parse
from coordinator.settings import RunSettings
from coordinator.storage.journal import read_head
from coordinator.text import one_line
from coordinator.trace import trace
from loadgen.cli.options import run_command
from loadgen.cli.stdio import decouple
from loadgen.errors import OperatorError, PlanError
from loadgen.forkserver import ForkServer
from loadgen.net.credentials import read_credentials
from loadgen.net.url import TargetUrl
from loadgen.plan.feeder_file import format_of, keep_rows, with_rows
from loadgen.plan.plan import Plan
from loadgen.planfile import to_toml

BESIDE_RESUME = {
    "resume",
    "wait",
    "listen",
    "token_file",
    "public_view",
    "tls_cert",
    "tls_key",
    "watch",
    "export",
    "json",
}
"""The options that may be given beside --resume; the run directory has the others."""

BESIDE_CALIBRATE = BESIDE_RESUME - {"resume"} | {
    "calibrate",
    "target",
    "max",
    "agents",
    "local",
    "with_target",
    "out",
    "tsung_log",
}
"""The options that may be given beside --calibrate, which makes the rest of the plan."""


WITHOUT_TRACE = (
    "agents",
    "local",
    "wait",
    "listen",
    "token_file",
    "public_view",
    "tls_cert",
    "tls_key",
    "watch",
    "export",
    "expect",
    "abort_on",
    "tsung_log",
    "on_loss",
    "out",
    "json",
    "calibrate",
    "dry_run",
)
"""The options that mean nothing beside --trace: there is no fleet and no run directory."""


BARE = {"--compress": "--compress=on", "--with-target": f"--with-target={AUTO}"}
"""The options whose value may be left out, and what they stand for then."""


class CoordCommand(click.Command):
    """A command with options whose value may be left out.

    Click would take the argument after one for its value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the command line with those options as BARE has them."""
        return super().parse_args(ctx, [BARE.get(text, text) for text in args])


@click.command(cls=CoordCommand, context_settings={"show_default": True})
@click.argument("target", default=REFERENCE.target)
@with_options(LOAD, TARGET, FLEET, SESSIONS, MEASURED, FILES, VERDICT, RUN)
@click.pass_context
def coord(ctx: click.Context, /, **options: Any) -> int:
    """Gathers agents, shards the load over them, shows it, and records the run."""
    if options["har"] is not None or options["write_session"] is not None:
        return _write_session(ctx, options)
    if options["resume"] is not None:
        return _coordinate(_resumed(ctx, options))
    plan = with_conditions(_plan(ctx, options), options)
    expectations = tuple(parse(text, plan) for text in plan.expect)
    abort_on = tuple(parse_abort(text, plan) for text in plan.abort_on)
    check_tls(ctx, plan)
    credentials = read_credentials(plan.transport)
    if options["write_plan"] is not None:
        _write_plan(options["write_plan"], plan)
        return 0
    if options["trace"]:
        _check_trace(ctx, options, plan)
    settings = RunSettings(
        plan=plan,
        credentials=credentials,
        agents=options["agents"] or options["local"] or len(plan.clients) or 16,
        local=options["local"] or 0,
        with_target=target_mode(options["with_target"], plan),
        wait=options["wait"],
        listen=options["listen"],
        token_file=options["token_file"],
        public_view=options["public_view"],
        watch=tuple(map(watched_of, plan.watch)),
        export=options["export"],
        tls_cert=options["tls_cert"],
        tls_key=options["tls_key"],
        expectations=expectations,
        abort_on=abort_on,
        on_loss=options["on_loss"],
        out=options["out"],
        tsung_log=options["tsung_log"],
        calibrate=options["calibrate"],
        json=options["json"],
    )
    if options["dry_run"]:
        click.echo(dry_run(settings))
        return 0
    if options["trace"]:
        return uvloop.run(trace(settings))
    return _coordinate(settings)


def _coordinate(settings: RunSettings) -> int:
    """Runs the coordinator and returns the exit code."""
    # It loads aiohttp: what opens nothing starts in half the time without it.
    from coordinator.app import coordinate  # noqa: PLC0415

    with closing(ForkServer(*FORKED)) as fork_server:
        if settings.local:
            fork_server.fork()
        decouple()  # agents wait for answers, whether anything reads the output or not
        return uvloop.run(coordinate(settings, fork_server))


def _plan(ctx: click.Context, options: dict[str, Any]) -> Plan:
    if options["calibrate"]:
        return _calibrating(ctx, options)
    if options["tsung"] is None:
        return plan_from_options(ctx, options)
    return plan_from_tsung(ctx, options)


def _check_trace(ctx: click.Context, options: dict[str, Any], plan: Plan) -> None:
    """Says which user is traced; raises PlanError for an option without effect."""
    if is_given(ctx, "max") and options["max"] != 1:
        raise PlanError("--trace plays one user; write --users 1")
    for name in WITHOUT_TRACE:
        if is_given(ctx, name):
            option = f"--{name.replace('_', '-')}"
            raise PlanError(f"--trace plays one user here, so {option} has no effect; leave it out")
    names = [spec.name for spec in plan.session_specs]
    if len(names) > 1:
        chosen = names[plan.session_of(0)]
        others = ", ".join(name for name in names if name != chosen)
        click.echo(
            f"loadgen-coord: user 0 of the plan plays session {chosen!r}; to trace another"
            f" ({others}), leave it alone in the plan, or give its file to --session",
            err=True,
        )


def _calibrating(ctx: click.Context, options: dict[str, Any]) -> Plan:
    """Returns the plan of --calibrate.

    Sets the option `with_target` for a target on this machine. Raises PlanError for an option
    without effect.
    """
    from coordinator.calibrate import calibration_plan  # noqa: PLC0415 -- it loads aiohttp

    for name in sorted(options.keys() - BESIDE_CALIBRATE):
        if is_given(ctx, name):
            option = f"--{name.replace('_', '-')}"
            raise PlanError(f"--calibrate makes its own plan; leave {option} out")
    local = options["local"] or 0
    agents = options["agents"] or local or 16
    if not is_given(ctx, "target"):
        options["with_target"] = AUTO
    most = options["max"] if is_given(ctx, "max") else None
    return calibration_plan(options["target"], agents, local, most)


def _resumed(ctx: click.Context, options: dict[str, Any]) -> RunSettings:
    """Returns the settings of the run in a directory.

    Raises PlanError for an option that the run directory has already.
    """
    path = options["resume"]
    for name in options.keys() - BESIDE_RESUME:
        if is_given(ctx, name):
            option = "TARGET" if name == "target" else f"--{name.replace('_', '-')}"
            raise PlanError(f"--resume {path} takes all options from that run; leave {option} out")
    head = read_head(path)
    feeders = tuple(with_rows(feeder, path) for feeder in head.plan.feeders)
    plan = with_conditions(replace(head.plan, feeders=feeders), options)
    return RunSettings(
        plan=plan,
        credentials=read_credentials(head.plan.transport),
        agents=head.wanted,
        wait=options["wait"],
        listen=options["listen"] if is_given(ctx, "listen") else head.listen,
        token_file=options["token_file"],
        public_view=options["public_view"],
        watch=tuple(map(watched_of, plan.watch)),
        export=options["export"],
        tls_cert=options["tls_cert"],
        tls_key=options["tls_key"],
        expectations=tuple(parse(text, plan) for text in plan.expect),
        abort_on=tuple(parse_abort(text, plan) for text in plan.abort_on),
        on_loss=head.on_loss,
        out=path.resolve().parent,
        resume=path,
        tsung_log=head.tsung_log,
        json=options["json"],
    )


def _write_session(ctx: click.Context, options: dict[str, Any]) -> int:
    """Writes the session of --har; raises PlanError for any further option."""
    from coordinator.har.write import write_session  # noqa: PLC0415 -- it loads Jinja2

    path, har = options["write_session"], options["har"]
    if path is None or har is None:
        missing, given = (
            ("--har", "--write-session") if har is None else ("--write-session", "--har")
        )
        raise PlanError(
            f"{given} needs {missing} beside it: --har FILE.har --write-session FILE.py"
        )
    for name in options.keys() - {"har", "write_session"}:
        if is_given(ctx, name):
            option = "TARGET" if name == "target" else f"--{name.replace('_', '-')}"
            raise PlanError(f"--har only writes a session, so {option} has no effect; leave it out")
    recording = read_har(har)
    write_session(path, recording)
    if recording.note:
        click.echo(f"loadgen-coord: {one_line(recording.note, 1000)}", err=True)
    click.echo(f"session written: {path}")
    target = one_line(target_of(recording), 200)
    click.echo(f"play one user of it: loadgen-coord --session {path} --users 1 --trace '{target}'")
    return 0


def _write_plan(path: Path, plan: Plan) -> None:
    for server in plan.servers:
        TargetUrl.parse(server.url)  # what could not be run is not written
    made = [feeder for feeder in plan.feeders if format_of(feeder) == "python"]
    feeders = tuple(
        feeder.kept
        if feeder in made
        else replace(feeder, file=feeder.file and str(Path(feeder.file).absolute()))
        for feeder in plan.feeders
    )
    try:
        keep_rows(made, path.parent)  # a plan file runs no code: it has what that made
        path.write_bytes(to_toml(replace(plan, feeders=feeders)))
    except OSError as error:
        raise OperatorError(f"--write-plan {path}: {error.strerror}") from error
    click.echo(f"plan written: {path}")


def main() -> None:
    """Runs the command."""
    run_command(coord, "loadgen-coord")


if __name__ == "__main__":
    main()
