"""The one clock of a run."""

from time import monotonic


class Clock:
    """The clock of a run: the monotonic clock plus an offset.

    A run that is resumed after a reboot goes on with the times of its journal. They were read from
    a monotonic clock that ended with the machine, so the offset is what the new one lacks.
    """

    def __init__(self, offset: float = 0.0) -> None:
        self._offset = offset
        """Seconds."""

    def at(self, seconds: float) -> float:
        """Returns the time of the run at a time of this host's monotonic clock."""
        return seconds + self._offset

    def now(self) -> float:
        """Returns the time of the run, in seconds since an arbitrary moment."""
        return self.at(monotonic())
