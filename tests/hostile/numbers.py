"""Numbers and shapes from outside that nobody would write."""

import json
import subprocess
import time

from loadgen.machine.limits import Limit
from loadgen.wire import WIRE, Hello, to_wire
from tests.faults.fault import ledger_text, target_text
from tests.hostile.arena import COUNT, FLEET, Arena, Survived
from tests.hostile.liar import Liar
from tests.hostile.outputs import answers
from tests.hostile.trial import trial
from tests.processes import command, environment, eventually

PATHS = (
    "/v1/run/seconds?since=--1",
    "/v1/run/seconds?since=" + "9" * 4400,
    "/v1/run/seconds?since=%ff",
    "/v1/run/seconds?since=1e9",
    "/v1/run/seconds?since=-1&since=%00",
    "/runs/%2e%2e/report.html",
    "/runs/%00/report.html",
    "/runs/x/errors/%2e%2e%2fplan.toml",
    "/page/%2e%2e%2fserver.py",
    "/page/vendor/%00",
    "//",
    "/%",
)
HEADERS = (
    {"Origin": "http://["},
    {"Host": "["},
    {"Host": "[::1"},
    {"Host": "http://["},
    {"Cookie": "loadgen_view=\xff; =; ;;;" + "x" * 3000},
    {"Authorization": "Bearer \xe9"},
    {"Content-Length": "9" * 100},
    {"Accept-Encoding": "gzip;q=1e999"},
    {"Last-Event-ID": "9" * 5000},
)


@trial("paths, queries and headers with numbers and brackets that are none", small=True)
def strange_requests(arena: Arena) -> Survived:
    """Each has an answer below 500."""
    arena.opened()
    wrong = []
    for token in (True, False):
        for path in PATHS:
            try:
                status, body = arena.ask(path, token=token)
            except ConnectionError:  # it is closed after an answer that was not read in time
                continue
            wrong += [(path[:60], status, body[:100])] if status >= 500 else []
        for headers in HEADERS:
            for path, body in (
                ("/v1/run", None),
                ("/v1/run/pause", b"nonsense"),
                ("/healthz", None),
            ):
                try:
                    status, answer = arena.ask(path, body, token=token, timeout=1.0, **headers)
                except OSError:  # it waits for a body of that length, or drops the connection
                    continue
                wrong += [(headers, path, answer[:100])] if status >= 500 else []
    assert not wrong, wrong
    # Connections of an address that asked so much without the token are closed for a moment.
    time.sleep(3.0)
    eventually(lambda: answers(arena), "the owner is served again")
    assert arena.state()["paused"] is False
    return arena.drains_well()


@trial("joins and posts with null, NaN, 10^400 and 900 values inside each other", small=True)
def strange_bodies(arena: Arena) -> Survived:
    """They are refused; run.json can be written, and rendered again."""
    arena.target()
    arena.coordinator(count=COUNT, agents=FLEET, hold=3)
    good = json.loads(to_wire(Hello("odd", WIRE, "1", 10, (Limit("r", 1, "d", "f"),), {})))
    nested: object = 1
    for _ in range(900):
        nested = {"deeper": nested}
    bodies = [
        json.dumps(good | changed).encode()
        for changed in (
            {"machine": nested},
            {"machine": None},
            {"max_connections": None},
            {"max_connections": 10**400},
            {"max_connections": -1},
            {"max_connections": 0.5},
            {"limits": None},
            {"wire": None},
            {"wire": 1e308},
            {"name": None},
        )
    ]
    bodies += [b"[" * 100_000, b'{"wire": ' + b"9" * 5000 + b"}", b"", b"null", b"NaN"]
    found = [arena.ask("/v1/agents", body)[0] for body in bodies]
    assert {*found} <= {400, 413, 426, 429}, found
    liar = Liar(arena, "odd", 10, (), {"fact": {"a": {"b": [None, 1e308]}}})
    path = f"/v1/agents/{liar.id}/seconds"
    posts = [
        b'{"agent_cpu_s": NaN}',
        b'{"agent_cpu_s": 1e999}',
        b'{"agent_cpu_s": null}',
        b'{"agent_cpu_s": -1}',
        b'{"seconds": null}',
        b'{"seconds": [{"number": 1e400}]}',
        b'{"seconds": [{"number": 99999999999999999999}]}',
        b'{"seconds": [{"number": 0, "cpu_s": null}]}',
        b'{"seconds": [{"number": 0, "tally": {"launched": -5}}]}',
        b'{"clock": {"name": "x", "offset": NaN, "bound": 0}}',
        b'{"clock": {"name": "x", "offset": 1e308, "bound": 1e308}}',
    ]
    for post in posts:
        status, body = arena.ask(path, post)
        assert status in (200, 400), (post, status, body)
        time.sleep(0.02)
    arena.fleet()
    summary = arena.ends(0)
    assert summary["opened"] == COUNT, ledger_text(summary)
    again = _report(str(arena.run))
    assert (again.returncode, "Traceback" in again.stderr) == (0, False), again.stderr
    return arena.survived(summary)


def _report(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command("loadgen-report", *words),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment(),
    )


@trial("plans with numbers of 5,000 digits, infinite and negative ones, and long texts", small=True)
def strange_plans(arena: Arena) -> Survived:
    """Each is refused in one line, within two seconds of CPU."""
    arena.target()
    target = f'target = "{arena.server.ws}"\n'
    plans = {
        "max": f"{target}max = {'9' * 5000}\n",
        "rate": f"{target}rate = inf\nmax = 5\n",
        "think": f"{target}think = nan\n",
        "hold": f"{target}hold = -1\n",
        "weight": f'hold = 1e308\n[[targets]]\nurl = "{arena.server.ws}"\nweight = 1e999\n',
        "long": f"{target}note = '''{'x' * 3_000_000}'''\nmax = \n",
        "many": target + "".join(f"# {'y' * 60}\n" for _ in range(30_000)) + "max = oops\n",
    }
    for name, text in plans.items():
        path = arena.folder / f"{name}.toml"
        path.write_text(text)
        words = command("loadgen-coord", "--plan", str(path), "--dry-run")
        began = time.monotonic()
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=30, check=False, env=environment()
        )
        lines = done.stderr.splitlines()
        assert (done.returncode, len(lines)) == (2, 1), (name, done.returncode, done.stderr[:500])
        assert time.monotonic() - began < 10.0, f"{name} took {time.monotonic() - began:.1f} s"
        assert len(lines[0]) < 1000, lines[0][:200]
    return Survived("nothing was opened", target_text(arena))


@trial("the files of a finished run are cut, emptied, and filled with noise")
def damaged_run_directory(arena: Arena) -> Survived:
    """It is rendered again, or refused in one line."""
    arena.target()
    arena.coordinator(count=COUNT, agents=FLEET, hold=2)
    arena.fleet()
    summary = arena.ends(0)
    result = arena.survived(summary)
    names = ("summary.json", "run.json", "seconds.ndjson", "plan.toml", "histograms.hlog")
    for name in names:
        path = arena.run / name
        whole = path.read_bytes()
        for text in (
            b"",
            whole[: len(whole) // 2],
            whole.replace(b"1", b"null"),
            whole.replace(b":0", b":1e999"),
            b"\xff\xfe" * 500,
            b"[" * 50_000,
        ):
            path.write_bytes(text)
            done = _report(str(arena.run))
            lines = done.stderr.splitlines()
            assert "Traceback" not in done.stderr, f"{name}: {done.stderr[-1500:]}"
            assert done.returncode in (0, 2), (name, text[:40], done.returncode, done.stderr)
            assert done.returncode == 0 or len(lines) == 1, (name, done.stderr)
        path.write_bytes(whole)
    eventually(lambda: arena.stats()["open"] == 0, "the target is empty")
    return result
