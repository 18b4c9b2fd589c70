"""One process: takes a job from standard input, drives an engine, writes one line a second; end of
input means stop.

A plain subprocess that speaks JSON lines: whoever holds the pipe owns the load. When the pipe ends,
for whatever reason, also SIGKILL of its owner, the process leaves and the kernel closes its
connections.
"""

import asyncio
import gc
import io
import os
import resource
import signal
import sys
from time import monotonic, process_time
from typing import NoReturn

import msgspec
import uvloop

from loadgen.plan.reassign import Reassignment
from loadgen.plan.session_file import LoadError, load
from loadgen.process import raise_nofile, run_in_batches
from loadgen.stats.fanin import Second
from loadgen.stats.recorder import Recorder, microseconds
from loadgen.timers import TICK
from loadgen.wire import Job, Rehearsal, Rehearsed, Report, from_wire, to_wire
from loadgen.worker.build import engine_for

MAX_LINES = 100
"""Lines of one worker that are told; what is printed beyond is dropped, and that is told too."""
LONGEST = 500


class CapturedOutput(io.TextIOBase):
    """A stream whose lines become notes, the first MAX_LINES of them."""

    def __init__(self) -> None:
        self._open = ""
        self._lines: list[str] = []
        self._room = MAX_LINES

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Takes a part of a line, or several lines."""
        if self._room:
            *lines, rest = (self._open + text).split("\n")
            self._open = rest[-LONGEST:]
            self._add([line for line in lines if line])
        return len(text)

    def _add(self, lines: list[str]) -> None:
        self._lines += [f"printed: {line[:LONGEST]}" for line in lines[: self._room]]
        self._room -= min(self._room, len(lines))
        if not self._room:
            self._lines.append(f"printed {MAX_LINES} lines; what it prints from now on is dropped")

    def take(self) -> tuple[str, ...]:
        """The lines that are new."""
        lines, self._lines = self._lines, []
        return tuple(lines)


HALF_A_MILLISECOND = 0.0005
"""The event loop rounds to whole milliseconds; rounded down, it would wake early, find nothing
due, and spin."""
PAGE = resource.getpagesize()


class Worker(asyncio.Protocol):
    """The engine's shell: its clock, its pipes, its seconds."""

    def __init__(
        self, job: Job, loop: asyncio.AbstractEventLoop, pipe: int, printed: CapturedOutput
    ) -> None:
        self._loop = loop
        self._pipe = pipe
        self._printed = printed
        self._start = job.start
        self._second = job.first
        self._recorder = Recorder(hash((job.plan.seed, job.share.positions[:1])))
        self._engine = engine_for(job, self._recorder, loop)
        self._out: asyncio.WriteTransport | None = None
        self._heard = b""
        self._residence = Residence()
        self._done: asyncio.Future[None] = loop.create_future()

    async def run(self) -> None:
        """Runs until the load is over, or standard input is."""
        await self._loop.connect_read_pipe(lambda: self, os.fdopen(0, "rb", 0))
        self._out, _ = await self._loop.connect_write_pipe(
            asyncio.Protocol, os.fdopen(self._pipe, "wb", 0)
        )
        delay = max(0.0, self._start - monotonic())
        self._loop.call_later(delay, self._tick, monotonic() + delay)
        await self._done

    def data_received(self, data: bytes) -> None:
        """The orders that a worker knows once it has its job, a line each."""
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._obey(*line.split())

    def _obey(self, word: bytes, *about: bytes) -> None:
        """What the agent asks for.

        `drain`, `stop`, `reassign REASSIGNMENT`, `pause`, `resume SECONDS` (all pauses so far have
        taken so long), `gate N SECONDS` (when after the start of the run gate N opens), `met N` (so
        many users came).
        """
        if word == b"gate":
            self._engine.open_gate(int(about[0]), self._start + float(about[1]))
        elif word == b"reassign":
            self._engine.reassign(from_wire(about[0], Reassignment))
        elif word == b"met":
            self._engine.population.met(int(about[0]))
        elif word == b"pause":
            self._engine.pause()
        elif word == b"resume":
            self._engine.resume(float(about[0]))
        elif word == b"stop":
            self._engine.stop(monotonic())
        else:
            self._engine.drain(monotonic())

    def eof_received(self) -> None:
        """Its owner is gone: it leaves at once."""
        if not self._done.done():
            self._done.set_result(None)

    def _tick(self, planned: float) -> None:
        now = monotonic()
        self._recorder.tally.loop_lag.record(microseconds(now - planned))
        while self._second < int(now - self._start):
            self._report()
        again = self._engine.tick(now)
        if self._engine.finished:
            self._report(finished=True)
            self._finish()
        elif again <= now:
            self._loop.call_soon(self._tick, now)
        else:
            self._loop.call_later(again - now + HALF_A_MILLISECOND, self._tick, again)

    def _report(self, *, finished: bool = False) -> None:
        page, held, memory = self._recorder.swap(), self._engine.held(), self._residence.bytes()
        second = Second(self._second, page, held, process_time(), memory)
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
        """Leaves once the last line is written."""
        assert self._out is not None
        if self._out.get_write_buffer_size():
            self._loop.call_later(TICK, self._finish)
        elif not self._done.done():
            self._done.set_result(None)


class Residence:
    """How much of this process is in memory; needs no new descriptor when there is none left."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def bytes(self) -> int:
        """The resident set in bytes, pages shared with other processes included."""
        return int(os.pread(self._statm, 128, 0).split()[1]) * PAGE


def main() -> NoReturn:
    """Entry of a worker process: it may rehearse, then it is given its job; the next line would
    be `drain`."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole terminal; the owner decides
    raise_nofile()
    run_in_batches()
    pipe, printed = _keep_pipes()
    os.write(pipe, b"%d\n" % os.getpid())  # all modules are loaded: it is ready for its job
    order, rest = _read_order(b"")
    while isinstance(order, Rehearsal):
        os.write(pipe, to_wire(_rehearse(order, printed)) + b"\n")
        order, rest = _read_order(rest)
    gc.collect()
    gc.freeze()
    # a full collection over 64,000 live connections stalls the loop; the hot path makes no cycles
    gc.disable()
    sys.stderr = printed
    try:
        uvloop.run(_main(order, rest, pipe, printed))
    finally:
        sys.stderr = sys.__stderr__
    os._exit(0)  # the kernel closes what is left; its own pipe is closed already


def _keep_pipes() -> tuple[int, CapturedOutput]:
    """Its pipe to the agent, out of the reach of sessions: what they print and read is no line
    of that."""
    pipe, printed = os.dup(1), CapturedOutput()
    os.dup2(2, 1)
    sys.stdin, sys.stdout = io.StringIO(), printed
    return pipe, printed


def _read_order(line: bytes) -> tuple[Job | Rehearsal, bytes]:
    """The next line of standard input, which may have begun, and what came after it; leaves when
    there is none."""
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
    try:
        for session in rehearsal.sessions:
            load(session)
    except LoadError as error:
        return Rehearsed(str(error), error.traceback, printed.take())
    return Rehearsed(notes=printed.take())


async def _main(job: Job, rest: bytes, pipe: int, printed: CapturedOutput) -> None:
    try:
        worker = Worker(job, asyncio.get_running_loop(), pipe, printed)
    except LoadError as error:  # it was not among those that rehearsed
        sys.exit(f"worker: {error}")
    if rest:
        worker.data_received(rest)
    await worker.run()


if __name__ == "__main__":
    main()
