"""The wishes of the operator while a run goes on, as changes of its plan."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from coordinator.run.agents import Agents
from coordinator.run.notices import Notices
from coordinator.run.progress import STEERED_IN, Asked, Progress
from coordinator.run.shares import ShareTable
from loadgen.errors import OperatorError
from loadgen.plan.phases import Positive
from loadgen.plan.plan import Plan
from loadgen.plan.schedule import Arriving
from loadgen.plan.schema import hint
from loadgen.plan.sessions import Loop
from loadgen.plan.steer import MAX_CHANGES, PlanChange, SteeredSchedule, Users

MAX_NAME = 1000
"""Characters of the name of a phase that a request may have."""
STAY = 600.0
"""Seconds of a session from which on its connection keeps its place."""
TURNOVER = 1000
"""Users that may have one place after another, where sessions are shorter or of unknown length:
more must be a typing error."""
PhaseName = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]


class Wish(msgspec.Struct, frozen=True):
    """One of a rate, a number of users, and a phase, as the operator asks for it."""

    rate: Positive | None = None
    """Arrivals per second of the phase that runs."""
    max: Users | None = None
    """The users that arrive in all."""
    phase: PhaseName | None = None
    """The name of a phase that is to begin; empty: the next one."""


class WishError(OperatorError):
    """A wish that can't be fulfilled; the text says why, and what can be asked."""


class AskedChange(msgspec.Struct):
    """A change of the plan that the operator asked for."""

    what: str
    """For people: `rate 500/s`."""
    second: float | None
    """Seconds from the start of the run to the time that it holds from; None while arrivals are
    paused: it holds once they go on."""
    planned: int
    """The connections that the plan asks for from then on."""
    change: PlanChange

    def __str__(self) -> str:
        since = "once arrivals go on" if self.second is None else f"from second {self.second:.0f}"
        return f"{self.what} {since}, {self.planned:,} planned"


class Room(msgspec.Struct, frozen=True):
    """The agents' room for more users than the plan has."""

    most: int
    """The most users in all that they hold."""
    gone: str = ""
    """The name of an agent that is lost or has finished: its part of further users has no owner."""


def change_of(
    wish: Wish, plan: Plan, schedule: SteeredSchedule, at: float, room: Room
) -> PlanChange:
    """Returns the change that fulfils a wish from a time on.

    `schedule` is the plan's, as it was changed so far; `at` is in seconds of the plan's own time.
    Raises WishError where it can't be fulfilled.
    """
    if schedule.gates > 1:
        raise WishError(
            "a phase of this plan waits until all sessions are over (`wait`): its rate, max and"
            " phase can't be changed; pause, resume or drain the run"
        )
    if any(phase.sessions for phase in plan.phases):
        raise WishError(
            "phases of this plan have `sessions` of their own: its rate, max and phase can't be"
            " changed; pause, resume or drain the run"
        )
    first = schedule.next_after(at)
    if wish.rate is not None:
        _check_rate(plan, schedule, at, first)
        change = PlanChange(at, first, rate=wish.rate)
    elif wish.max is not None:
        if plan.phases:
            raise WishError(
                "the phases of this plan say how many arrive; change the rate of the one that runs,"
                " or go on to a later one"
            )
        change = PlanChange(at, first, max=wish.max)
    else:
        change = PlanChange(at, first, phase=_phase_of(wish.phase or "", plan, schedule, at))
    _check_total(change, plan, schedule, room)
    return change


def wording(change: PlanChange, names: Sequence[str]) -> str:
    """Returns what a change asks for, given the names of the phases."""
    if change.rate is not None:
        return f"rate {change.rate:,.12g}/s"
    if change.max is not None:
        return f"max {change.max:,}"
    return f"phase {names[change.phase or 0]}"


def check_count(changes: Sequence[PlanChange]) -> None:
    """Raises WishError when a run has had as many changes as it may have."""
    if len(changes) >= MAX_CHANGES:
        raise WishError(f"a run takes {MAX_CHANGES:,} changes, and this one has had them")


class Steering:
    """The changes that the operator asks for while one run goes on.

    An age is in seconds from the start of the run.
    """

    fixed = ""
    """The reason that the plan can't be changed while it runs, if there is one."""

    def __init__(
        self,
        plan: Plan,
        progress: Progress,
        share_table: ShareTable,
        agents: Agents,
        notices: Notices,
    ) -> None:
        self._plan = plan
        self._progress = progress
        self._share_table = share_table
        self._agents = agents
        self._notices = notices

    def check(self, wish: Wish, age: float | None) -> None:
        """Raises WishError when a wish can't be fulfilled.

        Without an age the run does not run, and nothing is changed.
        """
        if self.fixed:
            raise WishError(f"{self.fixed}; pause, resume or drain the run")
        check_count(self._progress.changes)
        if age is not None:
            self._change_for(wish, age)

    def _change_for(self, wish: Wish, age: float) -> PlanChange:
        gone = (agent.name for agent in self._agents.with_share() if not agent.active)
        at = max(0.0, self._progress.pauses.paced(age)) + STEERED_IN
        room = Room(self._share_table.most, next(gone, ""))
        return change_of(wish, self._plan, self._progress.schedule, at, room)

    def change(self, wish: Wish, age: float, call: int) -> None:
        """Changes the plan, from a moment on in which all agents know.

        `call` is the number of the recorded call that asks for it. Raises WishError when that can't
        be.
        """
        change = self._change_for(wish, age)
        self._share_table.replan(self._progress.schedule.steered(change).total)
        self._share_table.rate = change.rate or self._share_table.rate
        self._progress.steer(Asked(change, self._share_table.planned, call))
        self._notices.warn(f"the operator asked for {self.asked()[-1]}")

    def asked(self) -> list[AskedChange]:
        """Returns the changes of the plan that the operator asked for, in their order."""
        names = self._plan.phase_names
        return [
            AskedChange(
                wording(one.change, names),
                self._progress.age_at(one.change.at),
                one.planned,
                one.change,
            )
            for one in self._progress.asked
        ]


def _check_rate(plan: Plan, schedule: SteeredSchedule, at: float, first: int) -> None:
    if not plan.phases and first >= schedule.total:
        raise WishError(
            f"all {schedule.total:,} connections have arrived, or will until then; raise max first"
        )
    if plan.phases and at >= schedule.end():
        raise WishError("the last phase is over; nothing arrives any more")


def _phase_of(name: str, plan: Plan, schedule: SteeredSchedule, at: float) -> int:
    """Returns the place of the phase that is to begin."""
    if not plan.phases:
        raise WishError("this plan has no phases; change its rate or max")
    running = schedule.piece_at(at).place
    names = plan.phase_names
    to_come = names[running + 1 :]
    if not to_come:
        raise WishError(f"{names[running]!r} is the last phase; drain the run to end it")
    if not name:
        return running + 1
    if name in to_come:
        return running + 1 + to_come.index(name)
    if name in names:
        raise WishError(f"phase {name!r} runs or is over; to come: {', '.join(map(repr, to_come))}")
    raise WishError(f"this plan has no phase {name[:80]!r}{hint(name, to_come)}")


def _stay(plan: Plan) -> bool:
    """True when the connections of a plan are there to stay."""
    return all(
        isinstance(spec, Loop) and spec.loops * spec.think >= STAY for spec in plan.session_specs
    )


def _check_total(change: PlanChange, plan: Plan, schedule: SteeredSchedule, room: Room) -> None:
    """Raises WishError where a change brings more users than the agents hold."""
    after: Arriving = schedule.steered(change)
    total = after.arrivals[-1].stop
    if total <= schedule.total:
        return
    if room.gone:
        raise WishError(
            f"no more than {schedule.total:,} connections can arrive: agent {room.gone} is lost or"
            " has finished, and its part of further ones has no owner"
        )
    if total > room.most * (1 if _stay(plan) else TURNOVER):
        raise WishError(
            f"{wording(change, plan.phase_names)} brings {total:,} connections, the agents hold"
            f" {room.most:,} at a time; ask for less, or start them with more --max-connections"
        )
    for feeder in plan.feeders:
        if feeder.mode == "unique" and feeder.at_end == "fail" and total > feeder.count:
            raise WishError(
                f"{wording(change, plan.phase_names)} brings {total:,} connections, feeder"
                f" {feeder.name!r} has {feeder.count:,} rows; ask for less, or set its `at_end`"
            )
