"""The columns of the tables: one figure each, and the best of its values."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.costs.document import figure
from tests.peers.figures import Figures


class Column(NamedTuple):
    """A figure of all peers."""

    head: str
    unit: str
    value: Callable[[Figures], float | None]
    most: bool = False
    """True when the largest value is the best."""
    ranked: bool = True
    """False when no value is better than another."""

    def text(self, figures: Figures) -> str:
        """Returns the value as text; a dash for none."""
        value = self.value(figures)
        return "–" if value is None else figure(value)

    def best(self, all_figures: Sequence[Figures]) -> float | None:
        """Returns the best value of those that there are; None where none is better."""
        each = all_figures if self.ranked else ()
        values = [value for figures in each if (value := self.value(figures)) is not None]
        return (max if self.most else min)(values, default=None)


def _percent(figures: Figures) -> float | None:
    return None if figures.rest is None else 100 * figures.rest


COLUMNS = (
    Column("opens/s, paced", "/s", lambda figures: figures.paced, ranked=False),
    Column("µs per open, paced", "µs", lambda figures: figures.open_us),
    Column("opens/s, flat out", "/s", lambda figures: figures.flat_out, most=True),
    Column("µs per open, flat out", "µs", lambda figures: figures.flat_us),
    Column("CPU s before the first", "s", lambda figures: figures.start_cpu_s),
    Column("MiB before the first", "MiB", lambda figures: figures.start_mib),
    Column("MiB, all held", "MiB", lambda figures: figures.mib),
    Column("KiB per connection", "KiB", lambda figures: figures.kib),
    Column("% of a core, all held", "%", _percent),
    Column("pings/s", "/s", lambda figures: figures.pings, ranked=False),
    Column("µs per ping", "µs", lambda figures: figures.ping_us),
    Column("µs per message", "µs", lambda figures: figures.message_us),
)
