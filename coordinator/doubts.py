"""The rates of a plan that its fleet may not reach, by what was calibrated."""

from pathlib import Path

from coordinator.run.calibration import Member, too_close
from coordinator.run.run import Run
from coordinator.storage.calibrations import read_calibrations
from loadgen.errors import OperatorError
from loadgen.plan.plan import Plan


def parts_of(run: Run) -> dict[str, float]:
    """Returns the part of each agent in the users of a run, by its name."""
    return {agent.name: agent.share.part for agent in run.fleet() if agent.share is not None}


def doubts(plan: Plan, out: Path, members: list[Member], parts: dict[str, float]) -> list[str]:
    """Returns a line for each rate of a plan that its fleet may not reach.

    Also one where the file of calibrations can't be read; none for a fleet that has none.
    """
    try:
        calibration = read_calibrations(out).of(members)
    except OperatorError as error:
        return [str(error)]
    return list(too_close(plan, calibration, parts)) if calibration is not None else []


def doubts_of(run: Run, out: Path) -> list[str]:
    """Returns those lines for a run that has its fleet."""
    members = [Member.of(agent.name, agent.hello.machine) for agent in run.fleet()]
    return doubts(run.plan, out, members, parts_of(run))
