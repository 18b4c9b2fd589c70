"""The local ports that earlier benches still hold.

A connection that a bench closed stays in TIME_WAIT for 60 s (TCP_TIMEWAIT_LEN, include/net/tcp.h).
Meanwhile the kernel passes over its port when it chooses one, on every source address, because a
worker bound it explicitly. When such ports use up the kernel's range, a client that does not choose
its ports fails with EADDRNOTAVAIL.
"""

import re
from pathlib import Path
from time import monotonic, sleep

TIMEOUT = 90.0


def await_ports(needed: int) -> None:
    """Waits until the kernel has `needed` ports to choose from, for 90 s at most.

    It assumes that all sockets in TIME_WAIT are within the kernel's range.
    """
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    end = monotonic() + TIMEOUT
    while high - low - _in_time_wait() < needed and monotonic() < end:
        sleep(1.0)


def _in_time_wait() -> int:
    found = re.search(r"^TCP: .*\btw (\d+)", Path("/proc/net/sockstat").read_text(), re.MULTILINE)
    assert found
    return int(found[1])
