"""Sessions that connect and then say nothing: the built-in silent loop, which costs a tenth of a script."""

from collections.abc import Sequence

from loadgen.behaviour import Loop, Script
from loadgen.script import Close, Connect, For, Step, Think

SHORTEST = 1.0
"""Think times shorter than this would add up what the wheel's ticks round them by."""


def simplified(script: Script) -> Loop | Script:
    """The silent loop where the script is exactly that: a connect to the target as it is, then fixed think times."""
    steps = script.steps[:-1] if script.steps and script.steps[-1] == Close() else script.steps
    if not steps or steps[0] != Connect():
        return script
    rest = steps[1:]
    seconds, loops = quiet(rest), 1
    if len(rest) == 1 and isinstance(rest[0], For) and (turn := quiet(rest[0].steps)) and turn >= SHORTEST:
        seconds, loops = turn, turns_of(rest[0]) or 0
    if seconds is None or not (seconds and loops):
        return script
    return Loop(
        name=script.name, weight=script.weight, read_rate=script.read_rate, ping="none", think=seconds, loops=loops
    )


def quiet(steps: Sequence[Step]) -> float | None:
    """The seconds that steps take which only wait; None when they do more, or nobody knows how long."""
    total = 0.0
    for step in steps:
        if isinstance(step, Think) and isinstance(step.seconds, float) and not step.random and step.upto is None:
            total += step.seconds
        elif isinstance(step, For) and (turns := turns_of(step)) and (turn := quiet(step.steps)) is not None:
            total += turns * turn
        else:
            return None
    return total


def turns_of(loop: For) -> int | None:
    """How often a `for` does its steps, at least once; None when that depends on variables, or never ends."""
    if isinstance(loop.first, str) or isinstance(loop.last, str):
        return None
    if loop.first >= loop.last:
        return 1
    return 1 - (loop.first - loop.last) // loop.step if loop.step > 0 else None
