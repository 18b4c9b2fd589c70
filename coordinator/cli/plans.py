"""The plan that a command line of `loadgen-coord` asks for.

It comes from options, a plan file, a session file or a Tsung configuration.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from coordinator.cli.option_types import watched_of
from coordinator.report.abort import parse_abort
from coordinator.report.expect import parse
from loadgen.errors import PlanError
from loadgen.plan.notes import check_rows, notes_on
from loadgen.plan.plan import Plan, plan_of
from loadgen.plan.publish import MAX_RATE, Publish
from loadgen.plan.session_file import read_session
from loadgen.plan.sessions import PythonSession
from loadgen.plan.setup_file import read_setup
from loadgen.plan.transport import Transport
from loadgen.planfile import place_in, read_plan
from loadgen.values import base_of

PLAN_OPTIONS = (
    "target",
    "rate",
    "max",
    "arrival",
    "seed",
    "hold",
    "think",
    "loops",
    "ping",
    "grain",
)
"""The options that are keys of the plan; the other keys are in plan files only."""
TRANSPORT_OPTIONS = ("proxy", "proxy_protocol", "follow_redirects")
"""The options that are keys of the plan's transport, where they are given."""
TLS_OPTIONS = ("target_ca", "target_cert", "target_key", "insecure")
"""The options about TLS towards the targets, which are keys of the plan's transport."""
NOT_BESIDE_TSUNG = (
    "session",
    "feeder",
    "plan",
    "rate",
    "arrival",
    "seed",
    "think",
    "loops",
    "ping",
)
"""The options that set arrivals or sessions, which --tsung takes from its file."""
NOT_BESIDE_SESSION = ("plan", "tsung", "ping", "loops", "think")
"""The options that set what users do, which --session takes from its file."""


def plan_from_options(ctx: click.Context, options: dict[str, Any]) -> Plan:
    """Returns the plan of the options, or that of --plan under the given options.

    Prints what of it may not be meant. Raises PlanError for an option without effect, and where
    users would be without a row.
    """
    plan = _plan_from_options(ctx, options).filled
    check_rows(plan)
    for note in notes_on(plan):
        click.echo(f"loadgen-coord: {note}", err=True)
    return plan


def _plan_from_options(ctx: click.Context, options: dict[str, Any]) -> Plan:
    values = {name: options[name] for name in PLAN_OPTIONS}
    publish = _publish(ctx, options) | _setup(options)
    if options["session"] is not None or options["plan"] is None:
        values |= publish | {"transport": with_options(Transport(), options)}
        values["feeders"] = options["feeder"]
        values["params"] = dict(options["param"])
        if options["session"] is not None:
            values["sessions"] = (_session(ctx, options["session"]),)
        return plan_of(values)
    explicit = {name: value for name, value in values.items() if is_given(ctx, name)} | publish
    plan = read_plan(options["plan"], params=dict(options["param"]))
    _check_conditions(options["plan"], plan)
    for name in sorted(plan.overruled & explicit.keys()):
        option = "TARGET" if name == "target" else f"--{name}"
        raise PlanError(
            f"{option} has no effect beside what {options['plan']} has instead; change it there"
        )
    explicit["transport"] = with_options(plan.transport, options)
    explicit["feeders"] = (*plan.feeders, *options["feeder"])
    return plan_of(msgspec.structs.asdict(plan) | explicit)


def _check_conditions(path: Path, plan: Plan) -> None:
    """Raises PlanError, with the line, for a condition that can't be meant."""
    for key, check in CONDITIONS.items():
        for place, text in enumerate(getattr(plan, key)):
            at = f"{key}[{place}]"
            try:
                check(text, plan, f"`{at}`")
            except PlanError as error:
                raise PlanError(f"{place_in(path, at)}: {error}") from error


def _check_watched(text: str, _: Plan, option: str) -> None:
    try:
        watched_of(text)
    except PlanError as error:
        raise PlanError(f"{option}: {error}") from error


CONDITIONS: Mapping[str, Callable[[str, Plan, str], object]] = {
    "expect": parse,
    "abort_on": parse_abort,
    "watch": _check_watched,
}
"""The keys of a plan that only the coordinator understands, and what checks each of their texts:
from the plan and the name of the place, it raises PlanError."""


def with_conditions(plan: Plan, options: dict[str, Any]) -> Plan:
    """Returns the plan with --expect, --abort-on and --watch added to its own.

    An exporter replaces one of the same name.
    """
    known = map(watched_of, plan.watch)
    watch = {watched.name: watched.url for watched in (*known, *options["watch"])}
    return msgspec.structs.replace(
        plan,
        expect=tuple(dict.fromkeys((*plan.expect, *options["expect"]))),
        abort_on=tuple(dict.fromkeys((*plan.abort_on, *options["abort_on"]))),
        watch=tuple(f"{name}={url}" for name, url in watch.items()),
    )


def plan_from_tsung(ctx: click.Context, options: dict[str, Any]) -> Plan:
    """Returns the plan of a Tsung configuration, and prints what of it is left out.

    Sets the options `agents` (one for each of its hosts) and `tsung_log` where they are not given.
    """
    # Only --tsung needs these.
    from coordinator.tsung.configuration import read_tsung  # noqa: PLC0415
    from coordinator.tsung.servers import base_of_url  # noqa: PLC0415

    path = options["tsung"]
    explicit = {name for name in ctx.params if is_given(ctx, name)}
    for name in NOT_BESIDE_TSUNG:
        if name in explicit:
            raise PlanError(f"--tsung {path} sets what --{name} sets; leave one of them out")
    if options["param"]:
        raise PlanError(
            f"--param has no effect beside --tsung {path}, whose scripts set their variables; save"
            " it by --write-plan FILE.toml, and write [params] there"
        )
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
    changes |= _publish(ctx, options) | _setup(options)
    changes["transport"] = with_options(imported.plan.transport, options)
    return msgspec.structs.replace(
        imported.plan, **changes, **({"hold": options["hold"]} if "hold" in explicit else {})
    )


def with_options(transport: Transport, options: dict[str, Any]) -> Transport:
    """Returns the transport with what the options set in it.

    Raises PlanError for a mistake.
    """
    changes = {name: options[name] for name in TRANSPORT_OPTIONS if options[name]}
    if options["compress"] is not None:
        changes["compress"] = options["compress"]
    changed = msgspec.structs.replace(transport, **changes)
    return with_tls(with_headers(changed, options["header"]), options)


def check_tls(ctx: click.Context, plan: Plan) -> None:
    """Raises PlanError for options about TLS beside a plan without it."""
    for name in TLS_OPTIONS:
        if is_given(ctx, name) and not plan.secure:
            raise PlanError(
                f"--{name.replace('_', '-')} has no effect: no URL of the plan begins with wss://"
            )


def with_tls(transport: Transport, options: dict[str, Any]) -> Transport:
    """Returns the transport with the files of --target-… and with --insecure.

    Paths become whole. --insecure verifies nothing, whatever the plan trusts. Raises PlanError for
    options that contradict each other.
    """
    paths = {f"tls_{name}": options[f"target_{name}"] for name in ("ca", "cert", "key")}
    changes: dict[str, Any] = {key: str(path.absolute()) for key, path in paths.items() if path}
    if "tls_cert" in changes:
        changes = {"tls_key": ""} | changes  # that of the plan is of another certificate
    if options["insecure"] and "tls_ca" in changes:
        raise PlanError(
            "--insecure accepts any certificate, so --target-ca has no effect; leave one out"
        )
    if options["insecure"]:
        changes |= {"tls_verify": False, "tls_ca": ""}
    elif "tls_ca" in changes:
        changes["tls_verify"] = True  # who names an authority wants it asked
    return msgspec.structs.replace(transport, **changes)


def with_headers(transport: Transport, added: Sequence[tuple[str, str]]) -> Transport:
    """Returns the transport with the headers of --header.

    They replace those of the same name. Raises PlanError for one that is given twice.
    """
    names = [name.lower() for name, _ in added]
    for place, (name, _) in enumerate(added):
        if name.lower() in names[:place]:
            raise PlanError(f"--header {name} is there twice; write its values into one header")
    origin = "" if "origin" in names else transport.origin
    kept = {name: value for name, value in transport.headers.items() if name.lower() not in names}
    return msgspec.structs.replace(transport, headers=kept | dict(added), origin=origin)


def is_given(ctx: click.Context, name: str) -> bool:
    """Returns True when an option is on the command line or in the environment."""
    return ctx.get_parameter_source(name) is not ParameterSource.DEFAULT


def _publish(ctx: click.Context, options: dict[str, Any]) -> dict[str, Publish]:
    """Returns the key `publish` of the plan that --publish asks for; none without it."""
    value, rate = options["publish"], options["publish_rate"]
    sends = value not in (None, "session", "external")
    if is_given(ctx, "publish_rate") and not sends:
        raise PlanError("--publish-rate has no effect without --publish URL or --publish target")
    if rate > MAX_RATE:
        raise PlanError(f"--publish-rate {rate:g} is more than {MAX_RATE}, the most that is sent")
    if value is None:
        return {}
    if not sends:
        return {"publish": Publish(by=value)}
    if value == "target":
        return {"publish": Publish(rate=rate)}
    if base_of(value) is None:
        raise PlanError(
            f"--publish {value!r} is not an http:// or https:// URL; write one, or target, session"
            " or external"
        )
    return {"publish": Publish(url=value, rate=rate)}


def _setup(options: dict[str, Any]) -> dict[str, Any]:
    """Returns the key `setup` of the plan that --setup asks for; none without it."""
    text = options["setup"]
    return {} if text is None else {"setup": read_setup(*_file_and_name(text))}


def _session(ctx: click.Context, text: str) -> PythonSession:
    """Returns the session of FILE.py[:NAME]."""
    for name in NOT_BESIDE_SESSION:
        if is_given(ctx, name):
            raise PlanError(
                f"--session {text} sets what users do, and so does --{name}; leave one of them out"
            )
    path, function = _file_and_name(text)
    return read_session(path, function, function)


def _file_and_name(text: str) -> tuple[Path, str]:
    """Returns the parts of FILE.py[:NAME]; the name is empty where there is none."""
    path, _, name = text.rpartition(":")
    return (Path(path), name) if path and name.isidentifier() else (Path(text), "")
