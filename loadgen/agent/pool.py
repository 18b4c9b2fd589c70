"""Starts worker processes, reads their lines into a FanIn, notices death, stops all within a bound."""

import asyncio
from math import ceil, inf
from time import monotonic

import msgspec
from msgspec.structs import replace

from loadgen.agent.process import Crew, Parent
from loadgen.errors import FleetError
from loadgen.plan.reassign import Adoption, Remains, adopt, left_of
from loadgen.plan.sessions import PythonSession
from loadgen.plan.shares import NOBODY
from loadgen.stats.fanin import FanIn, Second
from loadgen.stats.tally import WorkerVitals
from loadgen.wire import Job, Rehearsal, Report, from_wire

WARM_WITHIN = 60.0
"""Seconds that a worker may take to start."""
REHEARSED_WITHIN = 60.0
"""Seconds that the files of sessions may take to be imported."""
SESSION_FILE = "session_file"
"""The reason by which the traceback of a session's file goes that can't be imported."""
HUNG_AFTER = 10.0
"""Seconds of silence after which a running worker is killed, and what it held counted as lost."""
STALLED = 1.0
"""Seconds between two looks at the workers after which the agent itself was stopped, or starved."""
MOST_REPLACED = 8
"""Workers that are replaced in one run; where more die, something is wrong that another one would not mend."""
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
        self._again = 0.0
        self._replaced = 0
        self._looked = inf
        self._warming = asyncio.Lock()
        self._leaving = False
        self._told: list[bytes] = []
        """What all workers were told, for those to come."""
        self._paused, self._delay = False, 0.0

    async def warm(self, count: int) -> None:
        """Makes sure that so many workers have started and wait for a job."""
        missing = count - len(self._crews)
        if missing > 0:
            await self._start(missing)

    async def _start(self, count: int) -> list[Crew]:
        """Starts so many workers more."""
        async with self._warming:
            parent = await Parent.start(len(self._crews), count)
            self._parents.append(parent)
            self._crews += parent.crews
        async with asyncio.timeout(WARM_WITHIN):
            await asyncio.gather(*(crew.warm() for crew in parent.crews))
        return parent.crews

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

    async def run(self, jobs: list[Job], again: float = 0.0) -> None:
        """Hands out the jobs, one a worker; workers without one leave.

        What a worker held that died is launched again by another one, so many a second; 0: it is not.
        """
        await self.warm(len(jobs))
        self._again, self._delay = again, jobs[0].delay
        self.fanin = FanIn(first=min(job.first for job in jobs))
        for crew, job in zip(self._crews, jobs, strict=False):
            self._employ(crew, job)
        for crew in self._crews[len(jobs) :]:
            crew.dismiss()

    def _employ(self, crew: Crew, job: Job) -> None:
        self.fanin.expect(crew.name, job.first)
        crew.employ(job)
        for line in self._told:
            crew.say(line)
        if self._paused:
            crew.say(b"pause\n")
        self._readers.append(asyncio.create_task(self._read(crew)))

    def adopt(self, adoption: Adoption) -> bool:
        """Gives the workers more to launch; False when none is there any more."""
        crews = [crew for crew in self.at_work if self.fanin.sources[crew.name].living]
        if not crews or self._leaving:
            return False
        total = _job_of(crews[0]).plan.total
        for crew, part in zip(crews, adoption.split([1] * len(crews), total), strict=True):
            crew.adopt(part)
        return True

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
        source, total = self.fanin.sources[crew.name], _job_of(crew).plan.total
        left = left_of(crew.held, source.launched, source.users, total)
        tally = self.fanin.lose(crew.name)
        if not crew.reader.at_eof():
            crew.kill()
        self.notes.append(
            f"worker {crew.number} is gone (it {await crew.last_words()}): {tally.lost} open connections are lost"
        )
        if left and self._again and not self._leaving:
            await self._replace(crew, left)

    async def _replace(self, crew: Crew, left: list[Remains]) -> None:
        """Lets another worker take up what one left behind."""
        if self._replaced == MOST_REPLACED:
            self.notes.append(f"worker {crew.number} is the {MOST_REPLACED + 1}th that is gone; it is not replaced")
            return
        self._replaced += 1
        try:
            (heir,) = await self._start(1)
        except (FleetError, OSError, TimeoutError) as error:
            self.notes.append(f"worker {crew.number} can't be replaced ({error})")
            return
        if self._leaving:
            heir.dismiss()
            return
        job = _job_of(crew)
        age = max(0.0, monotonic() - job.start)
        taken, first = adopt(left, age, self._again), max(self.fanin.next, ceil(age))
        self._employ(heir, replace(job, share=NOBODY, adoptions=taken, first=first, delay=self._delay))
        self.notes.append(f"worker {heir.number} takes up what worker {crew.number} left behind")

    def kill_hung(self, now: float) -> None:
        """Kills workers that said nothing for too long; their end then counts as any death."""
        stalled, self._looked = now - self._looked, now
        if stalled > STALLED:  # then it heard nobody: that silence is its own
            self.expect_silence_until(now)
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
        self._tell(b"gate %d %r\n" % (gate, at))

    def met(self, users: int) -> None:
        """Tells every worker that has a job that so many users came to their meeting."""
        self._tell(b"met %d\n" % users)

    def _tell(self, line: bytes) -> None:
        self._told.append(line)
        for crew in self.at_work:
            crew.say(line)

    def pause(self) -> None:
        """Asks every worker that has a job to launch nothing more."""
        self._paused = True
        for crew in self.at_work:
            crew.say(b"pause\n")

    def resume(self, delay: float) -> None:
        """Asks every worker that has a job to go on, so many seconds later than planned."""
        self._paused, self._delay = False, delay
        for crew in self.at_work:
            crew.say(b"resume %r\n" % delay)

    def drain(self) -> None:
        """Asks every worker that has a job to close what it holds in good order."""
        self._leaving = True
        for crew in self.at_work:
            crew.say(b"drain\n")

    def cut(self) -> None:
        """Asks every worker that has a job to cut what it holds, and to give its last account."""
        self._leaving = True
        for crew in self.at_work:
            crew.say(b"stop\n")

    @property
    def at_work(self) -> list[Crew]:
        """Who has a job: anyone else would take an order for one."""
        return [crew for crew in self._crews if crew.name in self.fanin.sources]

    async def stop(self) -> None:
        """Ends all workers at once, and leaves none behind: pipes first, SIGKILL for who does not hear."""
        self._leaving = True
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
        await asyncio.gather(*(parent.done for parent in self._parents))
        for crew in self._crews:
            crew.close()


def _job_of(crew: Crew) -> Job:
    assert crew.job is not None
    return crew.job
