"""The publisher of a run, where its plan asks for one that speaks HTTP."""

import os
import ssl
from collections.abc import Callable

from coordinator.clock import Clock
from coordinator.publisher import Publisher
from coordinator.run.run import Run
from coordinator.settings import RunSettings
from loadgen.machine.clock import clock_name
from loadgen.net.credentials import show, trust
from loadgen.stats.delivery import Published
from loadgen.stats.recorder import MICROSECONDS


def publisher_of(
    settings: RunSettings, run: Run, clock: Clock, warn: Callable[[str], None]
) -> Publisher | None:
    """Returns the publisher of a run; None where its plan has none that speaks HTTP.

    `warn` takes a line for the operator.
    """
    plan = settings.plan
    if plan.publish is None or plan.publish.by != "http":
        return None

    def add(published: Published) -> None:
        sent = clock.at((published.sent or 0) / MICROSECONDS)
        run.published(published, sent, clock.now())

    return Publisher(
        plan.publish,
        [server.url for server in plan.servers],
        # Numbers begin at 0, also in a resumed run: its process has another id.
        f"{clock_name()}-{run.key}-{os.getpid()}",
        tls=publisher_tls(settings),
        may_publish=lambda: run.may_publish(clock.now()),
        published=add,
        failed=lambda reason: run.publication_failed(reason, clock.now()),
        warn=warn,
    )


def publisher_tls(settings: RunSettings) -> ssl.SSLContext:
    """Returns the context of the publisher.

    It shows what the first user shows, and trusts the plan's authorities and the system's.
    """
    credentials = settings.credentials
    context = ssl.create_default_context()
    if not settings.plan.transport.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if credentials.ca:
        trust(context, credentials.ca)
    if credentials.pairs:
        show(context, credentials.of_user(0))
    return context
