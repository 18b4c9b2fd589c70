"""One worker whose users run a session in Python, or a script: memory per user."""

from math import ceil
from pathlib import Path

from loadgen.plan.plan import Plan
from loadgen.plan.script import Connect, For, Send, SetVars, Think, Transaction
from loadgen.plan.session_file import read_session
from loadgen.plan.sessions import Script, SessionSpec
from loadgen.wire import Sources
from tests.bench.goal import Goal
from tests.bench.job import resident_bytes, seconds_of, working
from tests.processes import target

USERS = 10_000
RATE = 2000.0
HELD = 8.0
DOZEN = Path(__file__).with_name("dozen_lines.py")
SCRIPT = Script(
    name="dozen",
    steps=(
        Connect(),
        SetVars(names=("word",), source="random_string"),
        For(
            var="turn",
            first=1,
            last=1000,
            steps=(
                Transaction(
                    name="turn", steps=(Send(text='{"type":"ping"}', ack=True), Think(seconds=2.0))
                ),
                Think(seconds=2.0),
            ),
        ),
    ),
)


def run() -> list[Goal]:
    """Returns the memory per user, in Python and as a script."""
    with target("--workers", "1", "--limit", "25000", "--mode", "appwrite") as url:
        return [
            Goal(
                "memory per user of a session in Python",
                kib(url.port, read_session(DOZEN)),
                "KiB",
                5.0,
            ),
            Goal("memory per user of a script", kib(url.port, SCRIPT), "KiB", 5.0),
        ]


def kib(port: int, spec: SessionSpec) -> float:
    """Returns the KiB that a worker grows by for each user in its session."""
    plan = Plan(rate=RATE, max=USERS, hold=HELD, sessions=(spec,))
    last = ceil(USERS / RATE + HELD) - 1
    with working(port, plan, [Sources(("127.0.2.4",), 20_000, 60_000)]) as (process,):
        before = resident_bytes(process.pid)
        *_, end = seconds_of(process, last)
        assert end.held.open == USERS, (
            f"{end.held.open} of {USERS} are open, closed {end.tally.closed}"
        )
    return (end.rss - before) / USERS / 1024
