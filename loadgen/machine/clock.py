"""The name of this host's monotonic clock: times of one name may be compared."""

from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Another id after each boot: random(4)."""
OFFSETS = Path("/proc/self/timens_offsets")
"""The offsets of this process's clocks from those of the host: time_namespaces(7)."""


def clock_name(boot: Path = BOOT, offsets: Path = OFFSETS) -> str:
    """Returns the first eight digits of the boot's id.

    In a time namespace, whose monotonic clock is another one, its offset follows, as in
    `0b5c3a1d.3600.0`.
    """
    name = boot.read_text()[:8]
    try:
        lines = offsets.read_text().splitlines()
    except OSError:  # a kernel without time namespaces
        return name
    for line in lines:
        clock, seconds, nanoseconds = line.split()
        if clock == "monotonic" and (seconds, nanoseconds) != ("0", "0"):
            return f"{name}.{seconds.replace('-', 'm')}.{nanoseconds}"
    return name
