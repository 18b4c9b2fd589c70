"""Plays Autobahn's cases with a whole run of loadgen as the client."""

import asyncio
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from websockets.asyncio.client import connect

from tests.conformance.case import TOO_BIG
from tests.conformance.fuzzer import cases_of
from tests.conformance.load import SESSIONS, Identity, loaded, new_identity
from tests.conformance.verdict import (
    FAILED,
    INFORMATIONAL,
    NON_STRICT,
    PASSED,
    SKIPPED,
    Verdict,
)
from tests.processes import closing_command, free_port

QUICK = (1, 2, 3, 4, 5, 6, 7, 10)
"""The groups that take a second or two."""
LARGE = (9,)
COMPRESSED = (12, 13, 14)
"""The groups that need permessage-deflate; the last is not Autobahn's."""
WSTEST = "wstest"
"""The command of Autobahn|Testsuite itself, which needs Python 2.7."""
PATIENCE = 900
"""Seconds that the cases of a run may take together."""


class Played(NamedTuple):
    """The verdicts on all cases of a run, and its summary."""

    verdicts: Sequence[Verdict]
    summary: dict[str, Any]


def played(groups: Sequence[int], *options: str, tls: bool = False) -> Played:
    """Plays the cases of groups, with more options of loadgen-coord."""
    names = [case.name for case in cases_of(groups)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        identity = new_identity(folder) if tls else None
        words = [sys.executable, "-m", "tests.conformance.fuzzer", ",".join(map(str, groups))]
        words += [str(identity.both)] if identity else []
        server = stack.enter_context(closing_command(words))
        port = int(server.says(r"^(\d+)\n")[1])
        summary = _run(folder, port, len(names), 200, *options, identity=identity)
        if summary["opened"] == len(names):
            server.end()
        lines = [json.loads(line) for line in server.out.splitlines()[1:]]
    found = {line[0]: Verdict(*line) for line in lines}
    missing = [Verdict(name, FAILED, "", "it never ended") for name in names if name not in found]
    return Played([*found.values(), *missing], summary)


def _run(
    folder: Path,
    port: int,
    users: int,
    rate: int,
    *options: str,
    identity: Identity | None = None,
) -> dict[str, Any]:
    """Runs one user for each case; returns the summary."""
    url = f"{'wss' if identity else 'ws'}://127.0.0.1:{port}/"
    echo = ("--session", str(SESSIONS / "echo.py"), "--hold", "sessions")
    arrivals = ("--rate", f"{rate}", "--max", f"{users}")
    trusted = identity.authority if identity else None
    with loaded(folder, *echo, *arrivals, *options, url, trusted=trusted) as run:
        run.end(PATIENCE)
        return run.summary()


def ledger_faults(groups: Sequence[int], summary: dict[str, Any]) -> list[str]:
    """Returns what is wrong with loadgen's own ledger of these cases."""
    cases = cases_of(groups)
    faulty = sum(not case.clean and case.codes != (TOO_BIG,) for case in cases)
    figures = {
        "opened": (summary["opened"], len(cases)),
        "protocol_error": (summary["closed"].get("protocol_error", 0), faulty),
        "lost": (summary["lost"], 0),
    }
    return [
        f"{name}: {found}, not {expected}"
        for name, (found, expected) in figures.items()
        if found != expected
    ]


OUTCOMES = {
    "OK": PASSED,
    "NON-STRICT": NON_STRICT,
    "INFORMATIONAL": INFORMATIONAL,
    "UNIMPLEMENTED": SKIPPED,
}
"""Autobahn's names; any other is a failure."""


def played_by_wstest(groups: Sequence[int], rate: int) -> Played:
    """Plays the cases of groups with Autobahn|Testsuite itself.

    `rate` is their number a second: it is slow, and has time limits.
    """
    cases = [f"{group}.*" for group in groups]
    with TemporaryDirectory() as name, _wstest(Path(name), cases) as (port, count):
        summary = _run(Path(name), port, count, rate)
        asyncio.run(_write_reports(port))
        index = json.loads((Path(name) / "reports" / "index.json").read_text())
        return Played([_verdict(*item) for item in index["loadgen"].items()], summary)


@contextmanager
def _wstest(folder: Path, cases: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The port of Autobahn|Testsuite's server, and the number of its cases."""
    port = free_port()
    spec = folder / "spec.json"
    spec.write_text(
        json.dumps(
            {
                "url": f"ws://127.0.0.1:{port}",
                "outdir": str(folder / "reports"),
                "cases": list(cases),
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
        )
    )
    words = [WSTEST, "-m", "fuzzingserver", "-s", str(spec), "-u", "0"]
    with closing_command(words) as server:
        yield port, int(server.says(r"will run (\d+) test cases")[1])


async def _write_reports(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/updateReports?agent=loadgen") as connection:
        await connection.wait_closed()


def _verdict(name: str, result: dict[str, Any]) -> Verdict:
    """Returns the verdict of a case of Autobahn's index."""
    outcome = OUTCOMES.get(result["behavior"], FAILED)
    if result["behaviorClose"] not in {"OK", "INFORMATIONAL"}:
        outcome = FAILED
    why = f"{result['behavior']}, close {result['behaviorClose']}" if outcome == FAILED else ""
    return Verdict(name, outcome, str(result["remoteCloseCode"] or "no code"), why)


def has_wstest() -> bool:
    """True when Autobahn|Testsuite is installed on this machine."""
    return shutil.which(WSTEST) is not None


def codes(verdicts: Sequence[Verdict]) -> str:
    """Returns the three most frequent codes of the client's CLOSE."""
    counted = Counter(verdict.close for verdict in verdicts if verdict.close).most_common()
    named = [f"{close} ×{count}" for close, count in counted[:3]]
    others = sum(count for _, count in counted[3:])
    return ", ".join(named + [f"others ×{others}"] * bool(others))
