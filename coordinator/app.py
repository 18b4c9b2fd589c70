"""Wires one run together: checks, port, controller, signals."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from secrets import token_hex

from coordinator.clock import Clock
from coordinator.controller import Controller
from coordinator.embedded import check_embedded
from coordinator.http.server import Server
from coordinator.influx.lines import check_library
from coordinator.local import LocalAgents
from coordinator.preflight import (
    Certificate,
    check_listen,
    check_proxy,
    check_shares,
    check_sockets,
    check_target,
)
from coordinator.run.run import Run
from coordinator.settings import RunSettings
from coordinator.storage.calibrations import read_calibrations
from coordinator.storage.journal import Journal
from loadgen.forkserver import ForkServer
from loadgen.http.token import Token
from loadgen.process import ending_signals, raise_nofile
from loadgen.systemd import notify


async def coordinate(settings: RunSettings, fork_server: ForkServer) -> int:
    """Runs the plan to its end and returns the exit code.

    `fork_server` forks local agents. Raises OperatorError for what the operator has to change,
    before anything is opened where possible.
    """
    if settings.export:
        check_library()
    if settings.calibrate:
        read_calibrations(settings.out)  # what can't be kept is not measured
    check_shares(settings.plan, settings.agents)
    plan, elsewhere = settings.plan, settings.elsewhere
    proxy = check_proxy(plan, elsewhere=elsewhere)
    targets = [check_target(url, plan.transport.via, elsewhere=elsewhere) for url in plan.urls]
    if settings.with_target:
        check_embedded(settings.with_target, plan, targets)
    if settings.local:
        check_sockets(targets)
    token = Token.read(settings.token_file)
    check_listen(settings.listen, token)
    raise_nofile()  # for as many agents and viewers as the port takes
    certificate = Certificate.load(settings.tls_cert, settings.tls_key)
    # Before the port is opened: while the coordinator of that run lives, it has both.
    journal = Journal.reopen(settings.resume) if settings.resume else None
    clock = Clock(journal.head.clock_offset() if journal else 0.0)
    key = journal.head.key if journal else token_hex(4)
    run = Run(
        plan,
        settings.agents,
        key=key,
        on_loss=settings.on_loss,
        credentials=settings.credentials,
    )
    server = Server(run, clock.now, token, public=settings.public_view, out=settings.out)
    async with AsyncExitStack() as stack:
        server.awaits_journal = True
        listen = await server.start(settings.listen, certificate.context if certificate else None)
        stack.push_async_callback(server.stop)
        if journal is None:
            controller = Controller.new(settings, clock, run, server, listen)
        else:
            controller = await Controller.resumed(settings, clock, run, server, journal)
        server.awaits_journal = False
        stack.push_async_callback(controller.local_processes.terminate)
        notify("READY=1")
        fingerprint = certificate.fingerprint if certificate else ""
        local_agents = LocalAgents(
            settings.local, plan, targets, listen, settings.token_file, fingerprint, proxy
        )
        with _signals(run, clock):
            return await controller.run_to_end(local_agents, fork_server)


@contextmanager
def _signals(run: Run, clock: Clock) -> Iterator[None]:
    """Drains the run on the first signal to end, and stops it on every further one."""
    loop = asyncio.get_running_loop()
    received = 0

    def handle() -> None:
        nonlocal received
        received += 1
        (run.drain if received == 1 else run.stop)(clock.now())

    numbers = ending_signals()
    for number in numbers:
        loop.add_signal_handler(number, handle)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
