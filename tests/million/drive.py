"""Drives one run: a target, and a coordinator with its agents.

They are sampled until they end.
"""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from loadgen.errors import OperatorError
from loadgen.machine.facts import read_machine
from tests.million.options import MillionOptions, check_room
from tests.million.record import Findings, write_record
from tests.million.watch import MachineSampler, Processes, processes
from tests.processes import Address, Target, end_with_parent, opens, process, serving

EVERY = 1.0
"""Seconds between two samples."""
FULL_SAMPLES = 3
"""Samples in a row with all connections open; then the ramp is over, and pages can be counted."""


def drive(asked: MillionOptions, out: Path, log: TextIO | None = None) -> Path:
    """Makes a run to its end; returns its run directory, below `out`.

    The coordinator writes to `log`, or to the terminal without one.
    """
    machine = read_machine()
    check_room(asked, machine)
    out.mkdir(parents=True, exist_ok=True)
    before = set(out.iterdir())
    watch = MachineSampler()
    watch.sample(0)
    # In its own session: Ctrl-C in the terminal is for the coordinator, which drains, and the
    # target must end after it.
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
                f"loadgen-coord ended with exit code {coordinator.returncode} and made no run"
                " directory"
            )
        stats = _last_stats(target.address)
    (folder,) = folders
    write_record(folder, machine, watch.samples, Findings(asked.commands(), stats, held))
    return folder


def _watch(
    watch: MachineSampler, count: int, coordinator: "subprocess.Popen[str]", target: Target
) -> dict[str, Processes]:
    """Takes samples until the coordinator ends.

    Returns the memory by kind of process while all connections are open.
    """
    held: dict[str, Processes] = {}
    full = 0
    due = time.monotonic()
    while coordinator.poll() is None:
        watch.sample(open_now := _open(target.address))
        full = full + 1 if open_now == count else 0
        if full >= FULL_SAMPLES and not held:
            with suppress(OSError):  # a process has just ended, and the run with it
                held = processes(coordinator.pid, target.pid)
        due = max(due + EVERY, time.monotonic())
        with suppress(subprocess.TimeoutExpired):
            coordinator.wait(due - time.monotonic())
    return held


def _last_stats(target: Address) -> dict[str, Any]:
    """Returns the target's own ledger after the last connection."""
    try:
        with suppress(AssertionError):  # then some are still open, as the ledger shows
            opens(target, 0)
        return target.stats()
    except OSError as error:
        raise OperatorError(
            f"the target at port {target.port} does not answer at the end of the run"
        ) from error


def _open(target: Address) -> int | None:
    """Returns the connections open on the target; None when it does not answer."""
    try:
        return int(target.stats()["open"])
    except OSError:
        return None


@contextmanager
def _passing_on(coordinator: "subprocess.Popen[str]") -> Iterator[None]:
    """Passes SIGTERM on to the coordinator; the driver ends with the run.

    Ctrl-C in a terminal reaches the coordinator by itself.
    """
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: coordinator.terminate()),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
