"""One server in one way: a run against it, and what is wrong with its figures."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.conformance.load import SESSIONS, lacks, loaded, new_identity
from tests.conformance.real import FRONTS, SERVERS, http_proxy, running

USERS = 200
"""Half of them play the built-in ping loop, half a session in Python."""
MESSAGES = 12
"""What each of the sessions sends, and gets back."""
LOOPS = 4
PLAN = """
target = "{url}"
rate = 200
max = {users}
hold = "sessions"

[[sessions]]
kind = "loop"
name = "pings"
think = 0.25
loops = {loops}

[[sessions]]
kind = "python"
name = "messages"
file = "{file}"
"""
SERVER_NAMES = (*SERVERS, *FRONTS)
PLAIN, TLS, COMPRESSED, PROXIED = WAYS = ("plain", "TLS", "compressed", "proxied")
NOT_RUN = "not run"
HELD = "held"


def cell(name: str, way: str, users: int = USERS) -> str:
    """Returns `held`, what is wrong, or why it was not run."""
    option = {COMPRESSED: "--compress", PROXIED: "--proxy"}.get(way)
    if option and (missing := lacks(option)):
        return f"{NOT_RUN}: {missing}"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        identity = new_identity(folder) if way == TLS else None
        port = stack.enter_context(running(name, identity))
        options = [option] if option else []
        if way == PROXIED:
            options.append(stack.enter_context(http_proxy()))
        server = SERVERS.get(name) or SERVERS["ws"]
        plan = folder / "plan.toml"
        url = f"{'wss' if identity else 'ws'}://127.0.0.1:{port}{server.resource}"
        file = SESSIONS / server.session
        plan.write_text(PLAN.format(url=url, users=users, loops=LOOPS, file=file))
        trusted = identity.authority if identity else None
        words = ("--plan", str(plan), *options)
        with loaded(folder, *words, trusted=trusted) as run:
            run.end(120)
            return "; ".join(wrong(run.summary(), users, way)) or HELD


def wrong(summary: dict[str, Any], users: int, way: str) -> Iterator[str]:
    """Returns what is wrong with the figures of a run, one line each."""
    counters = summary["counters"]
    sessions = counters.get("sessions", 0)
    figures: dict[str, tuple[Any, Any]] = {
        "opened": (summary["opened"], users),
        "failed": (summary["failed"], {}),
        "closed": (summary["closed"], {"done": users}),
        "unexpected": (summary["unexpected"], 0),
        "pongs": (summary["pongs"], summary["pings"]),
        "pings": (summary["pings"] >= users, True),
        "sessions that returned": (summary["sessions_done"], users),
        "messages that came back": (counters.get("right"), MESSAGES * sessions),
        "compressed": (counters.get("compressed"), sessions if way == COMPRESSED else 0),
    }
    for figure, (found, expected) in figures.items():
        if found != expected:
            yield f"{figure}: {found}, not {expected}"
