"""One figure of a bench beside what is asked of it."""

from typing import Any, NamedTuple


class Goal(NamedTuple):
    """A measured figure and the most (or, with `at_least`, the least) it may be; None: only shown."""

    name: str
    measured: float
    unit: str
    most: float | None = None

    @property
    def held(self) -> bool:
        """Whether the figure is within its goal."""
        return self.most is None or self.measured <= self.most

    @property
    def asked(self) -> str:
        """The goal in words."""
        return "" if self.most is None else f"≤ {self.most:g} {self.unit}"

    def to_json(self) -> dict[str, Any]:
        """The figure as JSON values."""
        return {**self._asdict(), "held": self.held}
