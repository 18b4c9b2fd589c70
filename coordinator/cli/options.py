"""The options of `loadgen-coord` by subject, in the order of its --help."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from coordinator.cli.option_types import (
    COMPRESS,
    EMBEDDED,
    FEEDER,
    HEADER,
    PARAM,
    PROXY,
    RECEIVER,
    WATCHED,
)
from coordinator.run.agents import MAX_AGENTS
from coordinator.run.states import OnLoss
from loadgen.cli.options import DURATION, ENDPOINT, HOLD, RATE, CountType
from loadgen.plan.plan import Grain, Plan
from loadgen.plan.schema import plan_schema
from loadgen.values import TARGET_MODES


def print_schema(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Prints the schema of plan files, and ends the command."""
    if asked:
        click.echo(msgspec.json.format(msgspec.json.encode(plan_schema()), indent=2))
        ctx.exit()


Decorator = Callable[[Any], Any]
Options = tuple[Decorator, ...]

REFERENCE = Plan()
"""The reference run, which the options ask for by default."""

LOAD: Options = (
    click.option(
        "--rate",
        type=RATE,
        default=2000,
        metavar="R",
        help="Arrivals per second over the whole fleet.",
    ),
    click.option(
        "--max",
        "--users",
        type=CountType(min=1),
        default=REFERENCE.max,
        metavar="N",
        help="Users in all; each has one connection, unless its session opens more.",
    ),
    click.option(
        "--arrival",
        type=click.Choice(["uniform", "poisson"]),
        default=REFERENCE.arrival,
        help="Staggering of arrivals.",
    ),
    click.option("--seed", type=int, default=REFERENCE.seed, help="Seed of everything random."),
    click.option(
        "--hold",
        type=HOLD,
        default="60",
        help="How long the plateau is held after the last arrival; sessions: until all are over.",
    ),
    click.option(
        "--think", type=DURATION, default="30", help="Think time of the loop; one ping a turn."
    ),
    click.option(
        "--loops",
        type=CountType(min=0),
        default=REFERENCE.loops,
        metavar="N",
        help="Turns of the think-time loop.",
    ),
    click.option(
        "--ping",
        type=click.Choice(["protocol", "app", "none"]),
        default=REFERENCE.ping,
        help='A PING frame, the text {"type":"ping"}, or silence.',
    ),
    click.option(
        "--grain",
        type=click.Choice(get_args(Grain)),
        default=REFERENCE.grain,
        help="How exact launches and think times are; auto: 1ms or finer below 5,000 launches/s of"
        " a worker; 50ms saves CPU where many workers share a core.",
    ),
    click.option(
        "--feeder",
        type=FEEDER,
        multiple=True,
        metavar="FILE[:MODE]",
        help="A file with one row for each user: CSV, JSON lines or Python; MODE is unique, stop,"
        " wrap, shared or random.",
    ),
    click.option(
        "--param",
        type=PARAM,
        multiple=True,
        metavar="KEY=VALUE",
        help="The value of a parameter, which sessions read as user.params['KEY'] and scripts as"
        " %%KEY%%; repeatable.",
    ),
)
"""The users, and what they do between their arrival and the end."""

TARGET: Options = (
    click.option(
        "--header",
        multiple=True,
        type=HEADER,
        metavar="'NAME: VALUE'",
        help="Send this header in every handshake; repeatable. Host and User-Agent replace"
        " loadgen's.",
    ),
    click.option(
        "--compress",
        type=COMPRESS,
        metavar="[=PARAMETERS]",
        help="Offer permessage-deflate as browsers do, or with parameters:"
        " --compress='server_no_context_takeover; client_max_window_bits=9'.",
        show_default="off",
    ),
    click.option(
        "--proxy",
        type=PROXY,
        metavar="URL",
        help="Connect to targets through this proxy: http://, socks5:// (agents resolve the"
        " target's name) or socks5h:// (the proxy does), perhaps with USER:PASSWORD@.",
    ),
    click.option(
        "--proxy-protocol",
        type=click.IntRange(1, 2),
        metavar="1|2",
        help="Begin each connection with the PROXY protocol of this version: a balancer sees an"
        " address of each user's own, in 10.0.0.0/8 or fd00::/8.",
    ),
    click.option(
        "--follow-redirects",
        is_flag=True,
        help="Follow up to five redirects of a handshake in a row, to places that agents may load.",
    ),
    click.option(
        "--target-ca",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Trust the authorities in this PEM file, instead of the system's, at a wss:// TARGET.",
    ),
    click.option(
        "--target-cert",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Show a wss:// TARGET this certificate; of several, or a folder, each user one.",
    ),
    click.option(
        "--target-key",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The key of --target-cert, where that file does not hold it.",
    ),
    click.option(
        "--insecure", is_flag=True, help="Accept any certificate of a wss:// TARGET, and say so."
    ),
)
"""The way to the target: handshake, proxies and certificates."""

FLEET: Options = (
    click.option(
        "--agents",
        type=CountType(1, MAX_AGENTS),
        metavar="N",
        help="Start once N agents have joined.",
        show_default="the --local ones, the plan's clients, or 16",
    ),
    click.option(
        "--local",
        type=CountType(1, MAX_AGENTS),
        metavar="N",
        help="Also start N agents on this machine.",
    ),
    click.option(
        "--with-target",
        type=EMBEDDED,
        metavar="[MODE]",
        help="Also start the embedded target on the TARGET's port; MODE:"
        f" {', '.join(TARGET_MODES)}. By default appwrite for connections without a session to"
        " Appwrite's path, else echo.",
    ),
    click.option("--wait", type=DURATION, default="60", help="How long to wait for the agents."),
    click.option(
        "--listen",
        type=ENDPOINT,
        default="127.0.0.1:8091",
        help="Where agents join: JSON, metrics, one port.",
    ),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        help="Shared secret; required off loopback.",
    ),
    click.option(
        "--public-view",
        is_flag=True,
        help="Everybody may view the run; to control it needs the token.",
    ),
    click.option(
        "--tls-cert",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Speak https:// with this certificate (PEM); agents pin it, or trust its CA.",
    ),
    click.option(
        "--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="The key of --tls-cert."
    ),
)
"""The agents, and the port where they join."""

SESSIONS: Options = (
    click.option(
        "--session",
        metavar="FILE.py|FOLDER[:NAME]",
        help="A session written in Python, instead of the loop; a folder travels with all its"
        " files.",
    ),
    click.option(
        "--setup",
        metavar="FILE.py|FOLDER[:NAME]",
        help="Call the function setup(params) of a Python file once, on one agent, before the load,"
        " and teardown(data) after it.",
    ),
    click.option(
        "--tsung",
        type=click.Path(path_type=Path),
        metavar="FILE.xml",
        help="Take the plan from a Tsung configuration; TARGET, --max and --hold besides it win.",
    ),
)
"""The sessions and configurations that others wrote."""

MEASURED: Options = (
    click.option(
        "--publish",
        metavar="URL|target|session|external",
        help="Measure delivery: publish by POST to a URL, or to the embedded target's /publish; or"
        " let sessions, or a program of yours, publish.",
    ),
    click.option(
        "--publish-rate",
        type=RATE,
        default=1,
        metavar="R",
        help="Publications per second of --publish URL or target.",
    ),
    click.option(
        "--watch",
        multiple=True,
        type=WATCHED,
        metavar="NAME=URL",
        help="Scrape an exporter each second: node_exporter, loadgen-agent --monitor; repeatable.",
    ),
    click.option(
        "--export",
        multiple=True,
        type=RECEIVER,
        metavar="URL",
        help="Send each settled second as InfluxDB line protocol: http://HOST:8086/write?db=NAME;"
        " repeatable.",
    ),
)
"""Servers, publications and checks that are measured beside the connections."""

FILES: Options = (
    click.option(
        "--plan",
        type=click.Path(path_type=Path),
        metavar="FILE.toml",
        help="Take the plan from a file; options given besides it win.",
    ),
    click.option(
        "--write-plan",
        type=click.Path(path_type=Path),
        metavar="FILE.toml",
        help="Save the plan, open nothing.",
    ),
    click.option(
        "--plan-schema",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=print_schema,
        help="Print the JSON schema of plan files, for an editor, and open nothing.",
    ),
    click.option(
        "--har",
        metavar="FILE.har[#N]",
        help="Read a browser's recording: its WebSocket (#N: which of several), and its HTTP"
        " requests.",
    ),
    click.option(
        "--write-session",
        type=click.Path(path_type=Path),
        metavar="FILE.py",
        help="Write what --har recorded as a session, open nothing.",
    ),
)
"""The files that a plan or a session comes from, and goes to."""

VERDICT: Options = (
    click.option(
        "--expect",
        multiple=True,
        metavar="EXPR",
        help="Pass or fail: 'open_peak>=1000000', 'handshake_p99<500ms', 'failed<0.1%';"
        " repeatable.",
    ),
    click.option(
        "--abort-on",
        multiple=True,
        metavar="EXPR[:for TIME]",
        help="Drain the run and fail it once this holds: 'failed>1%:for 10s'; repeatable.",
    ),
    click.option(
        "--tsung-log",
        type=click.Choice(["text", "json", "none"]),
        default="text",
        help="Form of tsung.log in the run directory, for programs that read Tsung's.",
    ),
)
"""The conditions that pass, fail or end the run, and the log for readers of Tsung's."""

RUN: Options = (
    click.option(
        "--on-loss",
        type=click.Choice(get_args(OnLoss)),
        default="redistribute",
        help="What happens to a lost agent's share: nothing, others launch it, or the run ends.",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        default="runs",
        help="Where the run directory goes.",
    ),
    click.option(
        "--resume",
        type=click.Path(path_type=Path),
        metavar="RUN",
        help="Resume the run of a coordinator that died, from its run directory.",
    ),
    click.option(
        "--calibrate",
        is_flag=True,
        help="Measure what this fleet can generate, against the embedded target, and keep it in"
        " --out.",
    ),
    click.option(
        "--trace",
        is_flag=True,
        help="Play one user on this machine, and print each step, frame and HTTP request.",
    ),
    click.option("--dry-run", is_flag=True, help="Print plan, shares and preflight; open nothing."),
    click.option(
        "--json", is_flag=True, help="The last line of stdout is summary.json on one line."
    ),
)
"""How the run goes on, and what the command does instead of a run."""


def with_options(*groups: Options) -> Decorator:
    """Returns the decorator that gives a command these options, in this order."""

    def decorate(command: Any) -> Any:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return decorate
