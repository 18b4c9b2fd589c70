"""seconds.ndjson of the run that goes on: written a line a second, and read again by whoever asks for seconds."""

from collections.abc import Iterator
from pathlib import Path

from coordinator.appender import Appender


class SecondsFile:
    """The file, and where in it the newest line of each second is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._appender = Appender(path)
        self._places: dict[int, int] = {}

    def append(self, second: int, line: bytes) -> None:
        """Appends the line of a second, which replaces an earlier one; raises OSError when the disk is full."""
        self._places[second] = self._appender.append(line)

    def since(self, second: int) -> Iterator[bytes]:
        """The lines of all seconds from this one on, in order, without their ends."""
        places = list(self._places.items())  # at once: lines are appended meanwhile, and by another thread
        wanted = sorted(place for place in places if place[0] >= second)
        with self._path.open("rb") as file:
            for _, place in wanted:
                file.seek(place)
                yield file.readline().rstrip()

    def close(self) -> None:
        """Writes no more; what there is can still be read."""
        self._appender.close()
