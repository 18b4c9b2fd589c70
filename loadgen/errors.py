"""The errors that an operator can fix, all of one root.

OperatorError           exit 2
+-- PlanError           the plan can't be run as it stands
+-- FleetError          exit 3: the agents did not join, or were lost
"""

from collections.abc import Iterable


class OperatorError(Exception):
    """An error that a person can fix.

    Its text is one line: what is wrong, where, and the fix. It may quote files and other machines:
    line breaks and control characters become blanks.
    """

    exit_code = 2

    def __init__(self, text: str = "", further: Iterable[str] = ()) -> None:
        """`further` has the texts of other errors that were found at once."""
        super().__init__(_one_line(text))
        self.further = tuple(map(_one_line, further))
        """They are lines of their own."""


def _one_line(text: str) -> str:
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(printable.split())


class PlanError(OperatorError, ValueError):
    """A plan that can't be run.

    It is a ValueError so that a decoder adds the place in the plan.
    """


class FleetError(OperatorError):
    """A fleet that did not gather in time, or lost all its agents."""

    exit_code = 3
