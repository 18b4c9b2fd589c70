"""Starts worker processes, reads their lines into a FanIn, notices death, stops all within a bound."""

import asyncio
from time import monotonic

import msgspec

from loadgen.behaviour import PythonSession
from loadgen.crew import Crew, Parent
from loadgen.fanin import FanIn, Second
from loadgen.wire import Job, Rehearsal, Report, WorkerVitals, from_wire, to_wire

WARM_WITHIN = 60.0
"""Seconds that a worker may take to start."""
REHEARSED_WITHIN = 60.0
"""Seconds that the files of sessions may take to be imported."""
SESSION_FILE = "session_file"
"""The reason by which the traceback of a session's file goes that can't be imported."""
HUNG_AFTER = 10.0
"""Seconds of silence after which a running worker is killed, and what it held counted as lost."""
LEAVE_WITHIN = 5.0
"""Seconds that workers have to leave once their standard input has ended; then they are killed."""


class Pool:
    """The workers of one agent, from warming up to the last line."""

    def __init__(self) -> None:
        self.fanin = FanIn()
        self.notes: list[str] = []
        self.tracebacks: dict[str, str] = {}
        """A sample of each reason that an exception in a session made, the first that a worker told."""
        self._crews: list[Crew] = []
        self._parents: list[Parent] = []
        self._readers: list[asyncio.Task[None]] = []
        self.abort = ""
        """Why a session asks for the end of the whole run, if any does."""

    async def warm(self, count: int) -> None:
        """Makes sure that so many workers have started and wait for a job."""
        missing = count - len(self._crews)
        if missing <= 0:
            return
        parent = await Parent.start(len(self._crews), missing)
        self._parents.append(parent)
        self._crews += parent.crews
        async with asyncio.timeout(WARM_WITHIN):
            await asyncio.gather(*(crew.warm() for crew in parent.crews))

    async def rehearse(self, sessions: tuple[PythonSession, ...]) -> str:
        """Lets every warm worker import the files of these sessions; why that can't be done, empty when it was."""
        rehearsal = Rehearsal(sessions)
        try:
            async with asyncio.timeout(REHEARSED_WITHIN):
                done = await asyncio.gather(*(crew.rehearse(rehearsal) for crew in self._crews))
        except TimeoutError:
            files = ", ".join(sorted({session.file for session in sessions}))
            return f"{files} did not come to its end within {REHEARSED_WITHIN:.0f} s of being imported"
        worst = next((rehearsed for rehearsed in done if rehearsed.problem), done[0])
        self.notes += worst.notes  # one speaks for all: they ran the same
        if worst.traceback:
            self.tracebacks[SESSION_FILE] = worst.traceback
        return worst.problem

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
        async for line in crew.reader:
            crew.heard = monotonic()
            try:
                report = from_wire(line, Report)
            except msgspec.DecodeError as error:
                self.notes.append(f"worker {crew.number} wrote what is no report ({error}); it is stopped")
                break
            self.fanin.add(crew.name, report.second)
            crew.gate = report.gate
            self.notes += report.notes
            self.abort = self.abort or report.abort
            self.tracebacks = report.tracebacks | self.tracebacks
            if report.finished:
                crew.finished = True
                self.fanin.finish(crew.name)
        await self._gone(crew)

    async def _gone(self, crew: Crew) -> None:
        if crew.finished:
            return
        tally = self.fanin.lose(crew.name)
        if not crew.reader.at_eof():
            crew.kill()
        self.notes.append(
            f"worker {crew.number} is gone ({await crew.last_words()}): {tally.lost} open connections are lost"
        )

    def kill_hung(self, now: float) -> None:
        """Kills workers that said nothing for too long; their end then counts as any death."""
        for crew in self._crews:
            silent = now - crew.heard > HUNG_AFTER
            if silent and not crew.finished and not crew.ended.done() and crew.name in self.fanin.sources:
                self.notes.append(f"worker {crew.number} said nothing for {HUNG_AFTER:.0f} s; it is killed")
                crew.heard = now
                crew.kill()

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

    @property
    def gate(self) -> int:
        """The first gate at which a worker waits, when all do that are still at work; else 0."""
        return min((crew.gate for crew in self.at_work if self.fanin.sources[crew.name].living), default=0)

    def vitals(self) -> tuple[WorkerVitals, ...]:
        """CPU and memory of each worker as last reported."""
        return tuple(
            WorkerVitals(int(name), source.last.cpu_s, source.last.rss if source.living else 0)
            for name, source in self.fanin.sources.items()
        )

    def open_gate(self, gate: int, at: float) -> None:
        """Tells every worker that has a job when a gate opens, in seconds from the start of the run."""
        for crew in self.at_work:
            crew.say(b"gate %d %r\n" % (gate, at))

    def met(self, users: int) -> None:
        """Tells every worker that has a job that so many users came to their meeting."""
        for crew in self.at_work:
            crew.say(b"met %d\n" % users)

    def pause(self) -> None:
        """Asks every worker that has a job to launch nothing more."""
        for crew in self.at_work:
            crew.say(b"pause\n")

    def resume(self, delay: float) -> None:
        """Asks every worker that has a job to go on, so many seconds later than planned."""
        for crew in self.at_work:
            crew.say(b"resume %r\n" % delay)

    def drain(self) -> None:
        """Asks every worker that has a job to close what it holds in good order."""
        for crew in self.at_work:
            crew.say(b"drain\n")

    def cut(self) -> None:
        """Asks every worker that has a job to cut what it holds, and to give its last account."""
        for crew in self.at_work:
            crew.say(b"stop\n")

    @property
    def at_work(self) -> list[Crew]:
        """Who has a job: anyone else would take an order for one."""
        return [crew for crew in self._crews if crew.name in self.fanin.sources]

    async def stop(self) -> None:
        """Ends all workers at once, and leaves none behind: pipes first, SIGKILL for who does not hear."""
        for crew in self._crews:
            crew.dismiss()
        parents = [parent.done for parent in self._parents]
        if parents:
            _, late = await asyncio.wait(parents, timeout=LEAVE_WITHIN)
            for crew in self._crews:
                crew.kill()
            if late:
                await asyncio.wait(late)
        await asyncio.gather(*self._readers)
        for crew in self._crews:
            crew.close()
