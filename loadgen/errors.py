"""What an operator can mend: one root, one line each.

OperatorError           exit 2
+-- PlanError           the plan can't be run as it stands
+-- FleetError          exit 3: the fleet did not gather, or was lost
"""


class OperatorError(Exception):
    """A mistake or a condition that a person can mend; its text is one line: what is wrong, where,
    and the mend.

    What it quotes comes from files and from other machines: line breaks and control characters
    become blanks.
    """

    exit_code = 2

    def __init__(self, text: str = "") -> None:
        printable = "".join(sign if sign.isprintable() else " " for sign in text)
        super().__init__(" ".join(printable.split()))


class PlanError(OperatorError, ValueError):
    """A plan that can't be run; as a ValueError, so that whoever decodes one adds where in it."""


class FleetError(OperatorError):
    """A fleet that did not gather in time, or of which nothing is left."""

    exit_code = 3
