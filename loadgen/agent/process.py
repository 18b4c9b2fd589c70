"""One worker process as its agent sees it: forked from a warmed parent, owned through pipes,
killed by its pidfd."""

import asyncio
import os
import signal
import sys
from asyncio import StreamReader, StreamReaderProtocol, WriteTransport
from asyncio.subprocess import DEVNULL, PIPE, Process
from time import monotonic

from loadgen.errors import FleetError
from loadgen.plan.reassign import Reassignment, Unfinished
from loadgen.process import how_it_ended
from loadgen.wire import Job, Rehearsal, Rehearsed, from_wire, to_wire

LINE = 16 << 20
"""The longest line a worker may write, in bytes."""
LAST_WORDS = 65_536
"""Bytes of a worker's standard error that are looked at."""


class WorkerProcess:
    """One worker process. The agent's end of its standard input is all that keeps it alive."""

    def __init__(
        self, number: int, reader: StreamReader, writer: WriteTransport, errors: int
    ) -> None:
        self.number = number
        self.name = str(number)
        self.reader = reader
        self.recorded = monotonic()
        self.finished = False
        self.gate = 0
        """The gate at which it waits; 0: it does not."""
        self.job: Job | None = None
        self.held: list[Unfinished] = []
        """All that it was given to launch."""
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """Its exit code, negative for a signal."""
        self._writer = writer
        self._errors = errors
        self._pidfd: int | None = None

    async def warm(self) -> None:
        """Waits until it has started; raises FleetError when it dies instead."""
        line = await self.reader.readline()
        if not line:
            raise FleetError(f"worker {self.number} did not start; it {await self.last_words()}")
        self._pidfd = os.pidfd_open(int(line))

    async def rehearse(self, rehearsal: Rehearsal) -> Rehearsed:
        """Lets it import the files of sessions; a worker that dies of one tells so by its last
        words."""
        self.say(to_wire(rehearsal) + b"\n")
        line = await self.reader.readline()
        if not line:
            return Rehearsed(
                f"a worker ended while it imported the session (it {await self.last_words()})"
            )
        return from_wire(line, Rehearsed)

    def employ(self, job: Job) -> None:
        """Gives it its job."""
        self.job, self.recorded = job, monotonic()
        self.held = [
            Unfinished(job.share),
            *(reassignment.unfinished for reassignment in job.reassignments),
        ]
        self.say(to_wire(job) + b"\n")

    def reassign(self, reassignment: Reassignment) -> None:
        """Gives it more to launch."""
        self.held.append(reassignment.unfinished)
        self.say(b"reassign %s\n" % to_wire(reassignment))

    def say(self, line: bytes) -> None:
        """Writes to its standard input; it may be dead already, which its output tells."""
        if not self._writer.is_closing():
            self._writer.write(line)

    def dismiss(self) -> None:
        """Ends its standard input."""
        self._writer.close()

    def kill(self) -> None:
        """Ends it at once; by a descriptor, since its number may belong to another process by
        now."""
        if self._pidfd is not None and not self.ended.done():
            try:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            except ProcessLookupError:  # it has ended just now
                return

    async def last_words(self) -> str:
        """How it ended: exit code or signal, and the last line it wrote to standard error."""
        how = how_it_ended(await self.ended)
        lines = os.pread(self._errors, LAST_WORDS, 0).decode(errors="replace").strip().splitlines()
        return f"{how}: {lines[-1]}" if lines else how

    def close(self) -> None:
        """Gives its descriptors back, once it has ended."""
        self._writer.close()
        os.close(self._errors)
        if self._pidfd is not None:
            os.close(self._pidfd)


class ForkServer:
    """The warmed parent of some workers."""

    def __init__(self, process: Process, workers: list[WorkerProcess]) -> None:
        self.workers = workers
        """Its workers, in the order of their numbers."""
        self._process = process
        self.done = asyncio.create_task(self._listen())
        """Is over when all its workers have ended, and so has it."""

    @classmethod
    async def start(cls, first: int, count: int) -> "ForkServer":
        """Starts a parent that forks so many workers, numbered from `first`."""
        theirs, pipes, workers = [], [], []
        for number in range(first, first + count):
            (input_end, writer), (reader, output_end) = await _write_pipe(), await _read_pipe()
            errors = os.memfd_create(
                f"worker {number}", os.MFD_CLOEXEC
            )  # it never fills up, as a pipe would
            theirs += [input_end, output_end, errors]
            pipes += [input_end, output_end]
            workers.append(WorkerProcess(number, reader, writer, errors))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "loadgen.worker.forkserver",
            *map(str, theirs),
            stdin=DEVNULL,
            stdout=PIPE,
            pass_fds=theirs,
        )
        for descriptor in pipes:  # what they write as errors is read here too
            os.close(descriptor)
        return cls(process, workers)

    async def _listen(self) -> None:
        """Passes on how each worker ended; with the parent they all end."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            place, code = map(int, line.split())
            self.workers[place].ended.set_result(code)
        await self._process.wait()
        for worker in self.workers:
            if not worker.ended.done():
                worker.ended.set_result(-signal.SIGKILL)


async def _write_pipe() -> tuple[int, WriteTransport]:
    """The end of a pipe that a child reads, and ours."""
    theirs, mine = os.pipe()
    writer, _ = await asyncio.get_running_loop().connect_write_pipe(
        asyncio.Protocol, os.fdopen(mine, "wb", 0)
    )
    return theirs, writer


async def _read_pipe() -> tuple[StreamReader, int]:
    """Our end of a pipe, and the one that a child writes."""
    mine, theirs = os.pipe()
    reader = StreamReader(limit=LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), os.fdopen(mine, "rb", 0))
    return reader, theirs
