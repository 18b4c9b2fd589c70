"""Conducts one run from the first look at the plan to the last line of the report: the shell
around `Run`."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import monotonic, time
from typing import Any, Literal

import msgspec

from coordinator.display import display_on
from coordinator.http.server import Server
from coordinator.local import LocalAgents, LocalProcesses, names_of
from coordinator.preflight import Certificate, check_embedded, check_listen, check_target
from coordinator.report.expect import Expectation
from coordinator.report.html import html_report
from coordinator.report.summary import EXIT_CODES, summary_of
from coordinator.report.text import text_report
from coordinator.run.agents import LOST_AFTER
from coordinator.run.notices import Notice
from coordinator.run.run import OnLoss, Run
from coordinator.run.timeline import Entry
from coordinator.scrape import Scrape, Scraper, Watched
from coordinator.storage.journal import Head, Journal, read_head, replay
from coordinator.storage.rundir import RunDir, read_run
from coordinator.tsung.log import TsungLog
from loadgen.errors import FleetError, OperatorError, PlanError
from loadgen.http.token import Token, exposure
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import Script
from loadgen.systemd import notify
from loadgen.values import REFERENCE_CONNECTIONS, Endpoint

TICK = 0.2
"""Seconds between two looks at the run."""
SAVE_EVERY = 5.0
"""Seconds between two versions of summary.json while the run goes on."""
FAREWELL = 2.0
"""Seconds that the port stays open at the end for agents that were not told to leave yet."""


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator asked for, besides the plan itself."""

    plan: Plan
    agents: int = 16
    local: int = 0
    with_target: bool = False
    wait: float = 60.0
    listen: Endpoint
    token_file: Path | None = None
    public_view: bool = False
    watch: tuple[Watched, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    expectations: tuple[Expectation, ...] = ()
    on_loss: OnLoss = "redistribute"
    out: Path = Path("runs")
    resume: Path | None = None
    """The directory of the run that is to be taken up, of which plan and options are."""
    tsung_log: Literal["text", "json", "none"] = "text"
    """The form of tsung.log in the run directory."""
    json: bool = False


def check_shares(plan: Plan, agents: int) -> None:
    """Raises PlanError when there are fewer connections than agents."""
    if plan.total < agents:
        raise PlanError(
            f"{plan.asked} over {agents} agents is a share that rounds to nothing;"
            f" ask for at least {agents} connections, or for fewer agents"
        )


async def conduct(settings: RunSettings) -> int:
    """Runs to the end; returns the exit code. Mistakes of the operator raise OperatorError."""
    check_shares(settings.plan, settings.agents)
    targets = [check_target(url) for url in settings.plan.urls]
    if settings.with_target:
        check_embedded(targets)
    token = Token.read(settings.token_file)
    check_listen(settings.listen, token)
    certificate = Certificate.load(settings.tls_cert, settings.tls_key)
    head = read_head(settings.resume) if settings.resume else None
    key, ahead = (head.key, head.ahead()) if head else (token_hex(4), 0.0)
    run = Run(settings.plan, settings.agents, key=key, on_loss=settings.on_loss)
    server = Server(
        run, lambda: monotonic() + ahead, token, public=settings.public_view, out=settings.out
    )
    local_processes = LocalProcesses()
    conductor = Controller(settings, run, server, local_processes, ahead)
    if settings.resume and head:
        conductor.reopen(settings.resume, head)
    listen = await server.start(settings.listen, certificate.context if certificate else None)
    try:
        if settings.resume and head:
            await conductor.go_on(settings.resume, head)
        notify("READY=1")
        with _signals(run, ahead):
            if head is None:
                conductor.begin(key, listen)
            fingerprint = certificate.fingerprint if certificate else ""
            local_agents = LocalAgents(
                settings.local, settings.plan, targets, listen, settings.token_file, fingerprint
            )
            return await conductor.conduct(local_agents)
    finally:
        await local_processes.end()
        await server.stop()


@contextmanager
def _signals(run: Run, ahead: float) -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or end of the terminal drains, the second stops, a third waits
    for nobody."""
    loop, recorded = asyncio.get_running_loop(), 0

    def hear() -> None:
        nonlocal recorded
        recorded += 1
        (run.drain if recorded == 1 else run.stop)(monotonic() + ahead)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, hear)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


class Controller:
    """Lets time pass for a run, and carries what comes of it to the files, the port and the
    terminal."""

    _folder: RunDir
    _journal: Journal

    def __init__(
        self,
        settings: RunSettings,
        run: Run,
        server: Server,
        local_processes: LocalProcesses,
        ahead: float,
    ) -> None:
        self._settings = settings
        self._run = run
        self._server = server
        self._local_processes = local_processes
        self._ahead = ahead
        """How far the clock of the run is ahead of this machine's."""
        self._early: list[tuple[str, tuple[Any, ...]]] = []
        """What was said to the run before there was a journal."""
        run.record = lambda word, arguments: self._early.append((word, arguments))
        self._display = display_on(sys.stderr if settings.json else sys.stdout)
        self._shown: tuple[str, int] = ("", 0)
        self._saved = self._now()
        self._complained: set[str] = set()
        self._buried: set[str] = set()
        self._tsung_log: TsungLog | None = None

    def begin(self, key: str, listen: Endpoint) -> None:
        """Makes the run directory of a new run, and its journal."""
        settings, started = self._settings, datetime.now(UTC)
        self._folder = RunDir.create(settings.out, settings.plan, started)
        head = Head(
            key=key,
            plan=settings.plan,
            wanted=settings.agents,
            on_loss=settings.on_loss,
            started=started,
            listen=listen,
            expectations=tuple(one.expr for one in settings.expectations),
            tsung_log=settings.tsung_log,
            local=names_of(settings.local),
        )
        self._server.seconds = self._folder.seconds.since
        self._journal = Journal.begin(self._folder.path, head)
        for word, arguments in self._early:
            self._journal.record(word, arguments)
        self._run.record = self._journal.record

    def reopen(self, path: Path, head: Head) -> None:
        """Takes the directory of a run whose coordinator died; what agents say has to wait."""
        self._run.record = None
        self._server.resuming = True
        self._journal = Journal.go_on(path)
        self._folder = RunDir.reopen(path, self._settings.plan, head.started)
        self._server.seconds = self._folder.seconds.since

    async def go_on(self, path: Path, head: Head) -> None:
        """Says to the run again whatever was said to it, and then lets the agents speak."""
        for entry in replay(path, self._run):
            self._write(entry, self._now())
            await asyncio.sleep(0)  # the agents are told meanwhile that their coordinator lives
        self._run.take_notices()  # it was told
        self._run.record = self._journal.record
        for name in head.local:
            self._run.bury(name, "it ended with its coordinator")
        self._server.resuming = False

    def _now(self) -> float:
        return monotonic() + self._ahead

    async def conduct(self, local_agents: LocalAgents) -> int:
        """Starts what is local, gathers, drives the run to its end and reports; returns the exit
        code."""
        try:
            await self._start(local_agents)
            self._display.say(
                f"agents join at {local_agents.url(local_agents.coordinator)}; {self._targets()}"
            )
            if local_agents.fingerprint:
                self._display.say(f"they trust it by --tls-fingerprint {local_agents.fingerprint}")
            watching = asyncio.create_task(self._watch().run())
            try:
                await self._drive()
            finally:
                watching.cancel()
            await self._part()
            self._journal.end()
        except OperatorError:
            self._journal.end()  # what never began is not gone on with
            raise
        finally:
            self._display.close()
            self._folder.close()
            self._journal.close()
        if self._run.failure is not None:
            raise self._run.failure
        return self._report()

    def _targets(self) -> str:
        urls = [target.url for target in self._settings.plan.servers]
        return (
            f"the target is {urls[0]}" if len(urls) == 1 else f"the targets are {', '.join(urls)}"
        )

    def _most_open(self) -> int:
        """What the embedded target has to hold; who comes back may be there before the server
        knows it has left."""
        plan = self._settings.plan
        return REFERENCE_CONNECTIONS if plan.phases or plan.sessions else plan.total

    async def _start(self, local_agents: LocalAgents) -> None:
        secrets = {"--token-file": self._settings.token_file, "--tls-key": self._settings.tls_key}
        for exposed in filter(None, map(exposure, secrets, secrets.values())):
            self._warn(exposed)
        if self._settings.with_target:
            log = self._folder.path / "agents" / "target.log"
            await self._local_processes.start_target(
                local_agents.targets[0], self._most_open(), log
            )
        await self._local_processes.start_agents(local_agents, self._folder.log_of)

    async def _drive(self) -> None:
        begun = self._now()
        while self._run.state != "done":
            now = self._now()
            self._look(now)
            self._mind_children(now)
            if self._run.state == "gathering" and (
                now - begun >= self._settings.wait or self._hopeless()
            ):
                self._run.give_up_gathering(now - begun, now)
            await asyncio.sleep(TICK)
        self._look(self._now())

    def _hopeless(self) -> bool:
        """Whether all that are awaited are local, have spoken, and not all of them will do it."""
        members = self._run.members.values()
        local = self._settings.local >= self._settings.agents == len(members)
        return (
            local
            and all(one.ready or one.refusal for one in members)
            and any(one.refusal for one in members)
        )

    def _watch(self) -> Scraper:
        return Scraper(
            self._settings.watch, lambda: monotonic() - self._run.start, self._take, self._warn
        )

    def _take(self, reading: Scrape) -> None:
        self._folder.write_reading(reading)
        self._server.live.watched(reading)

    def _look(self, now: float) -> None:
        for agent in self._server.broken():
            self._run.hang_up(agent, now)
        for entry in self._run.tick(now):
            self._write(entry, now)
            self._display.second(entry.row)
        for news in self._run.take_notices():
            self._tell(news)
            self._server.live.tell(news, now)
        self._server.look(now)
        if self._shown != (self._run.state, int(now)):
            self._show(now)

    def _write(self, entry: Entry, now: float) -> None:
        self._folder.write_entry(entry)
        self._server.add_row(entry.row)
        self._log_for_tsung(entry, now)

    def _log_for_tsung(self, entry: Entry, now: float) -> None:
        form = self._settings.tsung_log
        if form == "none":
            return
        if self._tsung_log is None:
            scripted = any(isinstance(one, Script) for one in self._settings.plan.session_specs)
            self._tsung_log = TsungLog(form, time() - (now - self._run.start), scripted=scripted)
        self._folder.write_tsung(self._tsung_log.add(entry))

    def _show(self, now: float) -> None:
        if self._shown[0] != self._run.state:
            self._folder.write_run(self._run)
        self._shown = (self._run.state, int(now))
        self._display.show(self._run, now)
        if now - self._saved >= SAVE_EVERY:
            self._saved = now
            self._folder.write_summary(self._summary(now))
        for complaint in (self._folder.complaint, self._journal.complaint):
            if complaint and complaint not in self._complained:
                self._complained.add(complaint)
                self._warn(complaint)

    def _summary(self, now: float) -> dict[str, Any]:
        return summary_of(self._run, self._settings.expectations, now)

    def _tell(self, news: Notice) -> None:
        if news.reason:
            self._folder.write_traceback(news.reason, news.text)
        elif not news.agent:
            self._warn(news.text)
        elif news.agent not in {child.name for child in self._local_processes.agents}:
            self._folder.write_note(news.agent, news.text)

    @staticmethod
    def _warn(text: str) -> None:
        print(f"loadgen-coord: {text}", file=sys.stderr, flush=True)

    def _mind_children(self, now: float) -> None:
        """A local agent that died will never speak again: there is no point in waiting for it."""
        for child in self._local_processes.agents:
            if child.gone and self._run.state == "gathering":
                self._run.fail(FleetError(f"local agent {child.name} {child.last_words()}"), now)
            elif child.gone and child.name not in self._buried:
                self._buried.add(child.name)
                self._run.bury(child.name, child.last_words())
        target = self._local_processes.target
        if target is not None and target.gone and target.name not in self._buried:
            self._buried.add(target.name)
            self._warn(f"the embedded target {target.last_words()}")

    async def _part(self) -> None:
        """Lets every agent hear that it may leave, and the local ones leave, within bounds;
        writes the last files."""
        begin = now = self._now()
        while now - begin < FAREWELL and any(
            not member.dismissed and now - member.seen < LOST_AFTER
            for member in self._run.members.values()
        ):
            await asyncio.sleep(TICK / 4)
            now = self._now()
        if self._run.failure is None and not self._run.by_hand:
            await self._local_processes.leave()
        self._folder.write_run(self._run)
        self._folder.write_summary(self._summary(now))
        if self._tsung_log is not None:
            self._folder.write_tsung(self._tsung_log.end(time()))
        if self._run.started:
            await asyncio.to_thread(self._write_report)

    def _write_report(self) -> None:
        """Writes report.html from what the run directory holds: what can be read again is what
        is shown."""
        try:
            self._folder.write_report(html_report(read_run(self._folder.path)))
        except OperatorError as error:  # a full disk has left something out
            self._warn(f"no report.html: {error}")

    def _report(self) -> int:
        summary = self._summary(self._now())
        if self._run.started:
            self._display.say(f"\n{text_report(summary, self._folder.path.name)}\n")
        else:
            self._display.say("stopped before the run started")
        self._display.say(f"run directory: {self._folder.path}")
        if self._settings.json:
            print(msgspec.json.encode(summary).decode(), flush=True)
        return EXIT_CODES[summary["verdict"]]
