"""When a run's arrivals were paused: the plan's own time stands still meanwhile. Ages in seconds from the start."""

from collections.abc import Iterable
from math import inf


class Pauses:
    """The pauses of a run, in order; the last one may be open."""

    def __init__(self, spans: Iterable[tuple[float, float | None]] = ()) -> None:
        self._spans = [(begin, inf if end is None else end) for begin, end in spans]

    def __bool__(self) -> bool:
        return bool(self._spans)

    @property
    def open(self) -> bool:
        """Whether arrivals are paused and nobody has said until when."""
        return bool(self._spans) and self._spans[-1][1] == inf

    @property
    def total(self) -> float:
        """Seconds in all pauses that are over, or of which the end is known."""
        return round(sum(end - begin for begin, end in self._spans if end < inf), 3)

    def begin(self, age: float) -> None:
        """Arrivals are paused from this age on, or from the end of the pause that is known already."""
        if not self.open:
            self._spans.append((max(age, self._spans[-1][1]) if self._spans else age, inf))

    def end(self, age: float) -> None:
        """Arrivals go on from this age."""
        if self.open:
            self._spans[-1] = (self._spans[-1][0], max(age, self._spans[-1][0]))

    def cover(self, age: float) -> bool:
        """Whether arrivals are paused at an age."""
        return any(begin <= age < end for begin, end in self._spans)

    def paced(self, age: float) -> float:
        """The plan's own time at an age of the run."""
        return age - sum(min(age, end) - begin for begin, end in self._spans if begin < age)

    def real(self, paced: float) -> float:
        """The age of the run at which the plan's own time comes to so much; infinite when a pause has no end."""
        age = paced
        for begin, end in self._spans:
            age += end - begin if begin <= age else 0.0
        return age

    def spans(self) -> list[tuple[float, float | None]]:
        """Begin and end of each, as JSON has them."""
        return [(round(begin, 3), None if end == inf else round(end, 3)) for begin, end in self._spans]
