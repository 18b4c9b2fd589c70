"""One worker process of an agent: forked by a fork server, driven by pipes."""

import asyncio
import os
import signal
from asyncio import ReadTransport, StreamReader, StreamReaderProtocol, WriteTransport
from time import monotonic
from typing import NamedTuple

from loadgen.errors import FleetError
from loadgen.forkserver import ForkedProcess, ForkServer, Program
from loadgen.plan.reassign import Reassignment, Unfinished
from loadgen.process import ASK_WHERE, how_it_ended
from loadgen.wire import Job, Rehearsal, Rehearsed, from_wire, to_wire

WORKER = "loadgen.worker.main"
"""The module of a worker."""
MAX_LINE = 16 << 20
"""The longest line that a worker may write, in bytes."""
MAX_STDERR = 65_536
"""Bytes of a worker's standard error that are looked at: the last ones."""


class Pipes(NamedTuple):
    """The agent's ends of a worker's pipes, and the file of its errors."""

    input: WriteTransport
    output: ReadTransport
    errors: int


class WorkerProcess:
    """One worker process, which lives as long as its standard input is open."""

    def __init__(
        self, number: int, process: ForkedProcess, reader: StreamReader, pipes: Pipes
    ) -> None:
        self.number = number
        self.name = str(number)
        self.reader = reader
        self.ended = process.ended
        """Its exit code, negative for a signal."""
        self.last_report = monotonic()
        """When it reported last, in seconds on the monotonic clock."""
        self.finished = False
        """True once it has written its last line."""
        self.gate = 0
        """The gate at which it waits; 0: none."""
        self.job: Job | None = None
        self.held: list[Unfinished] = []
        """All that it was given to launch."""
        self._process = process
        self._pipes = pipes
        self._asked_at: int | None = None
        """Where its answer begins in the file of its errors, once it was asked where it is."""

    @classmethod
    async def fork(cls, server: ForkServer, number: int, rows: int = -1) -> "WorkerProcess":
        """Has the server fork a worker.

        `rows` is the descriptor of the file that all workers read; -1: there is none.
        """
        input_end, writer = await _write_pipe()
        reader, output, output_end = await _read_pipe()
        # A file in memory, since it never fills up as a pipe would.
        errors = os.memfd_create(f"worker {number}", os.MFD_CLOEXEC)
        descriptors = [input_end, output_end, errors]
        try:
            process = await server.start(
                Program(f"{WORKER}:main", "loadgen-worker"),
                descriptors if rows < 0 else [*descriptors, rows],
            )
        except OSError:
            writer.close()
            output.close()
            os.close(errors)
            raise
        finally:  # the agent reads the file of errors too, and keeps that
            os.close(input_end)
            os.close(output_end)
        return cls(number, process, reader, Pipes(writer, output, errors))

    async def warm(self) -> None:
        """Waits until it has started; raises FleetError when it dies instead."""
        if not await self.reader.readline():
            raise FleetError(f"worker {self.number} did not start; it {await self.how_it_ended()}")

    async def rehearse(self, rehearsal: Rehearsal) -> Rehearsed:
        """Imports session files in it; the death of the worker is a result as well."""
        self.send(to_wire(rehearsal) + b"\n")
        line = await self.reader.readline()
        if not line:
            return Rehearsed(
                f"a worker ended while it imported the session (it {await self.how_it_ended()})"
            )
        return from_wire(line, Rehearsed)

    def start(self, job: Job) -> None:
        """Gives it its job."""
        self.job = job
        self.last_report = monotonic()
        self.held = [
            Unfinished(job.share),
            *(reassignment.unfinished for reassignment in job.reassignments),
        ]
        self.send(to_wire(job) + b"\n")

    def reassign(self, reassignment: Reassignment) -> None:
        """Gives it more to launch."""
        self.held.append(reassignment.unfinished)
        self.send(b"reassign %s\n" % to_wire(reassignment))

    def send(self, line: bytes) -> None:
        """Writes a line to its standard input; that it is dead shows in its output."""
        if not self._pipes.input.is_closing():
            self._pipes.input.write(line)

    def end_input(self) -> None:
        """Ends its standard input, upon which it exits."""
        self._pipes.input.close()

    def kill(self) -> None:
        """Kills it."""
        self._process.send_signal(signal.SIGKILL)

    def ask_where(self) -> None:
        """Asks it, once, where it hangs; `where_it_hangs` has the answer a moment later."""
        if self._asked_at is None:
            self._asked_at = os.fstat(self._pipes.errors).st_size
            self._process.send_signal(ASK_WHERE)

    def where_it_hangs(self) -> str:
        """Returns its stack, and whose session runs, as it was asked.

        It is "" without an answer.
        """
        if self._asked_at is None:
            return ""
        return self._errors(self._asked_at, os.fstat(self._pipes.errors).st_size)

    def last_words(self) -> list[str]:
        """Returns the lines of its standard error, without what it was asked for."""
        end = self._asked_at
        if end is None:
            end = os.fstat(self._pipes.errors).st_size
        return self._errors(0, end).splitlines()

    def _errors(self, begin: int, end: int) -> str:
        begin = max(begin, end - MAX_STDERR)
        text = os.pread(self._pipes.errors, end - begin, begin)
        return text.decode(errors="replace").strip()

    async def how_it_ended(self) -> str:
        """Returns its exit code or signal, and its last line on standard error."""
        how = how_it_ended(await self.ended)
        lines = self.last_words()
        return f"{how}: {lines[-1]}" if lines else how

    def close(self) -> None:
        """Closes the agent's descriptors of it, once it has ended."""
        self._pipes.input.close()
        self._pipes.output.close()  # a StreamReader keeps it open beyond its end
        os.close(self._pipes.errors)


async def _write_pipe() -> tuple[int, WriteTransport]:
    """Returns the end of a new pipe that a child reads, and the agent's end."""
    theirs, mine = os.pipe()
    writer, _ = await asyncio.get_running_loop().connect_write_pipe(
        asyncio.Protocol, os.fdopen(mine, "wb", 0)
    )
    return theirs, writer


async def _read_pipe() -> tuple[StreamReader, ReadTransport, int]:
    """Returns a new pipe's reader, its transport, and the end that a child writes."""
    mine, theirs = os.pipe()
    reader = StreamReader(limit=MAX_LINE)
    output, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: StreamReaderProtocol(reader), os.fdopen(mine, "rb", 0)
    )
    return reader, output, theirs
