"""The preparation of an agent for a run: what it gets, and why it refuses."""

import asyncio
import hashlib
from collections.abc import Callable
from http import HTTPStatus

import aiohttp
import msgspec

from loadgen.agent.errands import Errands
from loadgen.agent.names import resolve_all
from loadgen.agent.pool import WorkerPool
from loadgen.agent.session_files import SessionFiles, without_data
from loadgen.agent.settings import AgentSettings
from loadgen.agent.targets import ResolvedTarget, ways_of
from loadgen.errors import PlanError
from loadgen.http.client import CoordinatorClient
from loadgen.machine.facts import read_machine
from loadgen.machine.limits import Limit
from loadgen.plan.feeder import MAX_ROWS_BYTES
from loadgen.plan.session_file import digest
from loadgen.plan.session_tree import wrong_file
from loadgen.plan.sessions import PythonSession
from loadgen.sessions.rows import file_of
from loadgen.wire import Called, Welcome

ROWS_TIMEOUT = 120.0
"""Seconds that the rows of a feeder may take to come."""


class Preparation:
    """The preparation for one run, until the agent is ready or refuses."""

    def __init__(
        self,
        settings: AgentSettings,
        client: CoordinatorClient,
        welcome: Welcome,
        pool: WorkerPool,
        note: Callable[[str], None],
    ) -> None:
        """`note` takes a line for the logs of the agent and of the coordinator."""
        self.settings = settings
        """The settings of the agent, with those that the plan has for it."""
        self.welcome = welcome
        """The coordinator's welcome, with the plan as the workers get it."""
        self.limits: tuple[Limit, ...] = ()
        """The limits of this machine by the plan's settings for it."""
        self.targets: list[ResolvedTarget] = []
        """The URLs of the plan, resolved."""
        self.files: SessionFiles | None = None
        """The files of the plan's code in Python, once they are written."""
        self.errands: Errands | None = None
        """The plan's setup and teardown, once their files are written; None without them."""
        self.ready = False
        self.refusal = ""
        """The reason that the agent will not load the targets; empty when it will."""
        self._client = client
        self._pool = pool
        self._note = note

    @property
    def addresses(self) -> dict[str, tuple[str, ...]]:
        """The addresses of the targets as they are now, by URL."""
        return {target.url: target.addresses for target in self.targets}

    @property
    def folder(self) -> str:
        """The folder with the plan's code in Python; empty without such code."""
        return self.files.path if self.files is not None else ""

    async def run(self) -> None:
        """Resolves the targets and warms the workers, or finds why this agent refuses."""
        self.refusal = await self._resolve()
        self.limits = self.settings.limits(read_machine(), self._ways)
        self.refusal = self.refusal or self._targets_refusal() or self._sessions_refusal()
        self.refusal = self.refusal or await self._fetch_rows() or self._write_files()
        if not self.refusal:
            plan, agents = self.welcome.plan, self.welcome.agents
            share = -(-plan.total // agents)
            await self._pool.warm(self.settings.workers_for(share, read_machine()).number)
            if self.files is not None and plan.python_sessions:
                self.refusal = await self._pool.rehearse(plan.python_sessions, self.files.path)
        for line in self.refusal.splitlines():
            self._note(f"{self.welcome.name} {line}")
        self.ready = not self.refusal

    async def _resolve(self) -> str:
        """Applies the plan's settings and resolves its URLs.

        Returns why that fails, or "".
        """
        plan = self.welcome.plan
        try:
            self.settings = self.settings.with_plan(plan, self.welcome.name)
            self.targets = await asyncio.to_thread(
                resolve_all, plan.urls, self.settings.sources, plan.transport.via
            )
        except PlanError as error:
            return str(error)
        for note in dict.fromkeys(note for target in self.targets for note in target.notes):
            self._note(f"{self.welcome.name} {note}")
        return ""

    @property
    def _ways(self) -> int | None:
        """The pairs of a source and a target address; None where no target is known."""
        return ways_of(self.targets) if self.targets else None

    def _targets_refusal(self) -> str:
        refusals = (target.refusal(self.settings.allowed_targets) for target in self.targets)
        return next(filter(None, refusals), "")

    def _sessions_refusal(self) -> str:
        """Returns why this agent does not run the plan's code in Python, or ""."""
        for session in self.welcome.plan.python_code:
            if not self.settings.allow_sessions:
                return (
                    f"runs no session in Python ({session.file}): start the agent with"
                    " --allow-sessions"
                )
            wrong = session.file if digest(session.source) != session.sha256 else ""
            wrong = wrong or wrong_file(session)
            if wrong:
                return (
                    f"got {wrong} with another SHA-256 than the plan says: start the"
                    " coordinator anew"
                )
        return ""

    async def _fetch_rows(self) -> str:
        """Gets the rows of the plan's feeders, for all workers.

        Returns why that fails, or "".
        """
        tables = []
        for feeder in self.welcome.plan.feeders:
            path = f"/v1/agents/{self.welcome.id}/feeders/{feeder.name}"
            try:
                status, body = await self._client.post(path, b"", MAX_ROWS_BYTES, ROWS_TIMEOUT)
            except (aiohttp.ClientError, TimeoutError) as error:
                return f"did not get the rows of feeder {feeder.name!r}: {error!r}"
            if status != HTTPStatus.OK:
                return f"did not get the rows of feeder {feeder.name!r}: HTTP {status}"
            if hashlib.sha256(body).hexdigest() != feeder.sha256:
                return (
                    f"got the rows of feeder {feeder.name!r} with another SHA-256 than the plan"
                    " says: start the coordinator anew"
                )
            tables.append(body)
        if tables:
            self._pool.rows = await asyncio.to_thread(file_of, tables)
        return ""

    def _write_files(self) -> str:
        """Writes the files of the plan's code in Python where processes import them.

        The workers' plan is without their data, and without a setup. Returns why that fails, or "".
        """
        plan = self.welcome.plan
        if not plan.python_code:
            return ""
        try:
            self.files = SessionFiles(plan.python_code)
        except OSError as error:
            return f"can't write the files of the session: {error}; make room, or set TMPDIR"
        sessions = tuple(
            without_data(session) if isinstance(session, PythonSession) else session
            for session in plan.sessions
        )
        if plan.setup is not None:
            self.errands = Errands(plan.setup, plan.params, self.files.path, self._tell_errand)
        plan = msgspec.structs.replace(plan, sessions=sessions, setup=None)
        self.welcome = msgspec.structs.replace(self.welcome, plan=plan)
        return ""

    def _tell_errand(self, kind: str, done: Called) -> None:
        """Takes over what a setup or a teardown printed, and its traceback."""
        for note in done.notes:
            self._note(f"{kind} {note}")
        if done.traceback:
            self._pool.tracebacks[kind] = done.traceback
