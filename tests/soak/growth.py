"""Samples of processes over time, and by how much the last of them are above the first."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

TOLERATED = 0.02
"""How much more memory a process may have at the end than after the warm-up."""
HISTORY = 6 << 10
"""What the coordinator may keep of each second, for the page and /v1/run/seconds; of the last
hour's, never more."""
FEW = 8
"""How many descriptors more may be open by chance: connections come and go while they are
counted."""


class Sample(NamedTuple):
    """One process at one moment."""

    rss: int
    """Resident bytes."""
    descriptors: int


class Growth(NamedTuple):
    """One process from the warm-up to the end; the means of the first and of the last quarter."""

    name: str
    rss: tuple[float, float]
    descriptors: tuple[float, float]
    kept: float = 0.0
    """How much of the growth is what it is there to keep."""

    @classmethod
    def of(cls, name: str, samples: Sequence[Sample], kept: float = 0.0) -> "Growth":
        """From at least four samples after the warm-up."""
        quarter = len(samples) // 4
        first, last = samples[:quarter], samples[-quarter:]
        return cls(
            name,
            (fmean(sample.rss for sample in first), fmean(sample.rss for sample in last)),
            (
                fmean(sample.descriptors for sample in first),
                fmean(sample.descriptors for sample in last),
            ),
            kept,
        )

    @property
    def part(self) -> float:
        """By which part of itself the memory grew; negative where it shrank."""
        return self.rss[1] / self.rss[0] - 1

    @property
    def flat(self) -> bool:
        """Whether neither memory nor descriptors grew."""
        return (
            self.rss[1] - self.kept <= self.rss[0] * (1 + TOLERATED)
            and self.descriptors[1] - self.descriptors[0] <= FEW
        )


def sample(pid: int) -> Sample:
    """A process as it stands."""
    fields = Path(f"/proc/{pid}/status").read_text().split()
    return Sample(
        int(fields[fields.index("VmRSS:") + 1]) * 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))
    )
