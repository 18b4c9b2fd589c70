"""Users that send HTTP requests, against a server in the same event loop."""

from contextlib import asynccontextmanager

from loadgen.net.allowed import AllowedHosts, AllowedTargets
from loadgen.net.http_pool import HttpPool
from loadgen.net.tls import Contexts
from loadgen.plan.plan import Plan
from loadgen.wire import Destination, Sources, Way
from tests.login_server import login_server
from tests.unit.loads import Load

SOURCE = "127.0.9.17"
PORTS = range(24_900, 25_300)


def destination_of(port: int, name: str = "127.0.0.1") -> Destination:
    """Returns a target on this machine, as an agent resolved it."""
    return Destination(
        url=f"ws://{name}:{port}/ws",
        ways=(Way("127.0.0.1", Sources((SOURCE,), PORTS.start, PORTS.stop - 1)),),
        port=port,
        name=name,
        host=f"{name}:{port}",
        resource="/ws",
        secure=False,
    )


def hosts_of(*destinations: Destination, allowed: tuple[str, ...] = ()) -> AllowedHosts:
    """Returns the hosts that requests may go to, with these targets."""
    return AllowedHosts(lambda: destinations, AllowedTargets(allowed))


@asynccontextmanager
async def http_load(session, *, allowed=(), users=1, **changes):
    """A session under way against a fresh server."""
    async with login_server() as (port, app):
        target = f"ws://127.0.0.1:{port}/ws"
        plan = Plan(**{"target": target, "rate": 500.0, "max": users, "hold": 0.0} | changes)
        running = Load(plan, port, source=SOURCE, ports=PORTS, session=session)
        hosts = hosts_of(destination_of(port), allowed=allowed)
        pool = HttpPool(hosts, plan.transport, Contexts(plan.transport))
        running.population.open_http = lambda: pool
        try:
            yield running, app
        finally:
            await running.end()
            await pool.close()
