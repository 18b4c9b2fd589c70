"""Drives one run: passes it the time, and carries out what follows.

That goes to the run directory, the port and the terminal.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import time

import msgspec

from coordinator.calibrate import Calibrator
from coordinator.clock import Clock
from coordinator.disk_watch import DiskWatch
from coordinator.display import display_on
from coordinator.doubts import doubts_of
from coordinator.http.server import Server
from coordinator.influx.exporter import finish
from coordinator.local import LocalAgents, LocalProcesses, local_names
from coordinator.outlets import SecondOutlets
from coordinator.preflight import ignored_proxy
from coordinator.publishing import publisher_of
from coordinator.report.abort import AbortWatch
from coordinator.report.html import html_report
from coordinator.report.summary import EXIT_CODES, summary_of
from coordinator.report.text import outcome, text_report
from coordinator.run.agents import LOST_AFTER, STALL
from coordinator.run.calibration import table
from coordinator.run.notices import Notice
from coordinator.run.row import Row
from coordinator.run.run import Run
from coordinator.run.summary import Summary
from coordinator.scrape import Scrape
from coordinator.scraper import Scraper
from coordinator.settings import RunSettings
from coordinator.storage.disk import Disk
from coordinator.storage.journal import Head, Journal, read_snapshot, replay
from coordinator.storage.reader import read_run
from coordinator.storage.snapshot import freeze
from coordinator.storage.writer import RunDir
from coordinator.text import one_line
from loadgen.errors import FleetError, OperatorError
from loadgen.forkserver import ForkServer
from loadgen.http.token import exposure
from loadgen.machine.clock import clock_name
from loadgen.stats.delivery import PublisherClock
from loadgen.values import Endpoint

TICK = 0.2
"""Seconds between two ticks of the run."""
SAVE_EVERY = 5.0
"""Seconds between two versions of summary.json while the run goes on."""
SHOWN_AGAIN = 900
"""Seconds before a snapshot that the page of a resumed run shows."""
LAST_ORDERS_TIMEOUT = 2.0
"""Seconds that the port stays open at the end for agents that were not ordered to stop yet."""
LAST_FILES_TIMEOUT = 60.0
"""Seconds that the last files of a run wait for a disk that stands still."""


class Controller:
    """The shell around one `Run`: clock, files, port and processes."""

    def __init__(
        self,
        settings: RunSettings,
        clock: Clock,
        run: Run,
        server: Server,
        folder: RunDir,
        journal: Journal,
        disk: Disk,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._run = run
        self._server = server
        self._folder = folder
        self._journal = journal
        self._disk = disk
        self.local_processes = LocalProcesses()
        self._display = display_on(sys.stderr if settings.json else sys.stdout)
        self._shown: tuple[str, int] = ("", 0)
        """The state and the second that the display shows."""
        self._saved = clock.now()
        """The time of the last version of summary.json, on the clock of the run."""
        self._ended: set[str] = set()
        """The names of the local processes that were found to have ended."""
        self._abort_watch = AbortWatch(settings.abort_on)
        self._wall = time() - clock.now()
        """The wall clock when the clock of the run shows 0, in seconds since 1970."""
        self._calibrator = (
            Calibrator(
                settings.plan.urls[0], settings.out, lambda: run.phase(clock.now()), self._warn
            )
            if settings.calibrate
            else None
        )
        self._outlets = SecondOutlets(
            settings, run, folder, server, self._calibrator, journal.head.wall_time, self._warn
        )
        self._disk_watch = DiskWatch(disk, folder, journal, run.notices, self._warn)
        if settings.calibrate:
            run.timeline.takes_turns = False
            run.steering.fixed = "a calibration keeps to its own plan"
        server.seconds = folder.seconds.since
        server.agents.recorded = journal.written
        server.live.folder = folder.path.name
        run.clock = {clock_name(): PublisherClock(clock.at(0.0))}

    @classmethod
    def new(
        cls, settings: RunSettings, clock: Clock, run: Run, server: Server, listen: Endpoint
    ) -> "Controller":
        """Returns the controller of a new run, with its run directory and its journal.

        Raises OperatorError when they can't be written.
        """
        started, disk = datetime.now(UTC), Disk()
        folder = RunDir.create(settings.out, settings.plan, started, disk)
        head = Head(
            key=run.key,
            plan=settings.plan.kept,
            wanted=settings.agents,
            on_loss=settings.on_loss,
            started=started,
            listen=listen,
            tsung_log=settings.tsung_log,
            local=local_names(settings.local),
        )
        journal = Journal.begin(folder.path, head, disk)
        controller = cls(settings, clock, run, server, folder, journal, disk)
        controller._record()
        return controller

    @classmethod
    async def resumed(
        cls, settings: RunSettings, clock: Clock, run: Run, server: Server, journal: Journal
    ) -> "Controller":
        """Returns the controller of a run whose coordinator died.

        It has replayed the run's journal on `run`, and written the seconds anew. Raises
        OperatorError when its run directory can't be written.
        """
        disk = journal.disk
        snapshot = read_snapshot(journal.folder)
        outlets = None
        if snapshot is not None:
            outlets = snapshot.restore(run)
            journal.go_on(run.calls)
        mark = (snapshot.sizes, snapshot.places) if snapshot is not None else ({}, {})
        folder = RunDir.reopen(journal.folder, settings.plan, journal.head.started, disk, mark)
        controller = cls(settings, clock, run, server, folder, journal, disk)
        if outlets is not None:
            controller._outlets.go_on(outlets)
            await controller._show_again()
        for entry in replay(journal.folder, run):
            controller._outlets.write(entry)
            # The port answers meanwhile: agents learn that their coordinator lives.
            await asyncio.sleep(0)
        run.notices.take()  # the coordinator that died has shown them
        controller._record()
        for name in journal.head.local:
            run.lose_agent(name, "it ended with its coordinator")
        return controller

    async def _show_again(self) -> None:
        """Shows the newest seconds before a snapshot on the page again."""
        newest = max(self._folder.seconds.places, default=0)
        for line in self._folder.seconds.since(newest - SHOWN_AGAIN + 1):
            self._outlets.show_again(msgspec.json.decode(line, type=Row))
            await asyncio.sleep(0)

    def _record(self) -> None:
        """Records the calls to the run from now on, in the thread of the disk."""
        self._run.record = self._journal.record
        self._run.kept = lambda: self._journal.kept
        self._disk.start()

    async def run_to_end(self, local_agents: LocalAgents, fork_server: ForkServer) -> int:
        """Starts the local processes, drives the run to its end, and reports.

        Returns the exit code; raises OperatorError when the run could not start.
        """
        try:
            await self._start(local_agents, fork_server)
            self._announce(local_agents)
            beside = [asyncio.create_task(self._scraper().run())]
            publisher = publisher_of(self._settings, self._run, self._clock, self._warn)
            if publisher is not None:
                beside.append(asyncio.create_task(publisher.run()))
            if self._calibrator is not None:
                beside.append(asyncio.create_task(self._calibrator.publish()))
            exporting = [
                asyncio.create_task(exporter.run()) for exporter in self._outlets.exporters
            ]
            try:
                await self._drive(beside)
                _cancel(beside)
                await self._wait_for_agents()
            finally:
                _cancel(beside)
                await finish(self._outlets.exporters, exporting)
            await self._write_last_files()
        except OperatorError:
            self._journal.end()  # a run that never began can't be resumed
            raise
        finally:
            self._display.close()
            self._folder.close()
            self._journal.close()
            # What stands still has had its time when the last files were written.
            still = self._disk_watch.stands_still
            if await self._disk.done(0.0 if still else LAST_FILES_TIMEOUT):
                self._disk.stop()
            else:
                self._warn(
                    f"the disk of {self._folder.path} still stands still: the run directory is not"
                    " complete"
                )
        if self._run.ending.failure is not None:
            raise self._run.ending.failure
        return self._report()

    async def _start(self, local_agents: LocalAgents, fork_server: ForkServer) -> None:
        secrets = {
            "--token-file": self._settings.token_file,
            "--tls-key": self._settings.tls_key,
            **self._target_key(),
        }
        for exposed in filter(None, map(exposure, secrets, secrets.values())):
            self._warn(exposed)
        ignored = ignored_proxy(self._settings.plan, os.environ)
        if ignored:
            self._warn(ignored)
        for host in filter(None, [*local_agents.targets, local_agents.proxy]):
            if host.unresolved:
                self._run.notices.warn(host.unresolved)
        if self._settings.plan.insecure:
            self._run.notices.warn(
                "INSECURE: the certificates of the servers are not verified (--insecure, or"
                " tls_verify = false): any server may answer at their URLs"
            )
        if self._settings.with_target:
            log = self._folder.path / "agents" / "target.log"
            await self.local_processes.start_target(
                self._settings.with_target, local_agents.targets[0], self._target_limit(), log
            )
        if self._calibrator is not None:
            await self._calibrator.check_target()
        await self.local_processes.start_agents(local_agents, fork_server, self._folder.log_of)

    def _target_key(self) -> dict[str, Path]:
        """Returns the file with the clients' keys, by its option; none for a folder."""
        transport = self._settings.plan.transport
        files = {"--target-cert": transport.tls_cert}
        if transport.tls_key:
            files = {"--target-key": transport.tls_key}
        return {option: Path(path) for option, path in files.items() if Path(path).is_file()}

    def _target_limit(self) -> int | None:
        """Returns how many connections the embedded target has to hold.

        None: that is unknown. With phases or sessions users come back, perhaps before the target
        knows that they left.
        """
        plan = self._settings.plan
        return None if plan.phases or plan.sessions else plan.total

    def _announce(self, local_agents: LocalAgents) -> None:
        urls = [self._run.shown_urls[target.url] for target in self._run.plan.servers]
        targets = f"target is {urls[0]}" if len(urls) == 1 else f"targets are {', '.join(urls)}"
        coordinator = local_agents.url(local_agents.coordinator)
        self._display.say(f"agents join at {coordinator}; the {targets}")
        if local_agents.fingerprint:
            self._display.say(f"they trust it by --tls-fingerprint {local_agents.fingerprint}")

    def _scraper(self) -> Scraper:
        return Scraper(
            self._settings.watch,
            lambda: self._clock.now() - self._run.start,
            self._take_scrape,
            self._warn,
        )

    def _take_scrape(self, scrape: Scrape) -> None:
        self._folder.write_scrape(scrape)
        self._server.live.add_scrape(scrape)

    # While the run goes on.

    async def _drive(self, beside: Sequence[asyncio.Task[None]]) -> None:
        """Drives the run to its end; raises what ends one of the tasks beside it."""
        begin = last = self._clock.now()
        while self._run.state != "done":
            for task in beside:
                if task.done():
                    task.result()
            now = self._clock.now()
            if now - last > STALL:  # it stood still, and nobody could join
                begin += now - last
            if self._run.setup.under_way:  # the agents have gathered
                begin = now
            last = now
            self._tick(now)
            self._check_local_processes(now)
            if self._run.state == "gathering" and (
                now - begin >= self._settings.wait or self._can_not_gather()
            ):
                self._run.fail_gathering(now - begin, now)
            await asyncio.sleep(TICK)
        self._tick(self._clock.now())

    def _can_not_gather(self) -> bool:
        """True when all awaited agents are local and have answered, and some refuse."""
        agents = self._run.agents.by_id.values()
        return (
            self._settings.local >= self._settings.agents == len(agents)
            and all(agent.ready or agent.refusal for agent in agents)
            and any(agent.refusal for agent in agents)
        )

    def _tick(self, now: float) -> None:
        for agent in self._server.agents.take_disconnected():
            self._run.connection_broke(agent, now)
        self._check_wall_clock(now)
        entries = self._run.tick(now)
        for entry in entries:
            self._outlets.write(entry)
            self._display.second(entry.row)
        if entries and self._abort_watch:
            self._watch_for_abort(entries[-1].row.second, now)
        for line in self._run.settle_publications():
            self._folder.write_publication(line)
        for notice in self._run.notices.take():
            self._write_notice(notice)
            self._server.live.add_notice(notice, now)
        self._server.update(now)
        if self._journal.is_long and not self._folder.complaint:
            self._compact()
        if self._shown != (self._run.state, int(now)):
            self._show(now)
        elif self._display.outdated:
            self._display.show(self._run, now)

    def _compact(self) -> None:
        """Has the journal begin with the present state of the run."""
        try:
            state = freeze(self._run, self._outlets.state)
        except Exception as error:  # whatever an object raises that no pickle takes: a bug, and
            # no reason to end a run
            self._journal.grows = True
            self._warn(f"the journal is not compacted: {one_line(repr(error), 200)}")
            return
        self._journal.compact(state, self._folder.mark)

    def _watch_for_abort(self, second: int, now: float) -> None:
        """Ends the run if a condition has held for its time, at the end of a second."""
        if self._run.state == "running":
            summary = summary_of(self._run, (), now, parts=self._abort_watch.parts)
            why = self._abort_watch.take(second, summary)
            if why:
                self._run.abort(why, now)

    def _check_wall_clock(self, now: float) -> None:
        """Reports a wall clock that was set; second 0 stays where it was."""
        moved = time() - now - self._wall
        if self._run.notices.check_wall("this machine", moved):
            self._wall += moved

    def _write_notice(self, notice: Notice) -> None:
        """Writes a notice where it belongs.

        Local agents write their notes to their log already.
        """
        if notice.reason:
            self._folder.write_sample(notice.reason, notice.text)
        elif not notice.agent:
            self._warn(notice.text)
        elif notice.agent not in {child.name for child in self.local_processes.agents}:
            self._folder.write_note(notice.agent, notice.text)

    def _show(self, now: float) -> None:
        if self._shown[0] != self._run.state:
            self._folder.write_run(self._run)
            if self._run.state == "running" and self._calibrator is None:
                for doubt in doubts_of(self._run, self._settings.out):
                    self._run.notices.warn(doubt)
        self._shown = (self._run.state, int(now))
        self._display.show(self._run, now)
        if now - self._saved >= SAVE_EVERY:
            self._saved = now
            self._folder.write_summary(self._summary(now))
        self._disk_watch.look()
        self._disk_watch.complain()

    def _summary(self, now: float) -> Summary:
        exports = self._outlets.export_summaries()
        return summary_of(self._run, self._settings.expectations, now, exports)

    @staticmethod
    def _warn(text: str) -> None:
        print(f"loadgen-coord: {text}", file=sys.stderr, flush=True)

    def _check_local_processes(self, now: float) -> None:
        """Takes note of local processes that have ended: a dead agent can't come back."""
        for child in self.local_processes.agents:
            if child.ended and self._run.state == "gathering":
                self._run.fail(FleetError(f"local agent {child.name} {child.describe_end()}"), now)
            elif child.ended and child.name not in self._ended:
                self._ended.add(child.name)
                self._run.lose_agent(child.name, child.describe_end())
        target = self.local_processes.target
        if target is not None and target.ended and target.name not in self._ended:
            self._ended.add(target.name)
            self._warn(f"the embedded target {target.describe_end()}")

    # When it is over.

    async def _wait_for_agents(self) -> None:
        """Waits until all agents have their order to stop and the local ones have ended.

        Both waits are bounded.
        """
        begin = now = self._clock.now()
        while now - begin < LAST_ORDERS_TIMEOUT and any(
            not agent.stop_ordered and now - agent.seen < LOST_AFTER
            for agent in self._run.agents.by_id.values()
        ):
            await asyncio.sleep(TICK / 4)
            now = self._clock.now()
        if self._run.ending.failure is None and not self._run.ending.by_hand:
            await self.local_processes.wait_for_agents()

    async def _write_last_files(self) -> None:
        self._folder.write_run(self._run)
        summary = self._summary(self._clock.now())
        self._folder.write_summary(summary)
        if self._run.started:
            self._server.live.outcome = outcome(summary)
            self._server.update(self._clock.now())
        self._outlets.end(time())
        complete = await self._disk.done(LAST_FILES_TIMEOUT)
        if self._run.started and complete:
            await asyncio.to_thread(self._write_report)
            complete = await self._disk.done(LAST_FILES_TIMEOUT)
        if complete:
            self._journal.end()
        self._disk_watch.complain_of_gaps()
        self._disk_watch.complain()

    def _write_report(self) -> None:
        """Writes report.html from the files of the run directory.

        What it shows can then be shown again by loadgen-report.
        """
        try:
            self._folder.write_report(html_report(read_run(self._folder.path)))
        except Exception as error:  # a full disk has kept a file from being written; or agents have
            # said what no report foresees: that changes no verdict and no exit code
            kind = "" if isinstance(error, OperatorError) else f"{type(error).__name__}: "
            self._warn(f"no report.html: {one_line(f'{kind}{error}')}")

    def _report(self) -> int:
        summary = self._summary(self._clock.now())
        if self._calibrator is not None and EXIT_CODES[summary.verdict] == 0:
            return self._report_calibration(self._calibrator)
        if self._run.started:
            self._display.say(f"\n{text_report(summary, self._folder.path.name)}\n")
        else:
            self._display.say("stopped before the run started")
        self._display.say(f"run directory: {self._folder.path}")
        if self._calibrator is not None:
            self._display.say("not calibrated: the run did not come to its end")
        if self._settings.json:
            print(summary.to_json().decode(), flush=True)
        return EXIT_CODES[summary.verdict]

    def _report_calibration(self, calibrator: Calibrator) -> int:
        calibration, workers, file = calibrator.keep(self._run)
        self._display.say(f"\n{table(calibration, workers)}\n")
        self._display.say(f"run directory: {self._folder.path}\ncalibration kept in {file}")
        if self._settings.json:
            print(msgspec.json.encode(calibration).decode(), flush=True)
        return 0


def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
