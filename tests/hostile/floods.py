"""Strangers that ask, post, connect and read too much, or too little."""

import json
import time

import trustme

from tests.faults.fault import statuses
from tests.hostile.arena import COUNT, FLEET, OWNERS, Arena, Survived, most_memory
from tests.hostile.trial import trial
from tests.processes import eventually

MEMORY = 300 << 20
"""The bytes that a coordinator may take in these."""


def _bothered(arena: Arena, *options: str, seconds: float, kind: str, path: str) -> Survived:
    """Returns the outcome after strangers bothered the coordinator of an open fleet."""
    words = ("--seconds", str(seconds), *options)
    with arena.measured():
        stranger = arena.stranger(kind, path, *words)
        time.sleep(0.5)
        arena.serves_owner(seconds - 1.0)
        code = stranger.end(60.0)
    assert code == 0, stranger.err
    counts = json.loads(stranger.out)
    assert statuses(arena) == ["running"] * FLEET, statuses(arena)
    memory = most_memory(arena.coord.pid)
    assert memory < MEMORY, f"the coordinator had {memory >> 20} MiB"
    result = arena.drains_well()
    told = ", ".join(f"{key}: {count:,}" for key, count in sorted(counts.items()))
    return result._replace(ledger=f"{result.ledger}; the stranger's answers: {told}")


@trial("a stranger asks for /metrics over 8 connections for 5 s", small=True)
def metrics_asked(arena: Arena) -> Survived:
    """The metrics are rendered once a second."""
    arena.opened()
    return _bothered(arena, "--connections", "8", seconds=5, kind="get", path="/metrics")


@trial("a stranger posts without the token over 32 connections for 5 s")
def posts_without_token(arena: Arena) -> Survived:
    """They are refused before any work."""
    arena.opened()
    options = ("--connections", "32", "--body", "2000")
    path = "/v1/agents/x-0.y/seconds"
    return _bothered(arena, *options, seconds=5, kind="post", path=path)


@trial("a stranger joins without the token over 32 connections for 5 s")
def joins_without_token(arena: Arena) -> Survived:
    """They are refused before any work."""
    arena.opened()
    options = ("--connections", "32", "--body", "2000")
    return _bothered(arena, *options, seconds=5, kind="post", path="/v1/agents")


@trial("a stranger asks for the page over 64 connections for 5 s; the owner asks as well")
def page_asked(arena: Arena) -> Survived:
    """A stranger's requests are none of the owner's allowance."""
    arena.opened()
    return _bothered(arena, "--connections", "64", seconds=5, kind="get", path="/")


WORDY = """
async def session(user):
    await user.connect()
    names = [f"{number:03}" + "n" * 70 for number in range(190)]
    while True:
        for name in names:
            user.count(name)
        await user.think(1)
"""
"""A session that makes the lines of seconds as long as they get."""


@trial("1,500 viewers ask for all seconds of the run, which are long, and never read them")
def seconds_never_read(arena: Arena) -> Survived:
    """The coordinator keeps little of what waits for them."""
    session = arena.folder / "wordy.py"
    session.write_text(WORDY)
    arena.opened("--session", str(session), each=("--allow-sessions",))
    seconds = arena.run / "seconds.ndjson"
    eventually(lambda: seconds.stat().st_size > 500_000, "the seconds are long")
    path = "/v1/run/seconds?since=0"
    return _bothered(arena, "--connections", "1500", seconds=12, kind="slow", path=path)


@trial("viewers ask for the report of the run, and go away at once, 200 times a second")
def reports_abandoned(arena: Arena) -> Survived:
    """A report is rendered once, beside the coordinator, and for nobody who left."""
    arena.opened()
    time.sleep(5.0)
    path = f"/runs/{arena.run.name}/report.html"
    return _bothered(arena, "--connections", "8", seconds=8, kind="abandon", path=path)


@trial("300 viewers open the live page's events, and never read them")
def viewers_never_read(arena: Arena) -> Survived:
    """250 are served; a slow viewer disturbs nobody."""
    arena.opened()
    return _bothered(arena, "--connections", "300", seconds=10, kind="slow", path="/events")


@trial("400 connections say nothing; the coordinator may open 256 files", small=True)
def silent_connections(arena: Arena) -> Survived:
    """Agents keep theirs, and files can be opened."""
    arena.opened(wrap=("prlimit", "--nofile=256:256"))
    return _bothered(arena, "--connections", "400", seconds=8, kind="silent", path="/")


@trial("400 connections begin a TLS handshake and go no further; it may open 256 files")
def half_greetings(arena: Arena) -> Survived:
    """Handshakes are bounded in number and time."""
    _trusts(arena)
    return _bothered(arena, "--connections", "400", seconds=12, kind="half-greeting", path="/")


@trial("400 connections to a TLS port say nothing; it may open 256 files")
def silent_before_tls(arena: Arena) -> Survived:
    """Handshakes are bounded in number and time."""
    _trusts(arena)
    return _bothered(arena, "--connections", "400", seconds=12, kind="silent", path="/")


def _trusts(arena: Arena) -> None:
    """Opens a fleet whose control port speaks TLS, with few descriptors."""
    authority = trustme.CA()
    ca, cert, key = (arena.folder / f"{name}.pem" for name in ("ca", "cert", "key"))
    authority.cert_pem.write_to_path(ca)
    control = arena.lan.host("coord").address("control")
    pair = authority.issue_cert(OWNERS, control)
    pair.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    for part in pair.cert_chain_pems:
        part.write_to_path(cert, append=True)
    arena.scheme = "https"
    tls = ("--tls-cert", str(cert), "--tls-key", str(key))
    limit = ("prlimit", "--nofile=256:256")
    arena.opened(*tls, each=("--tls-ca", str(ca)), wrap=limit)


@trial("a stranger asks an agent's /metrics over 16 connections for 5 s")
def agents_metrics_asked(arena: Arena) -> Survived:
    """The agent's posts and launches do not suffer."""
    arena.target()
    arena.coordinator(count=COUNT, agents=FLEET)
    host = arena.lan.host("a1")
    agent = arena.agent("a1", "--metrics", f"{host.address('control')}:9646")
    arena.agent("a2")
    agent.says("metrics at")
    arena.opens(COUNT, lost=0)
    with arena.measured():
        words = ("get", "/metrics", "--connections", "16", "--seconds", "5")
        stranger = arena.stranger_at(host.address("control"), 9646, *words)
        assert stranger.end(30.0) == 0, stranger.err
    assert statuses(arena) == ["running"] * FLEET, statuses(arena)
    eventually(lambda: arena.stats()["open"] == COUNT, "all are open")
    return arena.drains_well()
