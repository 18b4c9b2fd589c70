"""CPU, memory, open files, sockets and TCP counters of a machine for Prometheus.

The names are node_exporter's.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    UnknownMetricFamily,
)
from prometheus_client.registry import Collector

from loadgen.machine.proc import read_host

NETSTAT = {
    "retransmits": ("node_netstat_Tcp_RetransSegs", "TCP segments sent again."),
    "syn_retransmits": ("node_netstat_TcpExt_TCPSynRetrans", "Of them: SYNs."),
    "listen_overflows": (
        "node_netstat_TcpExt_ListenOverflows",
        "Connections that found an accept queue full.",
    ),
    "listen_drops": (
        "node_netstat_TcpExt_ListenDrops",
        "Connections that a listening socket dropped.",
    ),
}
"""The metrics of a reading's counters of the network, which have no type and no `_total` there."""
GAUGES = {
    "running": ("node_procs_running", "Threads that run or wait for a core."),
    "socket_pages": ("node_sockstat_TCP_mem", "Pages of memory in TCP's buffers."),
}
"""The metrics of a reading's momentary numbers."""
CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""The columns of a line of /proc/stat, proc(5)."""


class MachineCollector(Collector):
    """Reads /proc at scrape time."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._ticks = os.sysconf("SC_CLK_TCK")

    def collect(self) -> Iterator[Metric]:
        """Yields CPU seconds by mode, memory, open files, TCP sockets and counters."""
        yield self._cpu()
        memory = {
            line.split(":")[0]: int(line.split()[1]) * 1024 for line in self._lines("meminfo")
        }
        for name in ("MemTotal", "MemAvailable"):
            yield GaugeMetricFamily(
                f"node_memory_{name}_bytes", f"{name} of /proc/meminfo.", memory[name]
            )
        allocated = float(self._lines("sys/fs/file-nr")[0].split()[0])
        yield GaugeMetricFamily("node_filefd_allocated", "Files that are open.", allocated)
        tcp = next(line.split() for line in self._lines("net/sockstat") if line.startswith("TCP:"))
        in_use = float(tcp[tcp.index("inuse") + 1])
        yield GaugeMetricFamily("node_sockstat_TCP_inuse", "TCP sockets in use.", in_use)
        reading = read_host(self._proc)
        for name, count in reading.counters.items():
            if name == "switches":
                yield CounterMetricFamily("node_context_switches", "Context switches.", count)
            else:
                yield UnknownMetricFamily(*NETSTAT[name], count)
        for name, number in reading.gauges.items():
            yield GaugeMetricFamily(*GAUGES[name], number)

    def _cpu(self) -> Metric:
        family = CounterMetricFamily(
            "node_cpu_seconds", "CPU seconds by mode.", labels=["cpu", "mode"]
        )
        for line in self._lines("stat"):
            name, *ticks = line.split()
            if name.startswith("cpu") and name != "cpu":
                for mode, number in zip(CPU_MODES, ticks, strict=False):
                    family.add_metric([name[3:], mode], int(number) / self._ticks)
        return family

    def _lines(self, name: str) -> list[str]:
        return (self._proc / name).read_text().splitlines()


def machine_registry() -> CollectorRegistry:
    """Returns a registry with this machine's metrics only."""
    registry = CollectorRegistry()
    registry.register(MachineCollector())
    return registry
