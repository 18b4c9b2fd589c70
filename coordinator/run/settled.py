"""The settled seconds of a run, as they go into its timeline and its parts."""

from coordinator.run.common_end import common_end
from coordinator.run.notices import Notices
from coordinator.run.parts import Parts
from coordinator.run.progress import Progress
from coordinator.run.timeline import Entry, Timeline
from loadgen.stats.fanin import FanIn
from loadgen.stats.ledger import Ledger

PATIENCE = 3
"""Seconds that a second waits for reports before it settles without them."""
ROUNDING = 0.001
"""Seconds by which the begin of a phase may be computed too late."""


class SettledSeconds:
    """The seconds of one run that are complete, or have waited long enough."""

    def __init__(
        self, fanin: FanIn, timeline: Timeline, parts: Parts, progress: Progress, notices: Notices
    ) -> None:
        self._fanin = fanin
        self._timeline = timeline
        self._parts = parts
        self._progress = progress
        self._notices = notices
        self._judged_ends = False
        """True once the first ends were looked at."""

    def take(self, over: int, drained_at: float) -> list[Entry]:
        """Returns the seconds that have settled since, in order.

        `over` is the newest second that is over; the drain began at the age `drained_at`, in
        seconds from the start of the run.

        Subtle: a correction is handed out together with later seconds. It goes first, by its
        number, since the totals of those later seconds include it.
        """
        settled = sorted(self._fanin.settle(over), key=lambda settled: settled.second.number)
        entries = [self._timeline.add(second) for second in settled]
        for entry in entries:
            self._add_to_parts(entry, drained_at)
        if entries and not self._judged_ends:
            self._judge_ends(Ledger.of(None, self._fanin.counts))
        return entries

    def _add_to_parts(self, entry: Entry, drained_at: float) -> None:
        """Adds a second to its parts.

        That is the phase in which it begins; the drain begins with the second in which it was
        ordered.
        """
        number = entry.row.second
        phase = self._progress.phase(number + ROUNDING)
        self._parts.add(entry, phase, draining=number + 1 > drained_at)

    def _judge_ends(self, ledger: Ledger) -> None:
        """Warns once when the first connections all end for one reason.

        Mostly that is a wrong URL.
        """
        ended = ledger.launched - ledger.connecting
        self._judged_ends = ended > 0
        found = common_end(ended, ledger.failed, ledger.closed) if ended else None
        if found is not None:
            self._notices.warn(
                f"all {ended:,} connections so far ended as {found.reason}: {found.advice}"
            )
