"""One worker process: takes a job from standard input, writes one line a second.

It is a plain subprocess that speaks JSON lines. The owner of its standard input owns the load: when
that pipe ends, for any reason, also SIGKILL of the owner, the process ends and the kernel closes
its connections.
"""

import asyncio
import gc
import io
import os
import resource
import sys
from collections.abc import Callable
from math import inf
from time import monotonic, process_time
from typing import NoReturn

import msgspec
import uvloop

from loadgen.plan.life import alive_within
from loadgen.plan.reassign import Reassignment
from loadgen.plan.session_file import LoadError, check_function, load
from loadgen.plan.session_tree import folder_in, missing_libraries
from loadgen.plan.steer import PlanChange
from loadgen.process import leave_ending_to_owner, raise_nofile, run_in_batches, run_promptly
from loadgen.stats.delays import Stalls
from loadgen.stats.delivery import Published, PublisherClock
from loadgen.stats.fanin import Second
from loadgen.stats.recorder import Recorder, microseconds, sendable
from loadgen.timers import Alarm
from loadgen.wire import (
    Destination,
    Job,
    Place,
    Rehearsal,
    Rehearsed,
    Report,
    Wanted,
    from_wire,
    to_wire,
)
from loadgen.worker.build import engine_for
from loadgen.worker.engine import TURN
from loadgen.worker.hang import tell_when_asked
from loadgen.worker.timer import Timer

MAX_LINES = 100
"""Printed lines that a worker reports; further lines are dropped, and a note reports that."""
MAX_LINE_LENGTH = 500
"""Characters that a worker reports of a printed line."""
STANDSTILL = 2.0
"""Seconds that a tick comes late from which on deadlines are put off: the worker, not the server,
kept others waiting."""
PAGE_SIZE = resource.getpagesize()


class CapturedOutput(io.TextIOBase):
    """A stream whose lines become notes, the first MAX_LINES of them."""

    def __init__(self) -> None:
        self._unended = ""
        """The end of a line that has not ended yet."""
        self._lines: list[str] = []
        self._room = MAX_LINES

    def writable(self) -> bool:
        """Returns True."""
        return True

    def write(self, text: str) -> int:
        """Takes a part of a line, or several lines; returns the number of characters."""
        if self._room:
            *lines, rest = (self._unended + text).split("\n")
            self._unended = rest[-MAX_LINE_LENGTH:]
            self._add([line for line in lines if line])
        return len(text)

    def _add(self, lines: list[str]) -> None:
        self._lines += [
            f"printed: {sendable(line, MAX_LINE_LENGTH)}" for line in lines[: self._room]
        ]
        self._room -= min(self._room, len(lines))
        if not self._room:
            self._lines.append(f"printed {MAX_LINES} lines; what it prints from now on is dropped")

    def take(self) -> tuple[str, ...]:
        """Returns the notes since the last call."""
        lines = tuple(self._lines)
        self._lines.clear()
        return lines


class Worker(asyncio.Protocol):
    """The shell around an engine: its clock, its pipes, its seconds."""

    def __init__(
        self, job: Job, loop: asyncio.AbstractEventLoop, pipe: int, printed: CapturedOutput
    ) -> None:
        """`pipe` is the descriptor for reports.

        Raises LoadError when a session's file can't be imported.
        """
        self._loop = loop
        self._pipe = pipe
        self._printed = printed
        self._start = job.start
        self._second = job.first
        self._number = job.worker
        self._stalls = Stalls()
        self._last_tick = 0.0
        """In seconds on the monotonic clock."""
        window = alive_within(job.plan.session_specs)
        self._recorder = Recorder(hash((job.plan.seed, job.share.positions[:1])), window)
        self._timer = Timer(loop, self._tick)
        self._alarm = Alarm(self._timer.set)
        self._engine = engine_for(job, self._recorder, loop, self._alarm, self._want_place)
        self._out: asyncio.WriteTransport | None = None
        self._unread = b""
        """The beginning of an order that has not come whole yet."""
        self._memory = ResidentMemory()
        self._done: asyncio.Future[None] = loop.create_future()
        self._orders: dict[bytes, Callable[..., None]] = {
            b"drain": self._drain,
            b"stop": self._stop,
            b"pause": self._engine.pause,
            b"resume": self._resume,
            b"gate": self._open_gate,
            b"move": self._move_start,
            b"met": self._met,
            b"reassign": self._reassign,
            b"steer": self._steer,
            b"published": self._published,
            b"clocks": self._compare,
            b"resolved": self._resolved,
            b"place": self._take_place,
        }
        """The orders of the agent, by the first word of a line."""

    async def run(self) -> None:
        """Runs until the load is over, or standard input is."""
        await self._loop.connect_read_pipe(lambda: self, os.fdopen(0, "rb", 0))
        self._out, _ = await self._loop.connect_write_pipe(
            asyncio.Protocol, os.fdopen(self._pipe, "wb", 0)
        )
        self._last_tick = max(self._start, monotonic())
        self._timer.set(self._last_tick)
        await self._done

    def data_received(self, data: bytes) -> None:
        """Obeys orders, one on each line: a word and its arguments."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        try:
            for line in lines:
                word, *arguments = line.split()
                self._orders[word](*arguments)
        except Exception as error:  # a bug, or an order of another version
            self._crash(error)

    def _crash(self, error: Exception) -> None:
        """Ends `run` by an error; a worker without orders or ticks would stay, deaf."""
        if not self._done.done():
            self._done.set_exception(error)

    def eof_received(self) -> None:
        """Ends the process at once: its owner has closed the pipe, or is dead."""
        if not self._done.done():
            self._done.set_result(None)

    # Orders of the agent. Numbers come as text.

    def _drain(self) -> None:
        self._engine.drain(monotonic())

    def _stop(self) -> None:
        self._engine.stop(monotonic())

    def _resume(self, delay: bytes) -> None:
        """Goes on with arrivals; `delay` is the seconds of all pauses so far."""
        self._engine.resume(float(delay))

    def _open_gate(self, gate: bytes, at: bytes) -> None:
        """Opens a gate; `at` is seconds from the start of the run."""
        self._engine.open_gate(int(gate), self._start + float(at))

    def _move_start(self, by: bytes) -> None:
        """Moves second 0: the clock of this host went apart from that of the run.

        Where it moves earlier, this host stood still in the seconds between.
        """
        moved, age = float(by), monotonic() - self._start
        if moved < 0:
            self._stalls.tick(age, age, age - moved)
        self._start += moved
        self._engine.move_start(moved)
        self._recorder.delays.stepped = abs(moved)

    def _met(self, users: bytes) -> None:
        """Ends a meeting of a number of users: all of them have come."""
        self._engine.population.met(int(users))

    def _reassign(self, reassignment: bytes) -> None:
        self._engine.reassign(from_wire(reassignment, Reassignment))

    def _steer(self, change: bytes) -> None:
        self._engine.steer(from_wire(change, PlanChange))

    def _published(self, published: bytes) -> None:
        """Takes note of a publication that the subscribers here receive."""
        if self._recorder.deliveries is not None:
            self._recorder.deliveries.announce(from_wire(published, Published), monotonic())

    def _compare(self, clocks: bytes) -> None:
        """Takes the clocks of publishers on other hosts, beside this host's."""
        if self._recorder.deliveries is not None:
            self._recorder.deliveries.compare(from_wire(clocks, dict[str, PublisherClock]))

    def _resolved(self, destinations: bytes) -> None:
        """Takes the addresses that the names of targets have now."""
        assert self._engine.routes is not None
        self._engine.routes.use(from_wire(destinations, tuple[Destination, ...]))

    def _want_place(self, url: str) -> None:
        """Asks the agent for a place that a redirect leads to."""
        assert self._out is not None
        self._out.write(to_wire(Wanted(url)) + b"\n")

    def _take_place(self, place: bytes) -> None:
        """Takes a place that a redirect leads to."""
        redirects = self._engine.redirects
        assert redirects is not None  # it has asked
        redirects.found(from_wire(place, Place))

    # Time.

    def _tick(self, planned: float) -> None:
        """Does what is due; an error of it ends the worker."""
        try:
            self._do_due(planned)
        except Exception as error:  # a bug
            self._crash(error)

    def _do_due(self, planned: float) -> None:
        now = monotonic()
        start = self._start
        self._recorder.tally.loop_lag.record(microseconds(now - planned))
        self._stalls.tick(self._last_tick - start, planned - start, now - start)
        if now - planned > STANDSTILL:
            self._engine.put_off_deadlines(now)
        self._last_tick = now
        while self._second < int(now - start):
            self._report()
        self._alarm.set(-inf)
        # Subtle: a tick at the very end of a second lets its tally end there. Otherwise a stall
        # that begins just after it, and what piles up meanwhile, would count in the good second.
        again = min(self._engine.tick(now), start + self._second + 1)
        if self._engine.finished:
            self._report(finished=True)
            self._finish()
        elif again <= now:
            self._loop.call_soon(self._tick, now)
        else:
            self._alarm.set(again)
            self._timer.set(again)

    def _report(self, *, finished: bool = False) -> None:
        slices = self._recorder.take_slices()
        tally = self._recorder.swap()
        held = self._engine.held()
        held.peak = self._engine.take_peak(monotonic())
        delays = self._recorder.take_delays()
        stalled = self._stalls.take(self._second)
        if stalled:
            delays.stalls[self._number] = round(stalled, 3)
        cpu_s, rss = process_time(), self._memory.bytes()
        second = Second(self._second, tally, held, cpu_s, rss, delays=delays, slices=slices)
        deliveries = self._recorder.deliveries
        if deliveries is not None:
            second.news = deliveries.report(
                tally, self._engine.subscribers(), monotonic(), final=finished
            )
        self._second += 1
        assert self._out is not None
        notes = self._printed.take() + self._recorder.take_remarks()
        report = Report(
            second,
            finished,
            self._engine.waits_at,
            notes,
            self._recorder.abort,
            self._recorder.take_samples(),
        )
        self._out.write(to_wire(report) + b"\n")

    def _finish(self) -> None:
        """Ends `run` once the last line is written."""
        assert self._out is not None
        if self._out.get_write_buffer_size():
            self._loop.call_later(TURN, self._finish)
        elif not self._done.done():
            self._done.set_result(None)


class ResidentMemory:
    """The resident memory of this process, read from a file that stays open.

    A worker that has used up its descriptors can still read it.
    """

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def bytes(self) -> int:
        """Returns the resident set in bytes, shared pages included; proc_pid_statm(5)."""
        return int(os.pread(self._statm, 128, 0).split()[1]) * PAGE_SIZE


def main() -> NoReturn:
    """Runs a worker process: rehearsals if it is asked for any, then one job.

    Each line of standard input is a rehearsal or the job; the lines after the job are orders.
    """
    leave_ending_to_owner()
    raise_nofile()
    printed = CapturedOutput()
    pipe = take_pipe(printed)
    os.write(pipe, b"%d\n" % os.getpid())  # all modules are loaded: it is ready for its job
    order, rest = _read_order(b"")
    while isinstance(order, Rehearsal):
        os.write(pipe, to_wire(_rehearse(order, printed)) + b"\n")
        order, rest = _read_order(rest)
    if order.crowded:
        run_in_batches()
    else:
        run_promptly()
    gc.collect()
    gc.freeze()
    # A full collection over 64,000 live connections stalls the loop; the hot path makes no cycles.
    gc.disable()
    sys.stderr = printed
    try:
        uvloop.run(_run_job(order, rest, pipe, printed))
    finally:
        sys.stderr = sys.__stderr__
    os._exit(0)  # the kernel closes what is left; the pipe to the agent is closed already


def take_pipe(printed: CapturedOutput) -> int:
    """Returns the pipe to the agent, as a descriptor that sessions do not know.

    Sessions print to `printed`, write to standard error, and read an empty standard input.
    """
    pipe = os.dup(1)
    os.dup2(2, 1)
    tell_when_asked(2)
    sys.stdin = io.StringIO()
    sys.stdout = printed
    return pipe


def _read_order(line: bytes) -> tuple[Job | Rehearsal, bytes]:
    """Returns the next line of standard input, decoded, and the bytes after it.

    `line` is what was read of it before. Exits when standard input ends, or for any other line.
    """
    line, ended, rest = line.partition(b"\n")
    while not ended:
        chunk = os.read(0, 65536)
        if not chunk:
            sys.exit(0)
        line, ended, rest = (line + chunk).partition(b"\n")
    try:
        return from_wire(line, Job | Rehearsal), rest  # type: ignore[arg-type]  # a union is no type to mypy
    except msgspec.DecodeError as error:
        sys.exit(f"worker: not a job: {error}")


def _rehearse(rehearsal: Rehearsal, printed: CapturedOutput) -> Rehearsed:
    missing = {
        library.name: str(library)
        for session in rehearsal.sessions
        for library in missing_libraries(session, folder_in(rehearsal.tree, session))
    }
    if missing:
        return Rehearsed("\n".join(missing.values()))
    try:
        for session in rehearsal.sessions:
            check_function(session, load(session, rehearsal.tree))
    except LoadError as error:
        return Rehearsed(str(error), error.traceback, printed.take())
    return Rehearsed(notes=printed.take())


async def _run_job(job: Job, rest: bytes, pipe: int, printed: CapturedOutput) -> None:
    try:
        worker = Worker(job, asyncio.get_running_loop(), pipe, printed)
    except LoadError as error:  # it was not among those that rehearsed
        sys.exit(f"worker: {error}")
    if rest:
        worker.data_received(rest)
    await worker.run()


if __name__ == "__main__":
    main()
