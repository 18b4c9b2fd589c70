"""Plays one user of the plan on this machine, step by step: `--trace`."""

import asyncio
import contextlib
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from msgspec.structs import replace

from coordinator.embedded import check_embedded
from coordinator.local import LocalProcesses, end_with_coordinator
from coordinator.preflight import (
    TargetAddress,
    check_proxy,
    check_sockets,
    check_target,
)
from coordinator.settings import RunSettings
from loadgen.plan.plan import Plan
from loadgen.process import ending_signals
from loadgen.wire import to_wire

TARGET_LIMIT = 1000
"""Connections that the embedded target takes."""


def of_one_user(plan: Plan) -> Plan:
    """Returns the plan of user 0 alone: its session, at once, to its end."""
    spec = plan.session_specs[plan.session_of(0)]
    publish = plan.publish if plan.publish is not None and plan.publish.by == "session" else None
    feeders = tuple(feeder for feeder in plan.feeders if feeder.feeds(spec.name))
    return replace(
        plan,
        phases=(),
        sessions=(spec,),
        clients=(),
        feeders=tuple(replace(feeder, sessions=()) for feeder in feeders),
        max=1,
        rate=1000.0,
        arrival="uniform",
        hold="sessions",
        stop_after=0.0,
        publish=publish and replace(publish, sessions=()),
    )


async def trace(settings: RunSettings) -> int:
    """Plays one user and returns the exit code; raises OperatorError as a run does."""
    plan = of_one_user(settings.plan)
    proxy = check_proxy(plan)
    targets = [check_target(url, plan.transport.via) for url in plan.urls]
    check_sockets(targets)
    processes = LocalProcesses()
    with tempfile.TemporaryDirectory() as logs:
        try:
            if settings.with_target:
                check_embedded(settings.with_target, settings.plan, targets)
                mode, log = settings.with_target, Path(logs, "target.log")
                await processes.start_target(mode, targets[0], TARGET_LIMIT, log)
            return await _play(_order(settings, plan, targets, proxy))
        finally:
            await processes.terminate()


def _order(
    settings: RunSettings, plan: Plan, targets: list[TargetAddress], proxy: TargetAddress | None
) -> bytes:
    hosts = [target.path or target.host for target in targets]
    if proxy is not None:
        hosts.append(proxy.host)
    order = {
        "plan": plan.for_agents,
        "rows": [feeder.table for feeder in plan.feeders],
        "credentials": settings.credentials,
        "allowed": list(dict.fromkeys(hosts)),
    }
    return to_wire(order)


async def _play(order: bytes) -> int:
    """Runs the process that plays the user; it gets every signal to end."""
    loop = asyncio.get_running_loop()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "loadgen.cli.trace"),
        stdin=PIPE,
        start_new_session=True,  # Ctrl-C in the terminal comes from here alone
        preexec_fn=end_with_coordinator,
    )
    for number in ending_signals():
        loop.add_signal_handler(number, _send, process, number)
    await process.communicate(order)
    for number in ending_signals():
        loop.remove_signal_handler(number)
    assert process.returncode is not None
    return process.returncode if process.returncode >= 0 else 1


def _send(process: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may have ended just now
        process.send_signal(number)
