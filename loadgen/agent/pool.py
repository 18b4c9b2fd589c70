"""The worker processes of one agent.

It starts them, reads them into a FanIn, replaces them, and ends them within a bound.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from math import ceil, inf
from time import monotonic

import msgspec
from msgspec.structs import replace

from loadgen.agent.jobs import numbered_as
from loadgen.agent.orders import Gate, announcement, comparison, readdressing, steering
from loadgen.agent.process import WorkerProcess
from loadgen.errors import FleetError
from loadgen.forkserver import ForkServer
from loadgen.plan.reassign import Reassignment, Unfinished, reassign, unfinished_of
from loadgen.plan.sessions import PythonSession
from loadgen.plan.shares import NO_SHARE
from loadgen.plan.steer import PlanChange, SteeredSchedule, steered
from loadgen.stats.delivery import Published, PublisherClock
from loadgen.stats.fanin import FanIn, Second
from loadgen.stats.vitals import WorkerVitals
from loadgen.wire import Destination, Job, Rehearsal, Report, Wanted, from_wire

WARM_TIMEOUT = 60.0
"""Seconds that a worker may take to start."""
REHEARSAL_TIMEOUT = 60.0
"""Seconds that the session files may take to be imported."""
SESSION_FILE = "session_file"
"""The reason under which the traceback of a session file that can't be imported is reported."""
HUNG_WORKER = "hung_worker"
"""The reason under which the stack of a worker that hung is reported."""
CRASHED_WORKER = "crashed_worker"
"""The reason under which the traceback of a worker that ended by an error is reported."""
MAX_LAST_WORDS = 40
"""Lines of such a traceback that go into the log: the last ones."""
ANSWER_TIME = 1.0
"""Seconds that a silent worker has to write where it hangs, before it is killed."""
HANG_TIMEOUT = 10.0
"""Seconds of silence after which a running worker is killed; its open connections are lost."""
STALL = 1.0
"""Seconds between two looks at the workers after which the agent itself was stopped or starved."""
AT_ONCE = 1e9
"""Numbers a second: at this pace a user comes when it is due."""
MAX_REPLACED = 8
"""Workers that are replaced in one run; where more die, a further one would die as well."""
EXIT_TIMEOUT = 5.0
"""Seconds that workers have to exit once their standard input has ended; then they are killed."""


class WorkerPool:
    """The workers of one agent, from warming up to the last line."""

    def __init__(
        self, fork_server: ForkServer, find: Callable[[str, WorkerProcess], None] | None = None
    ) -> None:
        """`find` looks for a place that a worker was redirected to, and tells it."""
        self._fork_server = fork_server
        self._find = find
        self.fanin = FanIn()
        self.notes: list[str] = []
        self.tracebacks: dict[str, str] = {}
        """The first sample that a worker reported, by the reason that it explains."""
        self.rows = -1
        """The descriptor of the file with the rows of feeders; -1: there is none."""
        self.abort_reason = ""
        """Why a session asks for the end of the whole run, if any does."""
        self._workers: list[WorkerProcess] = []
        self._readers: list[asyncio.Task[None]] = []
        self._relaunch_rate = 0.0
        """Launches a second at which a dead worker's users come back; 0: they do not."""
        self._replaced = 0
        self._last_look = inf
        self._starting = asyncio.Lock()
        self._ending = False
        self._orders: list[bytes] = []
        """The lines that all workers got and that later workers need as well."""
        self._paused = False
        self._delay = 0.0
        """Seconds that all pauses so far have put off what is still to come."""
        self._changes: tuple[PlanChange, ...] = ()
        """The changes of the plan so far."""
        self._schedule: SteeredSchedule | None = None
        """The schedule of the plan with these changes; None before the jobs."""

    async def warm(self, count: int) -> None:
        """Starts workers until at least `count` wait for a job."""
        missing = count - len(self._workers)
        if missing > 0:
            await self._start(missing)

    async def _start(self, count: int) -> list[WorkerProcess]:
        """Starts further workers and returns them once they are warm."""
        async with asyncio.timeout(WARM_TIMEOUT):
            async with self._starting:
                first = len(self._workers)
                for number in range(first, first + count):
                    worker = await WorkerProcess.fork(self._fork_server, number, self.rows)
                    self._workers.append(worker)
                started = self._workers[first:]
            await asyncio.gather(*(worker.warm() for worker in started))
        return started

    async def rehearse(self, sessions: tuple[PythonSession, ...], tree: str = "") -> str:
        """Imports the session files in every warm worker; `tree` is the folder with them.

        Returns why that fails, "" if not.
        """
        rehearsal = Rehearsal(sessions, tree)
        try:
            async with asyncio.timeout(REHEARSAL_TIMEOUT):
                done = await asyncio.gather(
                    *(worker.rehearse(rehearsal) for worker in self._workers)
                )
        except TimeoutError:
            files = ", ".join(sorted({session.file for session in sessions}))
            return (
                f"{files} took longer than {REHEARSAL_TIMEOUT:.0f} s to import; move what takes"
                " long into the session"
            )
        worst = next((rehearsed for rehearsed in done if rehearsed.problem), done[0])
        self.notes += worst.notes  # those of one worker: they all ran the same
        if worst.traceback:
            self.tracebacks[SESSION_FILE] = worst.traceback
        return worst.problem

    async def run(self, jobs: list[Job], relaunch_rate: float = 0.0) -> None:
        """Hands out the jobs, one to each worker; workers without a job exit.

        Another worker launches again what a dead one held, at `relaunch_rate` launches a second;
        with 0 it is not launched again.
        """
        await self.warm(len(jobs))
        self._relaunch_rate = relaunch_rate
        self._delay = jobs[0].delay
        self._changes = jobs[0].changes
        self._schedule = steered(jobs[0].plan, self._changes)
        self.fanin = FanIn(first=min(job.first for job in jobs))
        for worker, job in zip(self._workers, jobs, strict=False):
            self._employ(worker, job)
        for worker in self._workers[len(jobs) :]:
            worker.end_input()

    def _employ(self, worker: WorkerProcess, job: Job) -> None:
        self.fanin.expect(worker.name, job.first)
        worker.start(replace(job, worker=worker.number))
        for line in self._orders:
            worker.send(line)
        if self._paused:
            worker.send(b"pause\n")
        self._readers.append(asyncio.create_task(self._read(worker)))

    def reassign(self, reassignment: Reassignment) -> bool:
        """Gives the workers more to launch; returns False when none lives that could."""
        workers = self._living()
        if not workers or self._ending:
            return False
        parts = reassignment.split([1] * len(workers), self.total)
        for worker, part in zip(workers, parts, strict=True):
            worker.reassign(part)
        return True

    @property
    def total(self) -> int:
        """The users that arrive in all over the whole fleet, by the plan and its changes."""
        assert self._schedule is not None
        return self._schedule.total

    def steer(self, change: PlanChange) -> None:
        """Changes the plan in every worker that has a job, and in those to come."""
        assert self._schedule is not None
        before = self.total
        self._changes += (change,)
        self._schedule = self._schedule.steered(change)
        self._send(steering(change))
        if self.total > before:
            self._deal_further(before)

    def _deal_further(self, first: int) -> None:
        """Gives living workers the numbers from `first` on of those that have finished."""
        living = self._living()
        for worker in self.employed if living else ():
            if worker.finished:
                for held in worker.held:
                    parts = held.share.split([1] * len(living))
                    for heir, part in zip(living, parts, strict=True):
                        further = Unfinished(part, first, first)
                        heir.reassign(Reassignment(further, at=0.0, pace=AT_ONCE))
                worker.held = []

    def announce(self, published: Published) -> None:
        """Tells the workers of a publication that their subscribers receive."""
        self._send(announcement(published))

    def compare(self, clocks: Mapping[str, PublisherClock]) -> None:
        """Tells the workers of publishers' clocks, beside this host's."""
        self._send(comparison(clocks))

    def readdress(self, destinations: Sequence[Destination]) -> None:
        """Tells the workers of the addresses that targets have now, and those to come.

        A worker keeps its own numbers of pairs.
        """
        for worker in self.employed:
            job = _job_of(worker)
            own = tuple(numbered_as(job, to) for to in destinations)
            worker.job = replace(job, destinations=own)
            worker.send(readdressing(own))

    async def _read(self, worker: WorkerProcess) -> None:
        """Takes in the lines of a worker until its output ends."""
        async for line in worker.reader:
            worker.last_report = monotonic()
            try:
                said = from_wire(line, Report | Wanted)  # type: ignore[arg-type]  # a union is no type to mypy
            except msgspec.DecodeError as error:
                self.notes.append(
                    f"worker {worker.number} wrote a line that is no report ({error}); it is killed"
                )
                break
            if isinstance(said, Report):
                self._take(worker, said)
            elif self._find is not None:
                self._find(said.url, worker)
        await self._handle_end(worker)

    def _take(self, worker: WorkerProcess, report: Report) -> None:
        self.fanin.add(worker.name, report.second)
        worker.gate = report.gate
        self.notes += report.notes
        self.abort_reason = self.abort_reason or report.abort
        self.tracebacks = report.tracebacks | self.tracebacks
        if report.finished:
            worker.finished = True
            self.fanin.finish(worker.name)

    async def _handle_end(self, worker: WorkerProcess) -> None:
        """Counts the connections of a worker that died as lost, and replaces the worker."""
        if worker.finished:
            return
        source = self.fanin.sources[worker.name]
        unfinished = unfinished_of(worker.held, source.launched, source.users, self.total)
        tally = self.fanin.lose(worker.name, int(monotonic() - _job_of(worker).start))
        if not worker.reader.at_eof():
            worker.kill()
        self.notes.append(
            f"worker {worker.number} is gone (it {await worker.how_it_ended()}): {tally.lost} open"
            " connections are lost"
        )
        self._report_crash(worker)
        if unfinished and self._relaunch_rate and not self._ending:
            await self._replace(worker, unfinished)

    def _report_crash(self, worker: WorkerProcess) -> None:
        """Reports the traceback of a worker that ended by an error, if it wrote one."""
        lines = worker.last_words()
        if len(lines) > 1:
            self.tracebacks.setdefault(CRASHED_WORKER, "\n".join(lines))
            self.notes += [
                f"worker {worker.number} wrote: {line}" for line in lines[-MAX_LAST_WORDS:]
            ]

    async def _replace(self, worker: WorkerProcess, unfinished: list[Unfinished]) -> None:
        """Starts another worker for what a dead one did not finish."""
        if self._replaced == MAX_REPLACED:
            self.notes.append(
                f"worker {worker.number} is the {MAX_REPLACED + 1}th that is gone; it is not"
                " replaced"
            )
            return
        self._replaced += 1
        try:
            (successor,) = await self._start(1)
        except (FleetError, OSError, TimeoutError) as error:
            self.notes.append(f"worker {worker.number} can't be replaced ({error})")
            return
        if self._ending:
            successor.end_input()
            return
        self._employ(successor, self._job_after(worker, unfinished))
        self.notes.append(
            f"worker {successor.number} takes over what worker {worker.number} did not finish"
        )

    def _job_after(self, worker: WorkerProcess, unfinished: list[Unfinished]) -> Job:
        """Returns the job of a dead worker's successor: unfinished numbers, no share."""
        job = _job_of(worker)
        age = max(0.0, monotonic() - job.start)
        return replace(
            job,
            share=NO_SHARE,
            reassignments=reassign(unfinished, age, self._relaunch_rate),
            first=max(self.fanin.next, ceil(age)),
            delay=self._delay,
            changes=self._changes,
        )

    def kill_hung(self, now: float) -> None:
        """Kills workers that reported nothing for HANG_TIMEOUT.

        They are asked first where they hang, and count as dead then. `now` is in seconds on the
        monotonic clock.
        """
        stalled = now - self._last_look
        self._last_look = now
        if stalled > STALL:  # the agent read nothing meanwhile, so the silence is its own
            self.expect_silence_until(now)
        for worker in self.employed:
            silent = now - worker.last_report
            if worker.finished or worker.ended.done():
                continue
            if silent > HANG_TIMEOUT:
                self.notes.append(
                    f"worker {worker.number} reported nothing for {HANG_TIMEOUT:.0f} s"
                    f"{self._where(worker)}; it is killed"
                )
                worker.last_report = now
                worker.kill()
            elif silent > HANG_TIMEOUT - ANSWER_TIME:
                worker.ask_where()

    def _where(self, worker: WorkerProcess) -> str:
        """Returns whose session a worker hangs in, for a note; keeps its stack."""
        answer = worker.where_it_hangs()
        if not answer:
            return ""
        self.tracebacks.setdefault(HUNG_WORKER, f"worker {worker.number}\n{answer}\n")
        last = answer.splitlines()[-1]
        return f" {last}" if last.startswith("in session ") else ""

    def expect_silence_until(self, when: float) -> None:
        """Counts no worker's silence before this moment, monotonic in seconds."""
        for worker in self._workers:
            worker.last_report = max(worker.last_report, when)

    def move_start(self, by: float, now: float) -> None:
        """Moves second 0 by some seconds in every worker that has a job.

        Where it moves later, a worker has no second to report until that time has come. `now` is in
        seconds on the monotonic clock.
        """
        for worker in self.employed:
            job = _job_of(worker)
            worker.job = replace(job, start=job.start + by)
        self._send(b"move %r\n" % by)
        self.expect_silence_until(now + max(0.0, by))

    def settled(self) -> list[Second]:
        """Returns the seconds that every worker has reported since the last call."""
        seconds = []
        for settled in self.fanin.settle():
            settled.second.delays.unreported = tuple(map(int, settled.lost))
            seconds.append(settled.second)
        return seconds

    @property
    def finished(self) -> bool:
        """True when every worker that had a job is gone."""
        return bool(self._readers) and all(reader.done() for reader in self._readers)

    @property
    def gate(self) -> int:
        """The first gate at which a worker waits, when all living ones wait at a gate.

        It is 0 when one of them does not wait, or when none lives.
        """
        return min((worker.gate for worker in self._living()), default=0)

    def vitals(self) -> tuple[WorkerVitals, ...]:
        """Returns the CPU seconds and the memory of each worker as last reported."""
        return tuple(
            WorkerVitals(int(name), source.last.cpu_s, source.last.rss if source.living else 0)
            for name, source in self.fanin.sources.items()
        )

    def open_gate(self, gate: Gate) -> None:
        """Opens a gate in every worker that has a job."""
        self._send_for_good(b"gate %d %r\n" % (gate.number, gate.at))

    def end_meeting(self, users: int) -> None:
        """Ends the meeting of this number of users in every worker that has a job."""
        self._send_for_good(b"met %d\n" % users)

    def _send_for_good(self, line: bytes) -> None:
        """Sends a line to every worker that has a job, and keeps it for those to come."""
        self._orders.append(line)
        self._send(line)

    def _send(self, line: bytes) -> None:
        for worker in self.employed:
            worker.send(line)

    def pause(self) -> None:
        """Stops launches in every worker that has a job."""
        self._paused = True
        self._send(b"pause\n")

    def resume(self, delay: float) -> None:
        """Resumes launches in every worker that has a job.

        `delay` is how many seconds all pauses so far have taken.
        """
        self._paused = False
        self._delay = delay
        self._send(b"resume %r\n" % delay)

    def drain(self) -> None:
        """Closes all connections in good order."""
        self._ending = True
        self._send(b"drain\n")

    def abort(self) -> None:
        """Aborts all connections at once; the workers still report their last second."""
        self._ending = True
        self._send(b"stop\n")

    @property
    def employed(self) -> list[WorkerProcess]:
        """The workers that have a job: another one would take an order for a job."""
        return [worker for worker in self._workers if worker.name in self.fanin.sources]

    def _living(self) -> list[WorkerProcess]:
        sources = self.fanin.sources
        return [worker for worker in self.employed if sources[worker.name].living]

    async def stop(self) -> None:
        """Ends all workers: their input first, SIGKILL for those that still run."""
        self._ending = True
        for worker in self._workers:
            worker.end_input()
        if self._workers:
            await asyncio.wait([worker.ended for worker in self._workers], timeout=EXIT_TIMEOUT)
        for worker in self._workers:
            worker.kill()
        await asyncio.gather(*self._readers, *(worker.ended for worker in self._workers))
        for worker in self._workers:
            worker.close()
        if self.rows >= 0:
            os.close(self.rows)
            self.rows = -1


def _job_of(worker: WorkerProcess) -> Job:
    assert worker.job is not None
    return worker.job
