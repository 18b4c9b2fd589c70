"""`loadgen-coord` and `loadgen-report`: options in, one frozen plan, one call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import click
import msgspec
import uvloop
from click.core import ParameterSource

from coordinator.compare import TOLERANCE, Limit, limits_of, regressions
from coordinator.conduct import Settings, conduct
from coordinator.dryrun import dry_run
from coordinator.expect import parse
from coordinator.formats import comparison_report, csv_report, markdown_report
from coordinator.htmlreport import html_report
from coordinator.journal import read_head
from coordinator.report import text_report
from coordinator.roster import MOST_AGENTS
from coordinator.run import OnLoss
from coordinator.rundir import RunRecord, read_run
from coordinator.tsung.configuration import read_tsung
from coordinator.tsung.servers import base_of_url
from coordinator.watch import Watched
from coordinator.words import one_line
from loadgen.behaviour import PythonSession
from loadgen.errors import OperatorError, PlanError
from loadgen.params import DURATION, ENDPOINT, HOLD, RATE, run_command
from loadgen.plan import TARGET, Plan, plan_of
from loadgen.planfile import read_plan, to_toml
from loadgen.sessionfile import read_session
from loadgen.target_url import TargetUrl

BESIDE_RESUME = {"resume", "wait", "listen", "token_file", "public_view", "json"}
"""What may be said beside --resume; all else is in the run directory."""
PLANNED = ("target", "rate", "max", "arrival", "seed", "hold", "think", "loops", "ping")
"""The options that are keys of the plan; the other keys are said in a plan file alone."""
NOT_BESIDE_TSUNG = ("session", "plan", "rate", "arrival", "seed", "think", "loops", "ping")
"""What says in another way than --tsung who arrives and what users do."""
NOT_BESIDE_SESSION = ("plan", "tsung", "ping", "loops", "think")
"""What says in another way than --session what users do."""


class WatchedType(click.ParamType[Watched]):
    """A name and the URL of an exporter, from `NAME=URL`."""

    name = "name=url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Watched:
        """Both parts, neither of them empty."""
        name, _, url = str(value).partition("=")
        parts = urlsplit(url)
        if not name or parts.scheme not in ("http", "https") or not parts.hostname:
            self.fail(f"{value!r} is not NAME=URL; write for example server=http://10.0.0.2:9100/metrics", param, ctx)
        return Watched(one_line(name, 40), url)


WATCHED = WatchedType()


@click.command(context_settings={"show_default": True})
@click.argument("target", default=TARGET)
@click.option("--rate", type=RATE, default=2000, metavar="R", help="Arrivals per second over the whole fleet.")
@click.option("--max", type=click.IntRange(min=1), default=1_000_000, metavar="N", help="Connections started in all.")
@click.option("--arrival", type=click.Choice(["uniform", "poisson"]), default="uniform", help="Staggering of arrivals.")
@click.option("--seed", type=int, default=0, help="Of everything random.")
@click.option("--hold", type=HOLD, default="60",
              help="How long the plateau is held after the last arrival; sessions: until all are over.")  # fmt: skip
@click.option("--think", type=DURATION, default="30", help="Think time of the loop; one ping a turn.")
@click.option("--loops", type=click.IntRange(min=0), default=1000, metavar="N", help="Turns of the think-time loop.")
@click.option(
    "--ping", type=click.Choice(["protocol", "app", "none"]), default="protocol",
    help="A PING frame, the text {\"type\":\"ping\"}, or silence.",
)  # fmt: skip
@click.option("--agents", type=click.IntRange(1, MOST_AGENTS), metavar="N", help="Start once N agents have joined.",
              show_default="the --local ones, the plan's clients, or 16")  # fmt: skip
@click.option("--local", type=click.IntRange(1, MOST_AGENTS), metavar="N", help="Also start N agents on this machine.")
@click.option("--with-target", is_flag=True, help="Also start the embedded target on the TARGET's port.")
@click.option("--wait", type=DURATION, default="60", help="How long to wait for the agents.")
@click.option("--listen", type=ENDPOINT, default="127.0.0.1:8091", help="Where agents join: JSON, metrics, one port.")
@click.option("--token-file", type=click.Path(path_type=Path), help="Shared secret; required off loopback.")
@click.option("--public-view", is_flag=True, help="Let everybody view the run; to control it needs the token.")
@click.option("--tls-cert", type=click.Path(path_type=Path), metavar="FILE",
              help="Speak https:// with this certificate (PEM); agents pin it, or trust who signed it.")  # fmt: skip
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="The key of --tls-cert.")
@click.option("--session", metavar="FILE.py[:NAME]", help="A session written in Python, instead of the loop.")
@click.option("--tsung", type=click.Path(path_type=Path), metavar="FILE.xml",
              help="Take the plan from a Tsung configuration; TARGET, --max and --hold besides it win.")  # fmt: skip
@click.option("--watch", multiple=True, type=WATCHED, metavar="NAME=URL",
              help="Scrape an exporter each second: node_exporter, loadgen-agent --monitor; repeatable.")  # fmt: skip
@click.option("--plan", type=click.Path(path_type=Path), metavar="FILE.toml",
              help="Take the plan from a file; options given besides it win.")  # fmt: skip
@click.option("--write-plan", type=click.Path(path_type=Path), metavar="FILE.toml", help="Save the plan, open nothing.")
@click.option("--expect", multiple=True, metavar="EXPR",
              help="Pass or fail: 'open_peak>=1000000', 'handshake_p99<500ms', 'failed<0.1%'; repeatable.")  # fmt: skip
@click.option(
    "--tsung-log", type=click.Choice(["text", "json", "none"]), default="text",
    help="Form of tsung.log in the run directory: for what reads Tsung's.",
)  # fmt: skip
@click.option(
    "--on-loss", type=click.Choice(get_args(OnLoss)), default="redistribute",
    help="What becomes of a lost agent's share: nothing, others launch it, or the run ends.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default="runs", help="Where the run directory goes.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN",
              help="Take up the run of a coordinator that died, from its run directory.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print plan, shares and preflight; open nothing.")
@click.option("--json", is_flag=True, help="The last line of stdout is summary.json on one line.")
@click.pass_context
def coord(ctx: click.Context, /, **options: Any) -> int:
    """Gathers agents, shards the load over them, shows it live, and writes the run directory."""
    if options["resume"] is not None:
        return uvloop.run(conduct(_resumed(ctx, options)))
    plan = _plan(ctx, options) if options["tsung"] is None else _from_tsung(ctx, options)
    if options["write_plan"] is not None:
        _write_plan(options["write_plan"], plan)
        return 0
    settings = Settings(
        plan=plan,
        agents=options["agents"] or options["local"] or len(plan.clients) or 16,
        local=options["local"] or 0,
        with_target=options["with_target"],
        wait=options["wait"],
        listen=options["listen"],
        token_file=options["token_file"],
        public_view=options["public_view"],
        watch=options["watch"],
        tls_cert=options["tls_cert"],
        tls_key=options["tls_key"],
        expectations=tuple(parse(text) for text in options["expect"]),
        on_loss=options["on_loss"],
        out=options["out"],
        tsung_log=options["tsung_log"],
        json=options["json"],
    )
    if options["dry_run"]:
        click.echo(dry_run(settings))
        return 0
    return uvloop.run(conduct(settings))


def _resumed(ctx: click.Context, options: dict[str, Any]) -> Settings:
    """The settings of the run in a directory; raises PlanError for an option that would say nothing."""
    path = options["resume"]
    for name in options.keys() - BESIDE_RESUME:
        if _is_given(ctx, name):
            option = "TARGET" if name == "target" else f"--{name.replace('_', '-')}"
            raise PlanError(f"--resume {path} goes on with what was asked for then; leave {option} out")
    head = read_head(path)
    return Settings(
        plan=head.plan,
        agents=head.wanted,
        wait=options["wait"],
        listen=options["listen"] if _is_given(ctx, "listen") else head.listen,
        token_file=options["token_file"],
        public_view=options["public_view"],
        expectations=tuple(parse(text) for text in head.expectations),
        on_loss=head.on_loss,
        resume=path,
        tsung_log=head.tsung_log,
        json=options["json"],
    )


def _plan(ctx: click.Context, options: dict[str, Any]) -> Plan:
    """The plan of the file, if any, with what was given explicitly put over it; the other way round it is defaults.

    Raises PlanError for an option that would say nothing.
    """
    given = {name: options[name] for name in PLANNED}
    if options["session"] is not None:
        return plan_of(given | {"sessions": (_session(ctx, options["session"]),)})
    if options["plan"] is None:
        return plan_of(given)
    explicit = {name: value for name, value in given.items() if _is_given(ctx, name)}
    plan = read_plan(options["plan"])
    for name in sorted(plan.overruled & explicit.keys()):
        option = "TARGET" if name == "target" else f"--{name}"
        raise PlanError(f"{option} says nothing beside what {options['plan']} has instead; change it there")
    return plan_of(msgspec.structs.asdict(plan) | explicit)


def _from_tsung(ctx: click.Context, options: dict[str, Any]) -> Plan:
    """The plan of a Tsung configuration; says what of it is left out, and awaits an agent for each of its hosts."""
    path, explicit = options["tsung"], {name for name in ctx.params if _is_given(ctx, name)}
    for name in NOT_BESIDE_TSUNG:
        if name in explicit:
            raise PlanError(f"--tsung {path} says what --{name} says; leave one of them out")
    imported = read_tsung(
        path,
        base=base_of_url(options["target"]) if "target" in explicit else "",
        most=options["max"] if "max" in explicit else None,
    )
    for note in imported.notes:
        click.echo(f"loadgen-coord: {imported.file}:{note.line}: {note.text}", err=True)
    if options["agents"] is None and options["local"] is None:
        options |= {"agents": len(imported.hosts)} if imported.hosts else {"local": 1}
    if "tsung_log" not in explicit:
        options["tsung_log"] = imported.log
    changes: dict[str, Any] = {"clients": ()} if options["local"] else {}
    return msgspec.structs.replace(
        imported.plan, **changes, **({"hold": options["hold"]} if "hold" in explicit else {})
    )


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is not ParameterSource.DEFAULT


def _session(ctx: click.Context, text: str) -> PythonSession:
    """The session of FILE.py[:NAME]."""
    for name in NOT_BESIDE_SESSION:
        if _is_given(ctx, name):
            raise PlanError(f"--session {text} says what users do, and so does --{name}; leave one of them out")
    path, _, function = text.rpartition(":")
    return (
        read_session(Path(path), function, function) if path and function.isidentifier() else read_session(Path(text))
    )


def _write_plan(path: Path, plan: Plan) -> None:
    for server in plan.servers:
        TargetUrl.parse(server.url)  # what could not be run is not written
    try:
        path.write_bytes(to_toml(plan))
    except OSError as error:
        raise OperatorError(f"--write-plan {path}: {error.strerror}") from error
    click.echo(f"plan written: {path}")


FORMATS: dict[str, Callable[[RunRecord], str]] = {
    "text": lambda record: text_report(record.summary, record.name),
    "html": html_report,
    "markdown": markdown_report,
    "csv": csv_report,
    "json": lambda record: msgspec.json.encode(record.summary).decode(),
}


@click.command(context_settings={"show_default": True})
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN [RUN...]")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text",
              help="html is one file with charts, markdown for a pull request, csv a line a second.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As --format json: summary.json of each run, one a line.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", show_default="standard output",
              help="Where the report goes.")  # fmt: skip
@click.option("--tolerance", type=click.FloatRange(min=0), default=TOLERANCE, metavar="PERCENT",
              help="How much a figure may differ from the first run's and count as the same.")  # fmt: skip
@click.option("--fail-on", multiple=True, metavar="FIGURE[:PERCENT%]",
              help="Exit 1 when a figure got worse: ping_rtt_p99:10%, failed, any; repeatable.")  # fmt: skip
def report_command(
    runs: tuple[Path, ...], form: str, as_json: bool, output: Path | None, tolerance: float, fail_on: tuple[str, ...]
) -> int:
    """Renders a run directory again, or compares several with the first."""
    limits, form = limits_of(fail_on, tolerance), "json" if as_json else form
    records = [read_run(path) for path in runs]
    if limits and len(records) == 1:
        raise OperatorError("--fail-on compares runs; give a run to compare with before this one")
    if len(records) == 1 or form == "json":
        text = "\n".join(rendered(form, record).rstrip("\n") for record in records)
    elif form == "html":
        raise OperatorError("--format html is of one run; give one, or compare them as text, markdown, csv or json")
    else:
        with _undamaged(", ".join(map(str, runs))):
            text = comparison_report(records, tolerance, form).rstrip("\n")
    _put(text, output)
    with _undamaged(", ".join(map(str, runs))):
        return _fail(records, limits)


def _fail(records: list[RunRecord], limits: list[Limit]) -> int:
    """Says what got worse than a limit allows; the exit code."""
    broken = [
        f"{other.name}: {what}"
        for other in records[1:]
        for what in regressions(records[0].summary, other.summary, limits)
    ]
    for line in broken:
        click.echo(f"loadgen-report: regression: {line}", err=True)
    return 1 if broken else 0


def rendered(form: str, record: RunRecord) -> str:
    """A report of a run; raises OperatorError where its files are not what any run wrote."""
    with _undamaged(record.name):
        return FORMATS[form](record)


@contextmanager
def _undamaged(name: str) -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # What a report stumbles over in a summary or a row that lacks something, or has it in another form.
        raise OperatorError(f"{name} is damaged, no report can be made of it: {error!r}") from error


def _put(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(f"{text}\n")
    except OSError as error:
        raise OperatorError(f"--output {output} can't be written ({error.strerror}); give another file") from error
    click.echo(f"report written: {output}")


def main() -> None:
    """Entry of `loadgen-coord`."""
    run_command(coord, "loadgen-coord")


def report() -> None:
    """Entry of `loadgen-report`."""
    run_command(report_command, "loadgen-report")


if __name__ == "__main__":
    main()
