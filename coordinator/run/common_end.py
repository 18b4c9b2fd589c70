"""The reason for which every connection of a run ended, as a wrong URL gives it."""

from collections.abc import Mapping
from typing import NamedTuple

from loadgen.stats.reasons import HTTP, REJECTED, Reason, row_of
from loadgen.values import APPWRITE_PATH

OF_TARGET = {f"{HTTP}404", f"{REJECTED}1008"}
"""The reasons that loadgen's own target gives for a URL that its mode does not serve."""
OTHER_MODE = (
    f" If loadgen-target is the server: its mode appwrite serves {APPWRITE_PATH} alone, and wants a"
    " project in the query; `--mode echo` serves any path."
)


class CommonEnd(NamedTuple):
    """The one reason of all connections that ended."""

    reason: str
    connections: int
    row: Reason

    @property
    def advice(self) -> str:
        """Its meaning and its fix, in one line."""
        other = OTHER_MODE if self.reason in OF_TARGET else ""
        return f"{self.row.meaning}. {self.row.fix}{other}".replace("`", "")


def common_end(
    settled: int, failed: Mapping[str, int], closed: Mapping[str, int]
) -> CommonEnd | None:
    """Returns the one unexpected reason of all settled connections, if they have one.

    `settled` is how many were launched and are not connecting any more.
    """
    ends = [(row_of("failed", reason), reason, number) for reason, number in failed.items()]
    ends += [(row_of("closed", reason), reason, number) for reason, number in closed.items()]
    for row, reason, number in ends:
        if number == settled and row.is_unexpected and row.fault in ("server", "network"):
            return CommonEnd(reason, number, row)
    return None
