"""Starts worker processes, reads their lines into a FanIn, notices death, stops all within a bound."""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from time import monotonic

import msgspec

from loadgen.errors import FleetError
from loadgen.fanin import FanIn, Second
from loadgen.wire import Job, Report, WorkerVitals, from_wire, to_wire

WARM_WITHIN = 60.0
"""Seconds that a worker may take to start."""
HUNG_AFTER = 10.0
"""Seconds of silence after which a running worker is killed, and what it held counted as lost."""
LEAVE_WITHIN = 5.0
"""Seconds that workers have to leave once their standard input has ended; then they are killed."""
LINE = 1 << 20
"""The longest line a worker may write, in bytes."""


class Crew:
    """One worker process as its owner sees it."""

    def __init__(self, number: int, process: Process) -> None:
        self.number = number
        self.name = str(number)
        self.process = process
        self.heard = monotonic()
        self.finished = False

    async def warm(self) -> None:
        """Waits until it has started; raises FleetError when it dies instead."""
        assert self.process.stdout is not None
        if not await self.process.stdout.readline():
            raise FleetError(f"worker {self.number} did not start: {await self.last_words()}")

    def say(self, line: bytes) -> None:
        """Writes to its standard input; it may be dead already, which its output tells."""
        assert self.process.stdin is not None
        if not self.process.stdin.is_closing():  # uvloop raises RuntimeError for a write to a closed pipe
            with contextlib.suppress(ConnectionError):
                self.process.stdin.write(line)

    def dismiss(self) -> None:
        """Ends its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    async def last_words(self) -> str:
        """How it ended: exit code or signal, and the last line it wrote to standard error."""
        assert self.process.stderr is not None
        lines = (await self.process.stderr.read()).decode(errors="replace").strip().splitlines()
        code = await self.process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{how}: {lines[-1]}" if lines else how


class Pool:
    """The workers of one agent, from warming up to the last line."""

    def __init__(self) -> None:
        self.fanin = FanIn()
        self.notes: list[str] = []
        self._crews: list[Crew] = []
        self._readers: list[asyncio.Task[None]] = []

    async def warm(self, count: int) -> None:
        """Makes sure that so many workers have started and wait for a job."""
        fresh = [await self._start(number) for number in range(len(self._crews), count)]
        async with asyncio.timeout(WARM_WITHIN):
            await asyncio.gather(*(crew.warm() for crew in fresh))

    async def _start(self, number: int) -> Crew:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadgen.worker", stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=LINE
        )
        self._crews.append(Crew(number, process))
        return self._crews[-1]

    async def run(self, jobs: list[Job]) -> None:
        """Hands out the jobs, one a worker; workers without one leave."""
        await self.warm(len(jobs))
        for crew, job in zip(self._crews, jobs, strict=False):
            self.fanin.expect(crew.name)
            crew.heard = monotonic()
            crew.say(to_wire(job) + b"\n")
            self._readers.append(asyncio.create_task(self._read(crew)))
        for crew in self._crews[len(jobs) :]:
            crew.dismiss()

    async def _read(self, crew: Crew) -> None:
        assert crew.process.stdout is not None
        async for line in crew.process.stdout:
            crew.heard = monotonic()
            try:
                report = from_wire(line, Report)
            except msgspec.DecodeError as error:
                self.notes.append(f"worker {crew.number} wrote what is no report ({error}); it is stopped")
                break
            self.fanin.add(crew.name, report.second)
            if report.finished:
                crew.finished = True
                self.fanin.finish(crew.name)
        await self._gone(crew)

    async def _gone(self, crew: Crew) -> None:
        if crew.finished:
            return
        tally = self.fanin.lose(crew.name)
        if crew.process.returncode is None and not crew.process.stdout.at_eof():  # type: ignore[union-attr]  # a pipe
            crew.process.kill()
        self.notes.append(
            f"worker {crew.number} is gone ({await crew.last_words()}): {tally.lost} open connections are lost"
        )

    def kill_hung(self, now: float) -> None:
        """Kills workers that said nothing for too long; their end then counts as any death."""
        for crew in self._crews:
            silent = now - crew.heard > HUNG_AFTER
            if silent and not crew.finished and crew.process.returncode is None and crew.name in self.fanin.sources:
                self.notes.append(f"worker {crew.number} said nothing for {HUNG_AFTER:.0f} s; it is killed")
                crew.heard = now
                crew.process.kill()

    def expect_silence_until(self, when: float) -> None:
        """Tells that no worker has anything to say before this moment."""
        for crew in self._crews:
            crew.heard = when

    def settled(self) -> list[Second]:
        """The seconds that every worker has reported since the last call."""
        return [settled.second for settled in self.fanin.settle()]

    @property
    def finished(self) -> bool:
        """Whether every worker that had a job is gone."""
        return bool(self._readers) and all(reader.done() for reader in self._readers)

    def vitals(self) -> tuple[WorkerVitals, ...]:
        """CPU and memory of each worker as last reported."""
        return tuple(
            WorkerVitals(int(name), source.last.cpu_s, source.last.rss if source.living else 0)
            for name, source in self.fanin.sources.items()
        )

    def drain(self) -> None:
        """Asks every worker that has a job to close what it holds in good order."""
        for crew in self._at_work():
            crew.say(b"drain\n")

    def cut(self) -> None:
        """Asks every worker that has a job to cut what it holds, and to give its last account."""
        for crew in self._at_work():
            crew.say(b"stop\n")

    def _at_work(self) -> list[Crew]:
        """Who has a job: anyone else would take an order for one."""
        return [crew for crew in self._crews if crew.name in self.fanin.sources]

    async def stop(self) -> None:
        """Ends all workers at once, and leaves none behind: pipes first, SIGKILL for who does not hear."""
        for crew in self._crews:
            crew.dismiss()
        waits = [asyncio.create_task(crew.process.wait()) for crew in self._crews]
        if waits:
            _, late = await asyncio.wait(waits, timeout=LEAVE_WITHIN)
            for crew in self._crews:
                if crew.process.returncode is None:
                    crew.process.kill()
            if late:
                await asyncio.wait(late)
        await asyncio.gather(*self._readers)
