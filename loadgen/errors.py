"""The errors that an operator can fix, under one root.

OperatorError           exit 2
+-- PlanError           the plan can't be run as it stands
+-- FleetError          exit 3: the agents did not join, or were lost
"""


class OperatorError(Exception):
    """An error that a person can fix; its text is one line: what is wrong, where, and the fix.

    Line breaks and control characters become blanks, since it may quote files and other machines.
    """

    exit_code = 2

    def __init__(self, text: str = "") -> None:
        printable = "".join(sign if sign.isprintable() else " " for sign in text)
        super().__init__(" ".join(printable.split()))


class PlanError(OperatorError, ValueError):
    """A plan can't be run; a ValueError, so that msgspec adds the place while it decodes."""


class FleetError(OperatorError):
    """The agents did not join in time, or all of them are lost."""

    exit_code = 3
