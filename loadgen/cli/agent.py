"""`loadgen-agent`: runs on each client machine and dials the coordinator."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click
import uvloop
from aiohttp import web
from click.core import ParameterSource
from prometheus_client import CollectorRegistry

from loadgen.agent.agent import Agent
from loadgen.agent.process import WORKER
from loadgen.agent.settings import AgentSettings
from loadgen.cli.options import DURATION, ENDPOINT, CountType, run_command
from loadgen.cli.stdio import decouple
from loadgen.errors import OperatorError
from loadgen.forkserver import ForkServer
from loadgen.http.client import Trust, trust_in
from loadgen.http.metrics import MetricsPage
from loadgen.http.ratelimit import PortRates
from loadgen.http.server import HttpLimits, HttpServer
from loadgen.http.token import Token, exposure
from loadgen.machine.addresses import local_addresses_exist, parse_ports, parse_sources
from loadgen.machine.exporter import machine_registry
from loadgen.net.allowed import AllowedTargets
from loadgen.process import ending_signals
from loadgen.stats.histogram import MAX_VALUE
from loadgen.stats.prometheus import registry_of
from loadgen.systemd import notify
from loadgen.values import DEFAULT_MAX_CONNECTIONS, Endpoint, base_of

log = logging.getLogger("loadgen.agent")
MAX_WORKERS = 1000
"""Workers of one agent; each takes a few of its descriptors."""
MAX_SCRAPES = PortRates(each=50.0, together=100.0)
"""Requests a second that the metrics page answers."""


@click.command(context_settings={"show_default": True})
@click.option(
    "--coordinator",
    default="http://127.0.0.1:8091",
    metavar="URL",
    help="The coordinator to join.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="Shared secret, where the coordinator requires one.",
)
@click.option(
    "--tls-ca",
    type=click.Path(path_type=Path),
    metavar="FILE",
    show_default="the system's",
    help="CAs that may sign the certificate of an https:// coordinator (PEM).",
)
@click.option(
    "--tls-fingerprint",
    default="",
    metavar="SHA256",
    help="Fingerprint of an https:// coordinator's certificate, as the coordinator shows it.",
)
@click.option(
    "--name",
    default="",
    show_default="host name",
    help="Name of this agent in reports and metrics.",
)
@click.option(
    "--workers",
    type=CountType(1, MAX_WORKERS),
    show_default="one per core; more where descriptors demand it, fewer where memory does",
    help="Worker processes.",
)
@click.option(
    "--max-connections",
    type=CountType(1, MAX_VALUE),
    show_default=f"what the plan says, or {DEFAULT_MAX_CONNECTIONS}",
    help="Connections open at once at most.",
)
@click.option(
    "--source", multiple=True, metavar="IP", help="Addresses or ranges to connect from; repeatable."
)
@click.option(
    "--ports",
    metavar="MIN-MAX",
    show_default="what the plan says, or 1025-65535",
    help="Source ports of each address.",
)
@click.option(
    "--metrics",
    type=ENDPOINT,
    default="127.0.0.1:9646",
    help="Where Prometheus scrapes; port 0: any free one.",
)
@click.option(
    "--allow-target",
    multiple=True,
    metavar="CIDR|HOST|PATH",
    help="A target that it may load besides loopback, or the path of a Unix socket; repeatable. It"
    " refuses any other.",
)
@click.option(
    "--allow-sessions", is_flag=True, help="Run the Python sessions that the coordinator sends."
)
@click.option(
    "--orphan-after",
    type=DURATION,
    default="30",
    help="Coordinator silent for that long: drain, and wait for a new one.",
)
@click.option("--once", is_flag=True, help="Exit after one run.")
@click.option(
    "--crowded",
    is_flag=True,
    help="Agents with more workers than cores share this machine: their workers take turns in"
    " batches. Local agents are told so by themselves.",
)
@click.option(
    "--monitor",
    is_flag=True,
    help="Open nothing: serve CPU, memory, files and sockets at --metrics, for --watch.",
)
@click.pass_context
def agent(
    ctx: click.Context,
    coordinator: str,
    token_file: Path | None,
    tls_ca: Path | None,
    tls_fingerprint: str,
    name: str,
    workers: int | None,
    max_connections: int | None,
    source: tuple[str, ...],
    ports: str | None,
    metrics: Endpoint,
    allow_target: tuple[str, ...],
    allow_sessions: bool,
    orphan_after: float,
    once: bool,
    crowded: bool,
    monitor: bool,
) -> None:
    """Opens its share of a run's connections, with one worker process per core."""
    fork_server = ForkServer(WORKER)
    ctx.call_on_close(fork_server.close)
    if not monitor:
        fork_server.fork()  # before there are threads, and the token: sessions run in what it forks
    decouple()
    fixed = ctx.get_parameter_source("metrics") is not ParameterSource.DEFAULT
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="loadgen-agent: %(message)s")
    logging.getLogger("aiohttp").setLevel(logging.ERROR)
    if monitor:
        uvloop.run(_monitor(metrics, fixed=fixed))
        return
    addresses = parse_sources(source)
    local_addresses_exist(addresses)
    settings = AgentSettings(
        coordinator=_base_url(coordinator),
        token=Token.read(token_file),
        trust=_trust(coordinator, tls_ca, tls_fingerprint),
        name=name,
        workers=workers,
        max_connections=max_connections,
        sources=addresses,
        ports=parse_ports(ports) if ports is not None else None,
        allowed_targets=AllowedTargets(allow_target),
        allow_sessions=allow_sessions,
        orphan_after=orphan_after,
        once=once,
        crowded=crowded,
    )
    for warning in (exposure("--token-file", token_file), _plain_token_warning(settings)):
        if warning:
            log.warning("%s", warning)
    uvloop.run(_serve(settings, fork_server, metrics, fixed=fixed))


def _trust(coordinator: str, ca: Path | None, fingerprint: str) -> Trust:
    option = "--tls-fingerprint" if fingerprint else "--tls-ca"
    if (ca or fingerprint) and urlsplit(coordinator).scheme != "https":
        raise OperatorError(
            f"{option} has no effect with --coordinator {coordinator}; write https://, or leave"
            f" {option} out"
        )
    return trust_in(ca, fingerprint)


def _base_url(text: str) -> str:
    url = text.rstrip("/")
    parts = base_of(url)
    if parts is None or parts.query or parts.fragment or "@" in parts.netloc:
        raise click.BadParameter(
            f"{text!r} is not a URL; write http://HOST:8091", param_hint="--coordinator"
        )
    return url


async def _monitor(metrics: Endpoint, *, fixed: bool) -> None:
    """Serves the metrics of this machine until a signal."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, stop.set)
    async with _metrics_page(machine_registry(), lambda: False, metrics, fixed=fixed):
        await stop.wait()


def _plain_token_warning(settings: AgentSettings) -> str:
    """Returns a warning where the token leaves this machine unencrypted, or ""."""
    parts = urlsplit(settings.coordinator)
    if (
        settings.token is None
        or parts.scheme == "https"
        or Endpoint(parts.hostname or "", 0).loopback
    ):
        return ""
    return (
        f"the token goes to {settings.coordinator} in the clear: anyone on the way can read it; use"
        " https://"
    )


async def _serve(
    settings: AgentSettings, fork_server: ForkServer, metrics: Endpoint, *, fixed: bool
) -> None:
    """Runs the agent and its metrics page.

    The first signal drains, the second stops at once.
    """
    agent = Agent(settings, fork_server)
    registry = registry_of(agent.snapshots)
    async with _metrics_page(
        registry, lambda: agent.current is not None, metrics, fixed=fixed
    ) as address:
        agent.metrics = address
        running = asyncio.create_task(agent.run())
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            loop.add_signal_handler(number, _stop, agent, running)
        notify("READY=1")
        try:
            await running
        except asyncio.CancelledError:
            log.info("stopped")


def _stop(agent: Agent, running: "asyncio.Task[None]") -> None:
    if agent.stopping or agent.current is None:
        running.cancel()
    else:
        agent.current.stop()
    agent.stopping = True
    notify("STOPPING=1")


@asynccontextmanager
async def _metrics_page(
    registry: CollectorRegistry, running: Callable[[], bool], endpoint: Endpoint, *, fixed: bool
) -> AsyncIterator[str]:
    """Serves /metrics and /healthz; yields the address, HOST:PORT.

    Where another agent of this host has the default port, the kernel chooses a free one.
    """

    async def show_health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "running": running()})

    app = web.Application(client_max_size=1)
    app.add_routes(
        [web.get("/metrics", MetricsPage(registry).show), web.get("/healthz", show_health)]
    )
    server = HttpServer(app, HttpLimits(connections=200, requests={"": MAX_SCRAPES}))
    try:
        at = await server.open("--metrics", endpoint, other=None if fixed else 0)
        log.info("metrics at http://%s/metrics", at)
        yield str(at)
    finally:
        await server.close()


def main() -> None:
    """The console script."""
    run_command(agent, "loadgen-agent")


if __name__ == "__main__":
    main()
