"""A run directory with the driver's own files.

They are machine.json, memory.jsonl and million.json.
"""

from pathlib import Path
from typing import Any

import msgspec

from coordinator.run.summary import Summary
from coordinator.storage.reader import RunRecord, read_run
from loadgen.machine.facts import Machine, facts
from loadgen.plan.plan import Plan
from loadgen.planfile import read_plan
from tests.million.watch import Processes, Sample, meminfo

MACHINE = "machine.json"
MEMORY = "memory.jsonl"
MILLION = "million.json"


class Findings(msgspec.Struct, frozen=True):
    """The driver's observations beside its samples: million.json."""

    commands: tuple[str, ...]
    """The command lines of the driver and of what it started."""
    target: dict[str, Any]
    """The target's own ledger after the last connection."""
    processes: dict[str, Processes]
    """Memory by kind of process on the plateau; empty when never all were open."""


class Record(msgspec.Struct, frozen=True):
    """All records of one run."""

    folder: Path
    plan: Plan
    run: RunRecord
    findings: Findings
    samples: list[Sample]
    machine: dict[str, Any]

    @property
    def summary(self) -> Summary:
        """summary.json."""
        return self.run.summary


def write_record(folder: Path, machine: Machine, samples: list[Sample], findings: Findings) -> None:
    """Writes the driver's three files."""
    whole = facts(machine) | {"cpu_model": _cpu_model(), "memory_total": meminfo()["MemTotal"]}
    (folder / MACHINE).write_bytes(_pretty(whole))
    (folder / MEMORY).write_bytes(
        b"".join(msgspec.json.encode(sample) + b"\n" for sample in samples)
    )
    (folder / MILLION).write_bytes(_pretty(findings))


def read_record(folder: Path) -> Record:
    """Reads a run directory that the driver made."""
    return Record(
        folder=folder,
        plan=read_plan(folder / "plan.toml"),
        run=read_run(folder),
        findings=msgspec.json.decode((folder / MILLION).read_bytes(), type=Findings),
        samples=[
            msgspec.json.decode(line, type=Sample)
            for line in (folder / MEMORY).read_bytes().splitlines()
        ],
        machine=msgspec.json.decode((folder / MACHINE).read_bytes(), type=dict[str, Any]),
    )


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"
