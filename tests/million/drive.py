"""Drives one run: a target and a coordinator with its agents as processes, watched until the
last one has ended."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from loadgen.errors import OperatorError
from loadgen.machine.facts import read_machine
from tests.million.asked import Asked, check_room
from tests.million.record import Findings, write_record
from tests.million.watch import Processes, Scraper, processes
from tests.processes import Address, Target, end_with_parent, opens, process, serving

EVERY = 1.0
"""Seconds between two samples."""
SETTLED = 3
"""Samples in a row with all connections open, after which nothing of the ramp is left and pages
may be counted."""


def drive(asked: Asked, out: Path, log: TextIO | None = None) -> Path:
    """Runs it to its end; the result is its run directory, below `out`. The coordinator speaks
    to log or terminal."""
    machine = read_machine()
    check_room(asked, machine)
    out.mkdir(parents=True, exist_ok=True)
    before = set(out.iterdir())
    watch = Scraper()
    watch.sample(0)
    # In a session of its own: Ctrl-C in the terminal is for the coordinator, which drains; its
    # target must outlive it.
    with serving(
        *asked.target_options(), start_new_session=True, preexec_fn=end_with_parent
    ) as target:
        url = target.address.ws
        options = ["--listen", "127.0.0.1:0", "--out", str(out), *asked.run_options(), url]
        with (
            process(
                "loadgen-coord", *options, stdout=log, stderr=log, preexec_fn=end_with_parent
            ) as coordinator,
            _passing_on(coordinator),
        ):
            held = _watch(watch, asked.count, coordinator, target)
        folders = set(out.iterdir()) - before
        if len(folders) != 1:
            raise OperatorError(
                f"loadgen-coord ended with exit code {coordinator.returncode} and left no run"
                " behind"
            )
        stats = _last_stats(target.address)
    (folder,) = folders
    write_record(folder, machine, watch.samples, Findings(asked.commands(), stats, held))
    return folder


def _watch(
    watch: Scraper, count: int, coordinator: "subprocess.Popen[str]", target: Target
) -> dict[str, Processes]:
    """Samples until the coordinator has ended; the memory by kind of process, once all were
    open."""
    held: dict[str, Processes] = {}
    full, due = 0, time.monotonic()
    while coordinator.poll() is None:
        watch.sample(open_now := _open(target.address))
        full = full + 1 if open_now == count else 0
        if full >= SETTLED and not held:
            with suppress(OSError):  # one of them has just ended, and the run with it
                held = processes(coordinator.pid, target.pid)
        due = max(due + EVERY, time.monotonic())
        with suppress(subprocess.TimeoutExpired):
            coordinator.wait(due - time.monotonic())
    return held


def _last_stats(target: Address) -> dict[str, Any]:
    """The target's own ledger, once nothing is open any more."""
    try:
        with suppress(AssertionError):  # then some are left over, which the ledger tells
            opens(target, 0)
        return target.stats()
    except OSError as error:
        raise OperatorError(
            f"the target at port {target.port} does not answer at the end of the run"
        ) from error


def _open(target: Address) -> int | None:
    """How many are open on the target, if it answers."""
    try:
        return int(target.stats()["open"])
    except OSError:
        return None


@contextmanager
def _passing_on(coordinator: "subprocess.Popen[str]") -> Iterator[None]:
    """A terminal's Ctrl-C reaches the coordinator by itself, a SIGTERM is passed on; the driver
    ends with the run."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: coordinator.terminate()),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
