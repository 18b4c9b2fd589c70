"""Samples of processes over time, and the growth from the first to the last."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

TOLERATED = 0.02
"""The part by which the memory of a process may grow after the warm-up."""
HISTORY = 6 << 10
"""Bytes that the coordinator may keep of each second of the last hour, for the page and
/v1/run/seconds."""
FEW = 8
"""Descriptors by which the count may grow by chance, since connections open and close meanwhile."""


class Sample(NamedTuple):
    """One process at one moment."""

    rss: int
    """Resident bytes."""
    descriptors: int


class Growth(NamedTuple):
    """The growth of one process after the warm-up.

    It is from the process's first quarter to its last.
    """

    name: str
    rss: tuple[float, float]
    descriptors: tuple[float, float]
    kept: float = 0.0
    """The bytes of the growth that the process has to keep."""

    @classmethod
    def of(cls, name: str, samples: Sequence[Sample], kept: float = 0.0) -> "Growth":
        """Returns the growth over at least four samples after the warm-up."""
        quarter = len(samples) // 4
        first = samples[:quarter]
        last = samples[-quarter:]
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
        """The growth of the memory as a part of itself; negative where it shrank."""
        return self.rss[1] / self.rss[0] - 1

    @property
    def flat(self) -> bool:
        """True when neither memory nor descriptors grew."""
        return (
            self.rss[1] - self.kept <= self.rss[0] * (1 + TOLERATED)
            and self.descriptors[1] - self.descriptors[0] <= FEW
        )


def sample(pid: int) -> Sample:
    """Returns a sample of a process."""
    fields = Path(f"/proc/{pid}/status").read_text().split()
    return Sample(
        int(fields[fields.index("VmRSS:") + 1]) * 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))
    )
