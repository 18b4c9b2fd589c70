"""One figure of a bench beside what is asked of it."""

from typing import Any, NamedTuple


class Goal(NamedTuple):
    """A measured figure and the most, or the least, it may be; without both it is only shown."""

    name: str
    measured: float
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def held(self) -> bool:
        """Whether the figure is within its goal."""
        return (self.most is None or self.measured <= self.most) and (
            self.least is None or self.measured >= self.least
        )

    @property
    def asked(self) -> str:
        """The goal in words."""
        bounds = ("≤", self.most), ("≥", self.least)
        return ", ".join(
            f"{sign} {bound:g} {self.unit}" for sign, bound in bounds if bound is not None
        )

    def to_json(self) -> dict[str, Any]:
        """The figure as JSON values."""
        return {**self._asdict(), "held": self.held}
