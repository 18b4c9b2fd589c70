"""Disks that stand still or are full, and run directories that vanish."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.fault import ledger_text, statuses, target_text
from tests.faults.machines import until_full
from tests.hostile.arena import COUNT, FLEET, Arena, Survived
from tests.hostile.outputs import stays
from tests.hostile.trial import trial
from tests.processes import eventually

STOOD_STILL = 15.0
"""Seconds for which a disk stands still: longer than what makes an agent lost."""


@contextmanager
def own_disk(arena: Arena) -> Iterator[None]:
    """Gives the run directories a disk of their own, a file that is mounted."""
    assert not os.geteuid(), "a disk that stands still needs root"
    image = arena.folder / "disk"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    arena.runs.mkdir()
    for words in (
        ["mkfs.ext4", "-q", "-F", str(image)],
        ["mount", "-o", "loop", str(image), str(arena.runs)],
    ):
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
        assert not done.returncode, f"no disk of its own can be made here: {done.stderr.strip()}"
    shutil.rmtree(arena.runs / "lost+found")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(arena.runs)], check=True, timeout=10)


@contextmanager
def standing_still(disk: Path) -> Iterator[None]:
    """Freezes a disk as long as the block lasts; a write to it waits."""
    subprocess.run(["fsfreeze", "-f", str(disk)], check=True, timeout=20)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", str(disk)], check=True, timeout=20)


@trial("the disk under the run directory stands still for 15 s")
def disk_stands_still(arena: Arena) -> Survived:
    """The agents are answered meanwhile, and no second is missing afterwards."""
    with own_disk(arena):
        arena.opened()
        with arena.measured(), standing_still(arena.runs):
            stays(arena, STOOD_STILL)
        noticed = arena.says("stands? still|not written")
        assert statuses(arena) == ["running"] * FLEET, statuses(arena)
        return arena.drains_well(noticed)


@trial("the coordinator is killed while its disk stands still, and resumes the run")
def killed_while_disk_stands_still(arena: Arena) -> Survived:
    """Seconds that the journal lacks were not acknowledged, and come again."""
    with own_disk(arena):
        arena.opened()
        arena.mark_fault()
        with standing_still(arena.runs):
            time.sleep(4.0)
            arena.coord.send(signal.SIGKILL)
        arena.coord.process.wait()
        arena.resume()
        arena.all_run()
        return arena.drains_well()


@trial("the disk is full, the coordinator is killed, the disk is emptied, --resume is tried")
def full_disk_and_resume(arena: Arena) -> Survived:
    """Half a journal gives no ledger: resuming is refused in one line."""
    arena.runs.mkdir()
    arena.mount(arena.runs, "300k")
    fleet = arena.opened(each=("--orphan-after", "5"))
    run = arena.run
    arena.mark_fault()
    filler = run / "filler"
    with filler.open("wb", buffering=0) as file, until_full():
        while True:
            file.write(bytes(1024))
    noticed = arena.says("can't be written .No space left on device")
    time.sleep(1.5)
    arena.coord.send(signal.SIGKILL)
    arena.coord.process.wait()
    filler.unlink()
    again = arena.start(arena.lan.host("coord"), arena.resuming)
    lines = again.err.splitlines() if again.end() == 2 else []
    assert len(lines) == 1, f"exit code {again.process.returncode}: {again.out}{again.err}"
    assert [agent.end() for agent in fleet] == [0] * FLEET
    eventually(lambda: arena.stats()["open"] == 0, "the target is empty")
    assert arena.stats()["opened"] == COUNT
    arena.keeps_silent()
    return Survived("no ledger: the run can't be resumed", target_text(arena), noticed)


@trial("the run directory is removed while the run goes on", small=True)
def run_directory_removed(arena: Arena) -> Survived:
    """It is said once; no path of the port answers with an error of its own."""
    arena.opened()
    arena.mark_fault()
    name = arena.run.name
    shutil.rmtree(arena.run)
    noticed = arena.says("loadgen-coord: ")
    statuses_of = [
        arena.ask(path)[0]
        for path in ("/v1/run/seconds?since=0", f"/runs/{name}/report.html", "/runs", "/v1/run")
    ]
    assert max(statuses_of) < 500, statuses_of
    stays(arena, 3.0)
    arena.coord.send(signal.SIGINT)
    code = arena.coord.end()
    assert code == 130, f"exit code {code}: {arena.coord.err}"
    assert f"drained {COUNT}" in arena.coord.out, arena.coord.out
    eventually(lambda: arena.stats()["open"] == 0, "the target is empty")
    arena.keeps_silent()
    ledger = f"opened {COUNT}, drained {COUNT} (in the terminal)"
    return Survived(ledger, target_text(arena), noticed)


@trial("report.html can't be written")
def report_not_written(arena: Arena) -> Survived:
    """It is told; verdict and exit code stay what they are."""
    arena.target()
    arena.coordinator("--expect", f"opened>={COUNT}", count=COUNT, agents=FLEET, hold=3)
    arena.fleet(FLEET)
    eventually(lambda: arena.stats()["open"] == COUNT, "all are open")
    for name in ("report.html", "report.html.new", "report.html.tmp"):
        (arena.run / name / "in the way").mkdir(parents=True)
    summary = arena.ends(0)
    assert summary["verdict"] == "pass", ledger_text(summary)
    assert "report" in arena.coord.err, f"nothing says so: {arena.coord.err!r}"
    return arena.survived(summary)
