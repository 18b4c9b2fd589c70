"""The setup and the teardown of a run: the agent that calls them, the results.

One agent has the errand at a time. When it is lost, another one begins anew: so each function is
called at least once, and what it does must bear a second time. `now` is in seconds on the clock of
the run.
"""

from collections.abc import Sequence
from math import inf
from typing import Literal

import msgspec

from coordinator.text import one_line
from loadgen.plan.setup import MAX_DATA, SetupSpec
from loadgen.wire import Errand, ErrandResult

ANSWER_TIME = 30.0
"""Seconds beyond its timeout that an agent has to say what came of a function."""
MAX_PROBLEM = 500
"""Characters of a problem that are kept."""

Stage = Literal["setup", "load", "teardown", "over"]
"""The stage of a run: `over` when nothing is left to be called."""


class RunSetup:
    """The setup and the teardown of one run."""

    def __init__(self, spec: SetupSpec | None) -> None:
        self.stage: Stage = "over" if spec is None else "setup"
        self.data = b""
        """The result of setup, as JSON; empty while that is unknown."""
        self.problem = ""
        """Why setup failed; empty when it did not."""
        self.teardown_problem = ""
        """Why teardown failed, or was not called; empty when it did not fail."""
        self.agent = ""
        """The id of the agent that has the errand, or had the last one."""
        self._spec = spec
        self._errand: Errand | None = None
        self._given = 0
        """The number of errands so far."""
        self._until = inf
        """When the agent has taken too long."""

    @property
    def under_way(self) -> bool:
        """True while an agent has the errand."""
        return self._errand is not None

    @property
    def to_come(self) -> bool:
        """True while a teardown may be called when the load is over."""
        spec = self._spec
        return spec is not None and bool(spec.teardown) and self.stage in ("load", "teardown")

    def errand_of(self, agent: str) -> Errand | None:
        """Returns what an agent has to call now."""
        return self._errand if agent == self.agent else None

    def give(self, agents: Sequence[str], now: float) -> bool:
        """Gives the errand to one of the agents; returns True when it is new to that one.

        `agents` are the ids of those that can be reached. An agent that took too long has failed.
        """
        if self.stage not in ("setup", "teardown"):
            return False
        if self._errand is not None and now > self._until:
            self._fail(f"the agent did not say what came of it within {ANSWER_TIME:.0f} s")
            return False
        if self._errand is not None and self.agent in agents:
            return False
        if not agents:
            self._errand = None
            if self.stage == "teardown":
                self._fail("no agent is left that could call it")
            return False
        assert self._spec is not None
        self._given += 1
        # The agent that has set up may know best what to take down.
        self.agent = self.agent if self.agent in agents else agents[0]
        self._errand = Errand(self._given, self.stage, self.data)
        self._until = now + self._spec.timeout + ANSWER_TIME
        return True

    def take(self, agent: str, result: ErrandResult) -> bool:
        """Takes the result of an errand; returns False for an errand that is over."""
        errand = self.errand_of(agent)
        if errand is None or errand.number != result.number:
            return False
        problem = result.problem
        if not problem and self.stage == "setup":
            problem = _wrong(result.data)
        if problem:
            self._fail(problem)
        elif self.stage == "setup":
            self._errand = None
            self.data = result.data
            self.stage = "load"
        else:
            self._end()
        return True

    def begin_teardown(self) -> bool:
        """Begins the teardown; returns False when none has to be called."""
        self.stage = "teardown" if self.to_come else "over"
        if self.stage == "over":
            self._end()
        return self.stage == "teardown"

    def skip(self) -> None:
        """Gives up the teardown: the operator does not wait for it."""
        self._fail("the operator did not wait for it")

    def _fail(self, problem: str) -> None:
        problem = one_line(problem, MAX_PROBLEM)
        if self.stage == "setup":
            self.problem = problem
        else:
            self.teardown_problem = problem
        self._end()

    def _end(self) -> None:
        self._errand = None
        self.stage = "over"


def _wrong(data: bytes) -> str:
    """Returns why this can't be given to users, or ""."""
    if len(data) > MAX_DATA:
        return f"the agent sent {len(data):,} bytes, and {MAX_DATA:,} may be given to users"
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return f"the agent sent what is no JSON: {error}"
    return ""
