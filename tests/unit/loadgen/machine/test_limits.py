import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.machine.addresses import DEFAULT_PORTS, SPARE_PORTS
from loadgen.machine.facts import Machine, read_machine
from loadgen.machine.limits import (
    CLIENT_BYTES,
    KERNEL_BYTES,
    TARGET_FILL,
    WORKER_BYTES,
    Limit,
    advice,
    client_limits,
    limiting_resource,
    shortfall,
    target_limits,
    unusable_ports,
    workers_needed,
)

GIB = 1 << 30
AMPLE = Machine(
    cpus=4,
    memory_available=16 * GIB,
    nofile_soft=1024,
    nofile_hard=1_048_576,
    nr_open=1_048_576,
    file_max=2_000_000,
    file_nr=(1_000, 0, 2_000_000),
    somaxconn=4096,
    local_range=(32768, 60999),
    unprivileged_start=1024,
    tcp_mem=(190_000, 250_000, 380_000),
    conntrack_max=262_144,
    conntrack_count=100,
)
"""A client machine of the reference run: 4 cores, 16 GiB."""


def but(machine=AMPLE, **changes):
    return msgspec.structs.replace(machine, **changes)


def client(machine, **options):
    options = {
        "addresses": 1,
        "ports": DEFAULT_PORTS,
        "workers": 4,
        "max_connections": 64_000,
    } | options
    return {limit.resource: limit for limit in client_limits(machine, **options)}


def target(machine, **options):
    return {limit.resource: limit for limit in target_limits(machine, **{"workers": 4} | options)}


# --- A client -------------------------------------------------------------------------------------
# --------------------


def test_a_client_machine_of_the_reference_run_carries_64_000():
    limits = client(AMPLE)

    assert set(limits) == {
        "max_connections",
        "source_ports",
        "file_descriptors",
        "file_max",
        "memory",
        "tcp_mem",
        "conntrack",
    }
    assert limiting_resource(list(limits.values())) == limits["max_connections"]
    assert limits["max_connections"].connections == 64_000


def test_every_limit_has_its_detail_and_a_fix_on_one_line():
    for limit in [*client(AMPLE).values(), *target(AMPLE).values()]:
        assert limit.detail
        assert limit.fix
        assert "\n" not in limit.detail + limit.fix


def test_the_needed_amount_has_the_units_of_the_detail():
    needed = {name: limit.needed for name, limit in client(AMPLE, max_connections=130_000).items()}

    assert needed == {
        "max_connections": "--max-connections 130,000",
        "source_ports": "3 addresses",
        "file_descriptors": "32,564 per process",
        "file_max": "131,000",
        "memory": "0.8 GiB",
        "tcp_mem": "8,125 pages",
        "conntrack": "130,100",
    }


def test_descriptors_bound_each_worker():
    limit = client(but(nofile_hard=20_000), workers=2)["file_descriptors"]

    assert limit.connections == 2 * (20_000 - 64)
    assert "--workers 4" in limit.fix
    assert "ulimit -n 32064 (LimitNOFILE=32064 in the unit)" in limit.fix


def test_the_fix_of_the_descriptors_is_enough():
    machine = but(nofile_hard=20_000)

    assert client(machine, workers=4)["file_descriptors"].connections >= 64_000
    assert client(but(nofile_hard=32_064), workers=2)["file_descriptors"].connections >= 64_000


def test_a_descriptor_limit_beyond_nr_open_is_raised_with_it():
    limit = client(AMPLE, workers=1, max_connections=2_000_000)["file_descriptors"]

    assert limit.fix.endswith(
        "sysctl -w fs.nr_open=2000064, then ulimit -n 2000064 (LimitNOFILE=2000064 in the unit)"
    )


def test_a_descriptor_limit_that_leaves_nothing_carries_nothing():
    limit = client(but(nofile_hard=50))["file_descriptors"]

    assert limit.connections == 0
    assert limit.fix.startswith("ulimit -n ")


def test_every_address_of_the_target_has_all_ports_of_every_source():
    limit = client(AMPLE, addresses=2, ways=6, ports=range(2000, 3000))["source_ports"]
    assert limit.connections == 6_000
    assert limit.detail == "6 pairs of source and target addresses × 1,000 ports"
    assert limit.needed == "22 addresses"  # of this machine, each towards three of the target
    assert client(AMPLE, ways=1)["source_ports"] == client(AMPLE)["source_ports"]


def test_a_unix_socket_takes_no_source_port():
    assert "source_ports" not in client(AMPLE, ways=0)


def test_source_ports_are_ports_of_each_address_less_those_left_out():
    assert client(AMPLE)["source_ports"].connections == 64_511 - SPARE_PORTS
    assert client(AMPLE, ports=64_511)["source_ports"].connections == 64_511 - SPARE_PORTS
    assert client(AMPLE, addresses=3, ports=range(2000, 3000))["source_ports"].connections == 3_000
    assert (
        client(but(reserved_ports="2000-2009"), ports=range(2000, 3000))["source_ports"].connections
        == 990
    )


def test_more_source_addresses_are_the_fix_of_too_few_ports():
    limit = client(AMPLE, max_connections=200_000)["source_ports"]

    assert limit.fix.startswith("--source FIRST-LAST with 4 addresses;")
    assert client(AMPLE, addresses=4)["source_ports"].connections >= 200_000


def test_privileged_ports_count_only_with_the_privilege():
    machine = but(unprivileged_start=2000, local_range=None)

    assert client(machine)["source_ports"].connections == 65536 - 2000
    assert client(but(machine, privileged=True))["source_ports"].connections == 64_511
    assert unusable_ports(machine, range(1025, 3000)) == frozenset(range(1025, 2000))


def test_no_usable_port_carries_nothing():
    limit = client(but(unprivileged_start=3000), ports=range(2000, 3000))["source_ports"]

    assert (limit.connections, limit.fix) == (0, "--ports 1025-65535")


def test_memory_carries_what_is_available_less_the_workers():
    few, many = client(AMPLE, workers=1)["memory"], client(AMPLE, workers=101)["memory"]

    each = CLIENT_BYTES + KERNEL_BYTES

    assert few.connections * each == pytest.approx(16 * GIB - WORKER_BYTES, abs=each)
    assert (few.connections - many.connections) * each == pytest.approx(
        100 * WORKER_BYTES, abs=2 * each
    )


def test_tls_takes_memory_of_a_client():
    plain, secure = (client(AMPLE, tls=tls)["memory"] for tls in (False, True))

    assert "at 5.8 KiB" in plain.detail
    assert "at 34.8 KiB" in secure.detail
    assert secure.connections < plain.connections / 5


def test_a_cgroup_with_less_memory_than_the_machine_counts():
    limit = client(but(cgroup_headroom=GIB // 4))["memory"]

    assert limit.connections < 64_000
    assert "cgroup" in limit.detail
    assert limit.fix.startswith("raise the container's memory limit, by 0.2 GiB")
    assert "more machines" in limit.fix


def test_workers_alone_may_be_too_much_for_the_memory():
    assert client(but(memory_available=50 << 20))["memory"].connections == 0


def test_socket_memory_counts_pages():
    limit = client(but(tcp_mem=(1, 2, 1_100), tcp_pages=100))["tcp_mem"]

    assert limit.connections == 1_000 * 4096 // 256
    assert limit.fix == 'sysctl -w net.ipv4.tcp_mem="2550 3825 5100"'


def test_conntrack_carries_the_entries_that_are_left():
    limit = client(but(conntrack_max=65_536, conntrack_count=5_536))["conntrack"]

    assert limit.connections == 60_000
    assert limit.fix == "sysctl -w net.netfilter.nf_conntrack_max=85536"


def test_a_full_conntrack_table_carries_nothing_rather_than_less():
    assert client(but(conntrack_max=100, conntrack_count=120))["conntrack"].connections == 0


def test_conntrack_that_tracks_nothing_is_advice_and_no_limit():
    idle = but(conntrack_count=0)

    assert "conntrack" not in client(idle)
    assert "262,144" in advice(idle, "client")[0].detail
    assert advice(AMPLE, "client") == []
    assert advice(but(conntrack_max=None, conntrack_count=None), "client") == []


def test_a_resource_that_does_not_bound_a_machine_yields_no_limit():
    limits = client(Machine(file_max=2**63 - 1))

    assert set(limits) == {"max_connections", "source_ports", "file_descriptors"}


@given(
    st.builds(
        but,
        nofile_hard=st.integers(0, 2_000_000),
        memory_available=st.integers(0, 64 * GIB),
        file_max=st.integers(0, 2_000_000),
        tcp_mem=st.tuples(st.just(0), st.just(0), st.integers(0, 1_000_000)),
        tcp_pages=st.integers(0, 1_000_000),
        conntrack_max=st.integers(0, 2_000_000),
        conntrack_count=st.integers(0, 2_000_000),
    ),
    st.integers(1, 200),
    st.integers(1, 10_000_000),
)
def test_no_fact_gives_a_negative_number_or_an_error(machine, workers, connections):
    limits = [
        *client(machine, workers=workers, max_connections=connections).values(),
        *target(machine, workers=workers, connections=connections).values(),
    ]

    assert all(limit.connections >= 0 for limit in limits)


# --- A target -------------------------------------------------------------------------------------
# --------------------


def test_a_target_has_no_source_ports_and_its_ends_cost_more_memory():
    limits = target(AMPLE)

    assert set(limits) == {"file_descriptors", "file_max", "memory", "tcp_mem", "conntrack"}
    assert limits["memory"].connections < client(AMPLE)["memory"].connections


def test_conntrack_by_default_stops_a_million_at_262_000_and_says_what_to_set():
    limit = target(AMPLE)["conntrack"]

    assert limit.connections == 262_044
    assert limit.fix == "sysctl -w net.netfilter.nf_conntrack_max=1250100"


def test_a_short_backlog_is_advice_for_a_target():
    short = but(somaxconn=128)

    assert [item.fix for item in advice(short, "target")] == ["sysctl -w net.core.somaxconn=16384"]
    assert advice(short, "client") == []
    assert advice(AMPLE, "target") == []


# --- Workers --------------------------------------------------------------------------------------
# --------------------


def test_one_worker_per_core_is_enough_where_descriptors_are_many():
    assert workers_needed(64_000, AMPLE, 4) == 4


def test_a_low_descriptor_limit_asks_for_more_workers():
    assert workers_needed(1_000_000, but(nofile_hard=20_000), 2) == 51
    assert workers_needed(1_000_000, but(nofile_hard=20_000), 2, TARGET_FILL) == 53


@given(st.integers(1, 2_000_000), st.integers(65, 100_000), st.integers(1, 64))
def test_the_workers_needed_have_descriptors_for_all_connections(connections, nofile, cores):
    machine = but(nofile_hard=nofile)
    workers = workers_needed(connections, machine, cores)

    assert workers >= cores
    assert client(machine, workers=workers)["file_descriptors"].connections >= connections


# --- A real machine -------------------------------------------------------------------------------
# --------------------


def test_a_machine_that_shows_nothing_is_still_bound_by_its_descriptors(tmp_path):
    assert client(read_machine(tmp_path))["file_descriptors"].connections == 4 * (4096 - 64)


def test_this_machine_carries_something():
    assert min(limit.connections for limit in client(read_machine()).values()) > 0


def test_a_socket_table_with_long_chains_is_advice():
    short = but(ehash_entries=262_144)

    assert advice(short, "client", 64_000) == []
    (item,) = advice(short, "target", 1_000_000)
    assert item.resource == "socket_table"
    assert "chains of 3.8 sockets" in item.detail
    assert "thash_entries=1048576" in item.fix
    assert advice(but(ehash_entries=-262_144), "target", 1_000_000) == [item]


def test_in_a_container_the_limits_of_the_host_are_advice():
    (item,) = advice(but(container="docker"), "client", 64_000)

    assert "docker" in item.detail
    assert "on the host" in item.fix


def limit(resource: str, connections: int) -> Limit:
    return Limit(resource, connections, detail="as read", fix="raise it")


FILES, PORTS, MEMORY = (
    limit("file_descriptors", 20_000),
    limit("source_ports", 28_232),
    limit("memory", 400_000),
)


def test_the_limiting_resource_carries_the_fewest():
    assert limiting_resource([MEMORY, FILES, PORTS]) is FILES


def test_of_two_equals_the_first_is_named():
    assert limiting_resource([FILES, limit("conntrack", 20_000)]) is FILES


def test_without_limits_no_resource_is_limiting():
    assert limiting_resource([]) is None
    assert shortfall([], 10**9) is None


@pytest.mark.parametrize(
    ("share", "short"), [(0, None), (20_000, None), (20_001, FILES), (500_000, FILES)]
)
def test_a_share_falls_short_by_a_single_connection(share, short):
    assert shortfall([MEMORY, FILES, PORTS], share) is short
