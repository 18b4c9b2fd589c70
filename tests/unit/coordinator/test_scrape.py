"""The figures of a server that its exporter has."""

import msgspec
import pytest
from prometheus_client import generate_latest

from coordinator.scrape import Scrape, scrape_of
from loadgen.machine.exporter import machine_registry

NODE = """
node_cpu_seconds_total{cpu="0",mode="user"} 10
node_cpu_seconds_total{cpu="0",mode="idle"} 100
node_cpu_seconds_total{cpu="1",mode="system"} 5
node_memory_MemTotal_bytes 1000
node_memory_MemAvailable_bytes 400
node_filefd_allocated 7
node_sockstat_TCP_inuse 3
"""
NETWORK = """
node_cpu_seconds_total{cpu="0",mode="steal"} 1
node_cpu_seconds_total{cpu="1",mode="steal"} 2
node_cpu_seconds_total{cpu="1",mode="softirq"} 4
node_context_switches_total 70
node_netstat_Tcp_RetransSegs 12
node_netstat_TcpExt_ListenOverflows 5
node_netstat_TcpExt_ListenDrops 6
node_procs_running 9
node_sockstat_TCP_mem 42
"""
PROCESS = "process_cpu_seconds_total 2.5\nprocess_resident_memory_bytes 100\nprocess_open_fds 9\n"


def test_node_exporter_has_figures_of_the_machine_and_others_of_their_process():
    assert scrape_of("s", 3, NODE) == Scrape(3, "s", 15.0, 600.0, 7.0, 3.0)
    assert scrape_of("s", 3, PROCESS) == Scrape(3, "s", 2.5, 100.0, 9.0, None)
    assert scrape_of("s", 3, "") == Scrape(3, "s")


def test_the_time_that_others_took_and_the_troubles_of_the_network_are_kept():
    assert scrape_of("s", 3, NETWORK) == Scrape(
        3, "s", 7.0, steal_s=3.0, softirq_s=4.0, switches=70.0, retransmits=12.0,
        listen_overflows=5.0, listen_drops=6.0, running=9.0, socket_pages=42.0,
    )  # fmt: skip


def test_a_text_that_is_no_exposition_is_a_value_error():
    with pytest.raises(ValueError, match="<html>"):
        scrape_of("s", 3, "<html>no metrics</html>")


def test_our_own_exporter_has_all_figures():
    scrape = scrape_of("s", 3, generate_latest(machine_registry()).decode())

    assert min(scrape.cpu_s, scrape.memory, scrape.files) > 0
    assert None not in msgspec.structs.astuple(scrape)
