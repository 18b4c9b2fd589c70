"""The job of one worker, as an agent makes it for a target on this machine."""

from loadgen.plan.credentials import Credentials
from loadgen.plan.plan import Plan
from loadgen.plan.shares import Share
from loadgen.wire import Destination, Job, Sources, Way
from tests.processes import own_source

RESOURCE = "/v1/realtime?project=console&channels[]=files"
WHOLE = Share()


def job_on(
    port: int,
    plan: Plan,
    *,
    share: Share = WHOLE,
    sources: Sources | None = None,
    start: float,
    authority: str = "",
) -> Job:
    """Returns the job to load a port of 127.0.0.1 alone, from `start` on.

    `start` is in seconds on the monotonic clock. Without sources its connections come from an
    address that no other worker uses. With an `authority` (PEM) they have TLS, and trust it.
    """
    host = "127.0.0.1"
    return Job(
        plan=plan,
        share=share,
        start=start,
        destinations=(
            Destination(
                ways=(Way(host, sources or Sources((own_source(),), 20_000, 60_000)),),
                url=f"{'wss' if authority else 'ws'}://{host}:{port}{RESOURCE}",
                port=port,
                name=host,
                host=f"{host}:{port}",
                resource=RESOURCE,
                secure=bool(authority),
            ),
        ),
        most_open=plan.total,
        credentials=Credentials(ca=authority),
    )
