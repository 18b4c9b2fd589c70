"""A figure of a bench and its goal."""

from typing import Any, NamedTuple


class Goal(NamedTuple):
    """A measured figure and its bounds; without bounds it is only shown."""

    name: str
    measured: float
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def held(self) -> bool:
        """True when the figure is within its bounds."""
        return (self.most is None or self.measured <= self.most) and (
            self.least is None or self.measured >= self.least
        )

    @property
    def asked(self) -> str:
        """The goal as text."""
        bounds = ("≤", self.most), ("≥", self.least)
        return ", ".join(
            f"{sign} {bound:g} {self.unit}" for sign, bound in bounds if bound is not None
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the figure as JSON values."""
        return {**self._asdict(), "held": self.held}
