"""Published runs: run directories in one directory, and a README.md made of them."""

import gzip
import re
import shutil
import socket
from pathlib import Path

from coordinator.report.machines import MOMENTARY
from coordinator.text import count, ms, seconds
from loadgen.errors import OperatorError
from tests.million.claims import GIB, Claim, claims_of, peak_memory
from tests.million.options import name_of
from tests.million.phases import MERGED, Phase, phases_of
from tests.million.record import MILLION, Record, read_record

HEAD = """\
# One machine, both ends

Written by `make million` from the run directories beside this file. One command made each of them,
with the agents and the target on the same machine, over loopback. `loadgen-report` reads them.
Beside the files of a run they have `machine.json`, `memory.jsonl` (the whole machine each second)
and `million.json` (the target's own ledger at the end).
"""
ENCODED = re.compile(r"[A-Za-z0-9+/=]{64,}")
"""Histograms in base64, in which any short word can occur."""
NOTE = "NOTE.md"
"""A file of remarks that a person adds to a published run."""
MADE_AGAIN = ("report.html", "tsung.log")
"""Files that `loadgen-report` makes again from the others, or that have the same seconds."""
TITLES = {"lag": "launch lag", "handshake": "handshake", "ping_rtt": "ping round trip"}


def publish(folder: Path, into: Path) -> Path:
    """Copies a run directory below `into` and writes README.md; returns the copy.

    It replaces an earlier run of the same name.
    """
    check_private(folder)
    published = into / name_of(read_record(folder).plan)
    shutil.rmtree(published, ignore_errors=True)
    shutil.copytree(folder, published, ignore=shutil.ignore_patterns(*MADE_AGAIN))
    rows = published / "seconds.ndjson"
    rows.with_suffix(".ndjson.gz").write_bytes(gzip.compress(rows.read_bytes(), mtime=0))
    rows.unlink()
    (into / "README.md").write_text(page(into))
    return published


def check_private(folder: Path) -> None:
    """Raises OperatorError when a file has this machine's name or paths.

    The files are those of a run directory.
    """
    private = {
        socket.gethostname(): "this machine's name",
        str(Path.cwd()): "a path",
        str(Path.home()): "a path",
    }
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        text = ENCODED.sub("", path.read_text())
        for word, what in private.items():
            if word not in ("localhost", "/") and re.search(
                rf"(?<!\w){re.escape(word)}(?!\w)", text
            ):
                raise OperatorError(
                    f"not published: {path} holds {what} ({word}); take it out first"
                )


def page(into: Path) -> str:
    """Returns the README.md of all runs in a directory."""
    records = [read_record(found.parent) for found in sorted(into.glob(f"*/{MILLION}"))]
    phases = [phases_of(record) for record in records]
    judged = [claims_of(record, its) for record, its in zip(records, phases, strict=True)]
    names = [record.folder.name for record in records]
    parts = [HEAD, _claims(names, judged)]
    parts += [_run(record, its) for record, its in zip(records, phases, strict=True)]
    return "\n".join(parts)


def _claims(names: list[str], judged: list[list[Claim]]) -> str:
    """Returns a table with a row for each claim and a column for each run."""
    claims = {claim.name: claim.asked for run in reversed(judged) for claim in run}
    found = [
        {
            claim.name: (
                f"{_word(claim)}: {claim.measured}"
                + ("" if claim.asked == claims[claim.name] else f" (asked: {claim.asked})")
            )
            for claim in run
        }
        for run in judged
    ]
    rows = [[name, asked, *(run.get(name, "–") for run in found)] for name, asked in claims.items()]
    return _table([["claim", "asked", *names], *rows])


def _word(claim: Claim) -> str:
    return "yes" if claim.held else "**NO**"


def _run(record: Record, phases: dict[str, Phase]) -> str:
    driver, *started = (f"    {command}\n" for command in record.findings.commands)
    invalid = len(record.summary.invalid_seconds)
    parts = [
        f"## {record.folder.name}\n",
        f"{_machine(record)}\n",
        f"{driver}\nstarted\n\n{''.join(started)}",
        (
            f"Of {len(record.run.seconds)} seconds, {invalid or 'none'} prove nothing"
            " (`invalid_seconds`).\n"
        ),
        _table(
            [
                ["phase", *PHASE_COLUMNS, *(TITLES[name] for name in MERGED)],
                *map(_phase, phases.values()),
            ]
        ),
        f"Milliseconds, p50 / p99 / max.\n\n{_memory(record)}",
    ]
    note = record.folder / NOTE
    if note.exists():
        parts.append(note.read_text())
    return "\n".join(parts)


PHASE_COLUMNS = ("seconds", "opened", "closed", "pings", "pongs", "late")


def _phase(phase: Phase) -> list[str]:
    events = [count(phase.total(name)) for name in PHASE_COLUMNS[1:]]
    return [phase.name, count(len(phase.rows)), *events, *(_spread(phase, name) for name in MERGED)]


def _spread(phase: Phase, name: str) -> str:
    values = [phase.percentile(name, percent) for percent in (50.0, 99.0, 100.0)]
    return " / ".join(ms(value) for value in values if value is not None) or "–"


def _machine(record: Record) -> str:
    machine = record.machine
    limits = ", ".join(
        f"`{name}` {_setting(value)}"
        for name, value in machine.items()
        if "." in name and value and name not in MOMENTARY
    )
    return (
        f"{machine['cpu_model']}, {machine['cpus']} cores, {machine['memory_total'] / GIB:.1f} GiB;"
        f" Linux {machine['kernel']}, Python {machine['python']}, uvloop {machine['uvloop']};"
        f" `ulimit -n` {machine['nofile_hard']:,}; {limits}."
    )


def _setting(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _memory(record: Record) -> str:
    """Returns the memory by its use."""
    samples = record.samples
    slab, sockets = (
        max(getattr(sample, name) for sample in samples) for name in ("slab", "tcp_inuse")
    )
    kinds = [
        f"{kind} {found.pss / GIB:.2f} GiB in {count(found.count)}"
        for kind, found in record.findings.processes.items()
    ]
    held = f" Processes on the plateau (PSS): {', '.join(kinds)}." if kinds else ""
    return (
        f"Memory over the idle machine: {peak_memory(record) / GIB:.2f} GiB at the peak,"
        f" of it slab {(slab - samples[0].slab) / GIB:.2f} GiB; {count(sockets)} TCP sockets.{held}"
        f" All of it took {seconds(samples[-1].t)}.\n"
    )


def _table(rows: list[list[str]]) -> str:
    head, *rest = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *rest, ""])
