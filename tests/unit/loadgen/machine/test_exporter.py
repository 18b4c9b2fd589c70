"""A machine's readings under node_exporter's names, from the files of proc(5)."""

import os

from prometheus_client import CollectorRegistry

from loadgen.machine.exporter import MachineCollector, machine_registry

FILES = {
    "stat": (
        "cpu  9 9 9 9\ncpu0 100 0 50 700 1 2 3 4 5 6\ncpu1 200 0 50 600\nintr 1\nctxt 77\n"
        "procs_running 3\n"
    ),
    "meminfo": "MemTotal:       2000 kB\nMemFree:         500 kB\nMemAvailable:   1000 kB\n",
    "sys/fs/file-nr": "1234\t0\t9999\n",
    "net/snmp": "Tcp: InSegs RetransSegs\nTcp: 9 12\n",
    "net/netstat": "TcpExt: ListenOverflows ListenDrops TCPSynRetrans\nTcpExt: 5 6 7\n",
    "net/sockstat": "sockets: used 99\nTCP: inuse 42 orphan 0 tw 3 alloc 50 mem 7\nUDP: inuse 5\n",
}


def test_the_readings_are_those_of_the_files(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    registry = CollectorRegistry()
    registry.register(MachineCollector(tmp_path))
    ticks = os.sysconf("SC_CLK_TCK")

    def cpu(number: str, mode: str) -> float | None:
        return registry.get_sample_value("node_cpu_seconds_total", {"cpu": number, "mode": mode})

    assert (cpu("0", "user"), cpu("0", "steal")) == (100 / ticks, 4 / ticks)
    assert (cpu("1", "idle"), cpu("1", "steal"), cpu("", "user")) == (600 / ticks, None, None)
    assert registry.get_sample_value("node_memory_MemTotal_bytes") == 2000 * 1024
    assert registry.get_sample_value("node_memory_MemAvailable_bytes") == 1000 * 1024
    assert registry.get_sample_value("node_filefd_allocated") == 1234
    assert registry.get_sample_value("node_sockstat_TCP_inuse") == 42
    assert registry.get_sample_value("node_context_switches_total") == 77
    assert registry.get_sample_value("node_procs_running") == 3
    assert registry.get_sample_value("node_netstat_Tcp_RetransSegs") == 12
    assert registry.get_sample_value("node_netstat_TcpExt_ListenOverflows") == 5
    assert registry.get_sample_value("node_netstat_TcpExt_ListenDrops") == 6
    assert registry.get_sample_value("node_netstat_TcpExt_TCPSynRetrans") == 7
    assert registry.get_sample_value("node_sockstat_TCP_mem") == 7


def test_this_machine_has_readings():
    value = machine_registry().get_sample_value("node_memory_MemTotal_bytes")

    assert value is not None
    assert value > 0
