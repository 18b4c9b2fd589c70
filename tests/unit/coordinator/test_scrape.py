"""The figures of a server that its exporter has."""

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
PROCESS = "process_cpu_seconds_total 2.5\nprocess_resident_memory_bytes 100\nprocess_open_fds 9\n"


def test_node_exporter_has_figures_of_the_machine_and_others_of_their_process():
    assert scrape_of("s", 3, NODE) == Scrape(3, "s", 15.0, 600.0, 7.0, 3.0)
    assert scrape_of("s", 3, PROCESS) == Scrape(3, "s", 2.5, 100.0, 9.0, None)
    assert scrape_of("s", 3, "") == Scrape(3, "s")


def test_a_text_that_is_no_exposition_is_a_value_error():
    with pytest.raises(ValueError, match="<html>"):
        scrape_of("s", 3, "<html>no metrics</html>")


def test_our_own_exporter_has_all_figures():
    scrape = scrape_of("s", 3, generate_latest(machine_registry()).decode())

    assert min(scrape.cpu_s, scrape.memory, scrape.files) > 0
    assert scrape.sockets is not None
