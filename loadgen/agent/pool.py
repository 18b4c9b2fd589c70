"""Starts worker processes, reads their lines into a FanIn, notices death, stops all within a
bound."""

import asyncio
from math import ceil, inf
from time import monotonic

import msgspec
from msgspec.structs import replace

from loadgen.agent.process import ForkServer, WorkerProcess
from loadgen.errors import FleetError
from loadgen.plan.reassign import Reassignment, Unfinished, reassign, unfinished_of
from loadgen.plan.sessions import PythonSession
from loadgen.plan.shares import NOBODY
from loadgen.stats.fanin import FanIn, Second
from loadgen.stats.tally import WorkerVitals
from loadgen.wire import Job, Rehearsal, Report, from_wire

WARM_TIMEOUT = 60.0
"""Seconds that a worker may take to start."""
REHEARSED_TIMEOUT = 60.0
"""Seconds that the files of sessions may take to be imported."""
SESSION_FILE = "session_file"
"""The reason by which the traceback of a session's file goes that can't be imported."""
HUNG_AFTER = 10.0
"""Seconds of silence after which a running worker is killed, and what it held counted as lost."""
STALLED = 1.0
"""Seconds between two looks at the workers after which the agent itself was stopped, or starved."""
MAX_REPLACED = 8
"""Workers that are replaced in one run; where more die, something is wrong that another one
would not mend."""
LEAVE_TIMEOUT = 5.0
"""Seconds that workers have to leave once their standard input has ended; then they are killed."""


class WorkerPool:
    """The workers of one agent, from warming up to the last line."""

    def __init__(self) -> None:
        self.fanin = FanIn()
        self.notes: list[str] = []
        self.tracebacks: dict[str, str] = {}
        """A sample of each reason that an exception in a session made, the first that a worker
        told."""
        self._crews: list[WorkerProcess] = []
        self._parents: list[ForkServer] = []
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

    async def _start(self, count: int) -> list[WorkerProcess]:
        """Starts so many workers more."""
        async with self._warming:
            parent = await ForkServer.start(len(self._crews), count)
            self._parents.append(parent)
            self._crews += parent.workers
        async with asyncio.timeout(WARM_TIMEOUT):
            await asyncio.gather(*(worker.warm() for worker in parent.workers))
        return parent.workers

    async def rehearse(self, sessions: tuple[PythonSession, ...]) -> str:
        """Lets every warm worker import the files of these sessions; why that can't be done,
        empty when it was."""
        rehearsal = Rehearsal(sessions)
        try:
            async with asyncio.timeout(REHEARSED_TIMEOUT):
                done = await asyncio.gather(*(worker.rehearse(rehearsal) for worker in self._crews))
        except TimeoutError:
            files = ", ".join(sorted({session.file for session in sessions}))
            return (
                f"{files} did not come to its end within {REHEARSED_TIMEOUT:.0f} s of being"
                " imported"
            )
        worst = next((rehearsed for rehearsed in done if rehearsed.problem), done[0])
        self.notes += worst.notes  # one speaks for all: they ran the same
        if worst.traceback:
            self.tracebacks[SESSION_FILE] = worst.traceback
        return worst.problem

    async def run(self, jobs: list[Job], again: float = 0.0) -> None:
        """Hands out the jobs, one a worker; workers without one leave.

        What a worker held that died is launched again by another one, so many a second; 0: it is
        not.
        """
        await self.warm(len(jobs))
        self._again, self._delay = again, jobs[0].delay
        self.fanin = FanIn(first=min(job.first for job in jobs))
        for worker, job in zip(self._crews, jobs, strict=False):
            self._employ(worker, job)
        for worker in self._crews[len(jobs) :]:
            worker.dismiss()

    def _employ(self, worker: WorkerProcess, job: Job) -> None:
        self.fanin.expect(worker.name, job.first)
        worker.employ(job)
        for line in self._told:
            worker.say(line)
        if self._paused:
            worker.say(b"pause\n")
        self._readers.append(asyncio.create_task(self._read(worker)))

    def reassign(self, reassignment: Reassignment) -> bool:
        """Gives the workers more to launch; False when none is there any more."""
        workers = [worker for worker in self.at_work if self.fanin.sources[worker.name].living]
        if not workers or self._leaving:
            return False
        total = _job_of(workers[0]).plan.total
        for worker, part in zip(
            workers, reassignment.split([1] * len(workers), total), strict=True
        ):
            worker.reassign(part)
        return True

    async def _read(self, worker: WorkerProcess) -> None:
        async for line in worker.reader:
            worker.recorded = monotonic()
            try:
                report = from_wire(line, Report)
            except msgspec.DecodeError as error:
                self.notes.append(
                    f"worker {worker.number} wrote what is no report ({error}); it is stopped"
                )
                break
            self.fanin.add(worker.name, report.second)
            worker.gate = report.gate
            self.notes += report.notes
            self.abort = self.abort or report.abort
            self.tracebacks = report.tracebacks | self.tracebacks
            if report.finished:
                worker.finished = True
                self.fanin.finish(worker.name)
        await self._gone(worker)

    async def _gone(self, worker: WorkerProcess) -> None:
        if worker.finished:
            return
        source, total = self.fanin.sources[worker.name], _job_of(worker).plan.total
        left = unfinished_of(worker.held, source.launched, source.users, total)
        tally = self.fanin.lose(worker.name)
        if not worker.reader.at_eof():
            worker.kill()
        self.notes.append(
            f"worker {worker.number} is gone (it {await worker.last_words()}): {tally.lost} open"
            " connections are lost"
        )
        if left and self._again and not self._leaving:
            await self._replace(worker, left)

    async def _replace(self, worker: WorkerProcess, left: list[Unfinished]) -> None:
        """Lets another worker take up what one left behind."""
        if self._replaced == MAX_REPLACED:
            self.notes.append(
                f"worker {worker.number} is the {MAX_REPLACED + 1}th that is gone; it is not"
                " replaced"
            )
            return
        self._replaced += 1
        try:
            (heir,) = await self._start(1)
        except (FleetError, OSError, TimeoutError) as error:
            self.notes.append(f"worker {worker.number} can't be replaced ({error})")
            return
        if self._leaving:
            heir.dismiss()
            return
        job = _job_of(worker)
        age = max(0.0, monotonic() - job.start)
        taken, first = reassign(left, age, self._again), max(self.fanin.next, ceil(age))
        self._employ(
            heir, replace(job, share=NOBODY, reassignments=taken, first=first, delay=self._delay)
        )
        self.notes.append(f"worker {heir.number} takes up what worker {worker.number} left behind")

    def kill_hung(self, now: float) -> None:
        """Kills workers that said nothing for too long; their end then counts as any death."""
        stalled, self._looked = now - self._looked, now
        if stalled > STALLED:  # then it heard nobody: that silence is its own
            self.expect_silence_until(now)
        for worker in self._crews:
            silent = now - worker.recorded > HUNG_AFTER
            if (
                silent
                and not worker.finished
                and not worker.ended.done()
                and worker.name in self.fanin.sources
            ):
                self.notes.append(
                    f"worker {worker.number} said nothing for {HUNG_AFTER:.0f} s; it is killed"
                )
                worker.recorded = now
                worker.kill()

    def expect_silence_until(self, when: float) -> None:
        """Tells that no worker has anything to say before this moment."""
        for worker in self._crews:
            worker.recorded = when

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
        return min(
            (worker.gate for worker in self.at_work if self.fanin.sources[worker.name].living),
            default=0,
        )

    def vitals(self) -> tuple[WorkerVitals, ...]:
        """CPU and memory of each worker as last reported."""
        return tuple(
            WorkerVitals(int(name), source.last.cpu_s, source.last.rss if source.living else 0)
            for name, source in self.fanin.sources.items()
        )

    def open_gate(self, gate: int, at: float) -> None:
        """Tells every worker that has a job when a gate opens, in seconds from the start of the
        run."""
        self._tell(b"gate %d %r\n" % (gate, at))

    def met(self, users: int) -> None:
        """Tells every worker that has a job that so many users came to their meeting."""
        self._tell(b"met %d\n" % users)

    def _tell(self, line: bytes) -> None:
        self._told.append(line)
        for worker in self.at_work:
            worker.say(line)

    def pause(self) -> None:
        """Asks every worker that has a job to launch nothing more."""
        self._paused = True
        for worker in self.at_work:
            worker.say(b"pause\n")

    def resume(self, delay: float) -> None:
        """Asks every worker that has a job to go on, so many seconds later than planned."""
        self._paused, self._delay = False, delay
        for worker in self.at_work:
            worker.say(b"resume %r\n" % delay)

    def drain(self) -> None:
        """Asks every worker that has a job to close what it holds in good order."""
        self._leaving = True
        for worker in self.at_work:
            worker.say(b"drain\n")

    def cut(self) -> None:
        """Asks every worker that has a job to cut what it holds, and to give its last account."""
        self._leaving = True
        for worker in self.at_work:
            worker.say(b"stop\n")

    @property
    def at_work(self) -> list[WorkerProcess]:
        """Who has a job: anyone else would take an order for one."""
        return [worker for worker in self._crews if worker.name in self.fanin.sources]

    async def stop(self) -> None:
        """Ends all workers at once, and leaves none behind: pipes first, SIGKILL for who does
        not hear."""
        self._leaving = True
        for worker in self._crews:
            worker.dismiss()
        parents = [parent.done for parent in self._parents]
        if parents:
            _, late = await asyncio.wait(parents, timeout=LEAVE_TIMEOUT)
            for worker in self._crews:
                worker.kill()
            if late:
                await asyncio.wait(late)
        await asyncio.gather(*self._readers)
        await asyncio.gather(*(parent.done for parent in self._parents))
        for worker in self._crews:
            worker.close()


def _job_of(worker: WorkerProcess) -> Job:
    assert worker.job is not None
    return worker.job
