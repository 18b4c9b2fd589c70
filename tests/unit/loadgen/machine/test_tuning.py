"""The settings that invented machines need for their connections."""

import msgspec
import pytest

from loadgen.machine.facts import Machine
from loadgen.machine.tuning import NO_BOUND, wanted

GIB = 1 << 30
BARE = Machine(
    memory_available=64 * GIB,
    nr_open=65_536,
    file_max=50_000,
    file_nr=(1_000, 0, 50_000),
    somaxconn=128,
    local_range=(32768, 60999),
    unprivileged_start=1024,
    syn_backlog=128,
    packet_backlog=1000,
    tcp_mem=(1_000, 2_000, 3_000),
    conntrack_max=65_536,
)
"""A machine on which every setting is too low."""


def values(machine, role, connections):
    return {setting.key: setting.value for setting in wanted(machine, role, connections)}


def but(**changes):
    return msgspec.structs.replace(BARE, **changes)


def test_a_client_of_64_000():
    assert values(BARE, "client", 64_000) == {
        "net.ipv4.ip_local_port_range": "1024 65535",
        "fs.file-max": str(NO_BOUND),
        "net.ipv4.tcp_mem": "65536 98304 131072",
        "net.netfilter.nf_conntrack_max": "262144",
    }


def test_a_target_of_a_million():
    assert values(BARE, "target", 1_000_000) == {
        "fs.nr_open": "1048576",
        "net.core.somaxconn": "16384",
        "net.ipv4.tcp_max_syn_backlog": "16384",
        "net.core.netdev_max_backlog": "16384",
        "fs.file-max": str(NO_BOUND),
        "net.ipv4.tcp_mem": "1048576 1572864 2097152",
        "net.netfilter.nf_conntrack_max": "1310720",
    }


@pytest.mark.parametrize("role", ["client", "target"])
def test_a_key_that_a_machine_does_not_show_is_left_out(role):
    assert wanted(Machine(), role, 1_000_000) == ()


@pytest.mark.parametrize("role", ["client", "target"])
def test_high_settings_are_left_as_they_are(role):
    ample = but(
        nr_open=1 << 30,
        file_max=NO_BOUND,
        somaxconn=65_535,
        local_range=(1024, 65535),
        syn_backlog=65_535,
        packet_backlog=65_535,
        tcp_mem=(1 << 22, 1 << 23, 1 << 24),
        conntrack_max=1 << 24,
    )

    assert wanted(ample, role, 1_000_000) == ()


def test_socket_memory_takes_at_most_half_of_the_memory():
    assert (
        values(but(memory_available=4 * GIB), "target", 1_000_000)["net.ipv4.tcp_mem"]
        == "262144 393216 524288"
    )
    assert (
        values(but(memory_available=None), "target", 1_000_000)["net.ipv4.tcp_mem"]
        == "1048576 1572864 2097152"
    )


def test_the_port_range_begins_above_privileged_ports_at_an_even_one():
    assert (
        values(but(unprivileged_start=5001), "client", 1)["net.ipv4.ip_local_port_range"]
        == "5002 65535"
    )
    assert (
        values(but(unprivileged_start=0), "client", 1)["net.ipv4.ip_local_port_range"]
        == "1024 65535"
    )


def test_every_setting_has_its_reason():
    for role in ("client", "target"):
        assert all(
            setting.reason and "\n" not in setting.reason
            for setting in wanted(BARE, role, 1_000_000)
        )
