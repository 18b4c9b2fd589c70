"""The command `loadgen-coord`: turns its options into settings, and runs them."""

from pathlib import Path
from typing import Any, get_args

import click
import uvloop
from msgspec.structs import replace

from coordinator.app import coordinate
from coordinator.calibrate import calibration_plan
from coordinator.cli.plans import check_tls, is_given, plan_from_options, plan_from_tsung
from coordinator.dryrun import dry_run
from coordinator.har.recording import read_har
from coordinator.har.steps import target_of
from coordinator.har.write import write_session
from coordinator.influx.exporter import LineReceiver, receiver_of
from coordinator.report.abort import parse_abort
from coordinator.report.expect import parse
from coordinator.run.agents import MAX_AGENTS
from coordinator.run.run import OnLoss
from coordinator.scrape import Watched
from coordinator.settings import RunSettings
from coordinator.storage.journal import read_head
from coordinator.text import one_line
from coordinator.trace import trace
from loadgen.cli.options import DURATION, ENDPOINT, HOLD, RATE, run_command
from loadgen.cli.stdio import decouple
from loadgen.errors import OperatorError, PlanError
from loadgen.net.credentials import read_credentials
from loadgen.net.url import TargetUrl
from loadgen.plan.compress import Compress, parse_compress
from loadgen.plan.feeder import Feeder
from loadgen.plan.feeder_file import feeder_of, format_of, keep_rows, with_rows
from loadgen.plan.plan import Plan
from loadgen.plan.proxy import ProxyUrl
from loadgen.plan.request import request_mistakes
from loadgen.planfile import to_toml
from loadgen.values import base_of

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


class WatchedType(click.ParamType[Watched]):
    """A name and the URL of an exporter, from `NAME=URL`."""

    name = "name=url"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Watched:
        """Returns the name and the URL; fails when the name is empty or the URL is none."""
        name, _, url = str(value).partition("=")
        if not name or base_of(url) is None:
            self.fail(
                f"{value!r} is not NAME=URL; write for example server=http://10.0.0.2:9100/metrics",
                param,
                ctx,
            )
        return Watched(one_line(name, 40), url)


class ReceiverType(click.ParamType[LineReceiver]):
    """A receiver of line protocol, from its URL."""

    name = "url"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> LineReceiver:
        """Returns the receiver; fails when the URL has no path, or can't be dialed."""
        try:
            return receiver_of(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class HeaderType(click.ParamType[tuple[str, str]]):
    """A header of the handshake, from `Name: value`."""

    name = "name: value"
    envvar_list_splitter = "\n"
    """One header a line in LOADGEN_COORD_HEADER, since values have blanks."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Returns name and value; fails when they can't be sent.

        The value is not repeated: it may be a password.
        """
        if isinstance(value, tuple):
            return value
        name, colon, text = str(value).partition(":")
        header = name.strip(), text.strip(" \t")
        if not colon:
            self.fail("a header needs a colon; write 'Name: value'", param, ctx)
        for _, what in request_mistakes([header]):
            self.fail(f"header {header[0]!r} {what}", param, ctx)
        return header


class FeederType(click.ParamType[Feeder]):
    """A feeder from `FILE[:MODE]`."""

    name = "file[:mode]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Feeder:
        """Returns the feeder with its rows; fails when they can't be used."""
        if isinstance(value, Feeder):
            return value
        try:
            return with_rows(feeder_of(str(value)), Path())
        except PlanError as error:
            self.fail(str(error), param, ctx)


class CompressType(click.ParamType[Compress | bool]):
    """An offer of permessage-deflate, from its parameters."""

    name = "parameters"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Compress | bool:
        """Returns the offer; fails when a parameter can't be offered."""
        try:
            return value if isinstance(value, Compress | bool) else parse_compress(str(value))
        except PlanError as error:
            self.fail(str(error), param, ctx)


class CoordCommand(click.Command):
    """A command whose --compress may have no value.

    Click would take the argument after it for one.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the command line with `--compress` as `--compress=on`."""
        given = ["--compress=on" if text == "--compress" else text for text in args]
        return super().parse_args(ctx, given)


class ProxyType(click.ParamType[str]):
    """The URL of a proxy that targets are reached through."""

    name = "url"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Returns the URL; fails when it is none of a proxy, and shows no password."""
        try:
            ProxyUrl.parse(str(value))
        except PlanError as error:
            self.fail(f"the proxy {error}", param, ctx)
        return str(value)


WATCHED = WatchedType()
RECEIVER = ReceiverType()
HEADER = HeaderType()
FEEDER = FeederType()
COMPRESS = CompressType()
PROXY = ProxyType()

REFERENCE = Plan()
"""The reference run, which the options ask for by default."""


@click.command(cls=CoordCommand, context_settings={"show_default": True})
@click.argument("target", default=REFERENCE.target)
@click.option(
    "--rate", type=RATE, default=2000, metavar="R", help="Arrivals per second over the whole fleet."
)
@click.option(
    "--max",
    "--users",
    type=click.IntRange(min=1),
    default=REFERENCE.max,
    metavar="N",
    help="Users in all; each has one connection, unless its session opens more.",
)
@click.option(
    "--arrival",
    type=click.Choice(["uniform", "poisson"]),
    default=REFERENCE.arrival,
    help="Staggering of arrivals.",
)
@click.option("--seed", type=int, default=REFERENCE.seed, help="Seed of everything random.")
@click.option(
    "--hold",
    type=HOLD,
    default="60",
    help="How long the plateau is held after the last arrival; sessions: until all are over.",
)
@click.option(
    "--think", type=DURATION, default="30", help="Think time of the loop; one ping a turn."
)
@click.option(
    "--loops",
    type=click.IntRange(min=0),
    default=REFERENCE.loops,
    metavar="N",
    help="Turns of the think-time loop.",
)
@click.option(
    "--ping",
    type=click.Choice(["protocol", "app", "none"]),
    default=REFERENCE.ping,
    help='A PING frame, the text {"type":"ping"}, or silence.',
)
@click.option(
    "--grain",
    type=click.Choice(["auto", "1ms", "5ms"]),
    default=REFERENCE.grain,
    help="How exact launches and think times are; auto: 1ms below 5,000 launches/s of a worker.",
)
@click.option(
    "--feeder",
    type=FEEDER,
    multiple=True,
    metavar="FILE[:MODE]",
    help="A file with one row for each user: CSV, JSON lines or Python; MODE is unique, stop, wrap,"
    " shared or random.",
)
@click.option(
    "--header",
    multiple=True,
    type=HEADER,
    metavar="'NAME: VALUE'",
    help="Send this header in every handshake; repeatable. Host and User-Agent replace loadgen's.",
)
@click.option(
    "--compress",
    type=COMPRESS,
    metavar="[=PARAMETERS]",
    help="Offer permessage-deflate as browsers do, or with parameters:"
    " --compress='server_no_context_takeover; client_max_window_bits=9'.",
    show_default="off",
)
@click.option(
    "--proxy",
    type=PROXY,
    metavar="URL",
    help="Connect to targets through this proxy: http://, socks5:// (agents resolve the target's"
    " name) or socks5h:// (the proxy does), perhaps with USER:PASSWORD@.",
)
@click.option(
    "--proxy-protocol",
    type=click.IntRange(1, 2),
    metavar="1|2",
    help="Begin each connection with the PROXY protocol of this version: a balancer sees an"
    " address of each user's own, in 10.0.0.0/8 or fd00::/8.",
)
@click.option(
    "--follow-redirects",
    is_flag=True,
    help="Follow up to five redirects of a handshake in a row, to places that agents may load.",
)
@click.option(
    "--target-ca",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Trust the authorities in this PEM file, instead of the system's, at a wss:// TARGET.",
)
@click.option(
    "--target-cert",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Show a wss:// TARGET this certificate; of several, or a folder, each user one.",
)
@click.option(
    "--target-key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The key of --target-cert, where that file does not hold it.",
)
@click.option(
    "--insecure", is_flag=True, help="Accept any certificate of a wss:// TARGET, and say so."
)
@click.option(
    "--agents",
    type=click.IntRange(1, MAX_AGENTS),
    metavar="N",
    help="Start once N agents have joined.",
    show_default="the --local ones, the plan's clients, or 16",
)
@click.option(
    "--local",
    type=click.IntRange(1, MAX_AGENTS),
    metavar="N",
    help="Also start N agents on this machine.",
)
@click.option(
    "--with-target", is_flag=True, help="Also start the embedded target on the TARGET's port."
)
@click.option("--wait", type=DURATION, default="60", help="How long to wait for the agents.")
@click.option(
    "--listen",
    type=ENDPOINT,
    default="127.0.0.1:8091",
    help="Where agents join: JSON, metrics, one port.",
)
@click.option(
    "--token-file", type=click.Path(path_type=Path), help="Shared secret; required off loopback."
)
@click.option(
    "--public-view", is_flag=True, help="Everybody may view the run; to control it needs the token."
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Speak https:// with this certificate (PEM); agents pin it, or trust its CA.",
)
@click.option(
    "--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="The key of --tls-cert."
)
@click.option(
    "--session",
    metavar="FILE.py|FOLDER[:NAME]",
    help="A session written in Python, instead of the loop; a folder travels with all its files.",
)
@click.option(
    "--tsung",
    type=click.Path(path_type=Path),
    metavar="FILE.xml",
    help="Take the plan from a Tsung configuration; TARGET, --max and --hold besides it win.",
)
@click.option(
    "--publish",
    metavar="URL|target|session|external",
    help=(
        "Measure delivery: publish by POST to a URL, or to the embedded target's /publish; or let"
        " sessions, or a program of yours, publish."
    ),
)
@click.option(
    "--publish-rate",
    type=RATE,
    default=1,
    metavar="R",
    help="Publications per second of --publish URL or target.",
)
@click.option(
    "--watch",
    multiple=True,
    type=WATCHED,
    metavar="NAME=URL",
    help="Scrape an exporter each second: node_exporter, loadgen-agent --monitor; repeatable.",
)
@click.option(
    "--export",
    multiple=True,
    type=RECEIVER,
    metavar="URL",
    help="Send each settled second as InfluxDB line protocol: http://HOST:8086/write?db=NAME;"
    " repeatable.",
)
@click.option(
    "--plan",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="Take the plan from a file; options given besides it win.",
)
@click.option(
    "--write-plan",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="Save the plan, open nothing.",
)
@click.option(
    "--har",
    metavar="FILE.har[#N]",
    help="Read a browser's recording: its WebSocket (#N: which of several), and its HTTP requests.",
)
@click.option(
    "--write-session",
    type=click.Path(path_type=Path),
    metavar="FILE.py",
    help="Write what --har recorded as a session, open nothing.",
)
@click.option(
    "--expect",
    multiple=True,
    metavar="EXPR",
    help="Pass or fail: 'open_peak>=1000000', 'handshake_p99<500ms', 'failed<0.1%'; repeatable.",
)
@click.option(
    "--abort-on",
    multiple=True,
    metavar="EXPR[:for TIME]",
    help="Drain the run and fail it once this holds: 'failed>1%:for 10s'; repeatable.",
)
@click.option(
    "--tsung-log",
    type=click.Choice(["text", "json", "none"]),
    default="text",
    help="Form of tsung.log in the run directory, for programs that read Tsung's.",
)
@click.option(
    "--on-loss",
    type=click.Choice(get_args(OnLoss)),
    default="redistribute",
    help="What happens to a lost agent's share: nothing, others launch it, or the run ends.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default="runs", help="Where the run directory goes."
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Resume the run of a coordinator that died, from its run directory.",
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Measure what this fleet can generate, against the embedded target, and keep it in --out.",
)
@click.option(
    "--trace",
    is_flag=True,
    help="Play one user on this machine, and print each step, frame and HTTP request.",
)
@click.option("--dry-run", is_flag=True, help="Print plan, shares and preflight; open nothing.")
@click.option("--json", is_flag=True, help="The last line of stdout is summary.json on one line.")
@click.pass_context
def coord(ctx: click.Context, /, **options: Any) -> int:
    """Gathers agents, shards the load over them, shows it, and records the run."""
    if options["har"] is not None or options["write_session"] is not None:
        return _write_session(ctx, options)
    if options["resume"] is not None:
        return _coordinate(_resumed(ctx, options))
    plan = _plan(ctx, options)
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
        with_target=options["with_target"],
        wait=options["wait"],
        listen=options["listen"],
        token_file=options["token_file"],
        public_view=options["public_view"],
        watch=options["watch"],
        export=options["export"],
        tls_cert=options["tls_cert"],
        tls_key=options["tls_key"],
        expectations=tuple(parse(text, plan) for text in options["expect"]),
        abort_on=tuple(parse_abort(text, plan) for text in options["abort_on"]),
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
    decouple()  # agents wait for answers, whether anything reads the output or not
    return uvloop.run(coordinate(settings))


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
    for name in sorted(options.keys() - BESIDE_CALIBRATE):
        if is_given(ctx, name):
            option = f"--{name.replace('_', '-')}"
            raise PlanError(f"--calibrate makes its own plan; leave {option} out")
    local = options["local"] or 0
    agents = options["agents"] or local or 16
    if not is_given(ctx, "target"):
        options["with_target"] = True
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
    return RunSettings(
        plan=replace(head.plan, feeders=feeders),
        credentials=read_credentials(head.plan.transport),
        agents=head.wanted,
        wait=options["wait"],
        listen=options["listen"] if is_given(ctx, "listen") else head.listen,
        token_file=options["token_file"],
        public_view=options["public_view"],
        watch=options["watch"],
        export=options["export"],
        tls_cert=options["tls_cert"],
        tls_key=options["tls_key"],
        expectations=tuple(parse(text, head.plan) for text in head.expectations),
        abort_on=tuple(parse_abort(text, head.plan) for text in head.abort_on),
        on_loss=head.on_loss,
        out=path.resolve().parent,
        resume=path,
        tsung_log=head.tsung_log,
        json=options["json"],
    )


def _write_session(ctx: click.Context, options: dict[str, Any]) -> int:
    """Writes the session of --har; raises PlanError for any further option."""
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
