"""The fleet that a load needs: the fewest machines that carry it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from loadgen.errors import OperatorError
from loadgen.machine.addresses import DEFAULT_PORTS
from loadgen.machine.bill import Demand
from loadgen.machine.fleet import CORES_PART, MEMORY_PART, ClientMachine, fleet_for
from loadgen.machine.limits import GIB, MIB, client_limits
from loadgen.machine.tuning import wanted

REFERENCE = Demand(1_000_000, 2_000.0, 30.0)


@pytest.mark.parametrize(
    ("demand", "machine", "machines", "reason"),
    [
        (Demand(10, 1.0), ClientMachine(), 1, "one is enough"),
        (
            REFERENCE,
            ClientMachine(addresses=1),
            16,
            "15 would have too few source addresses",
        ),
        (
            Demand(1_000_000, 2_000.0, tls=True),
            ClientMachine(cores=64),
            3,
            "2 would have too little memory",
        ),
        (Demand(1_000_000, 2_000.0, 1.0), ClientMachine(), 10, "9 would have too few cores"),
        (
            Demand(1_000_000, 2_000.0),
            ClientMachine(cores=64, memory=64 * GIB, descriptors=1_000),
            2,
            "one would have too few descriptors a process",
        ),
    ],
)
def test_the_scarcest_resource_decides(demand, machine, machines, reason):
    plan = fleet_for(demand, machine)

    assert (plan.machines, plan.reason) == (machines, reason)


def test_a_worker_beyond_every_measured_run_is_named():
    assert fleet_for(REFERENCE, ClientMachine(addresses=1)).unmeasured == ""
    assert "250,000 connections of one worker" in fleet_for(REFERENCE, ClientMachine()).unmeasured


def test_the_reference_run_takes_sixteen_machines_with_an_address_each():
    plan = fleet_for(REFERENCE, ClientMachine(addresses=1))

    assert (plan.connections, plan.addresses) == (62_500, 1)
    assert plan.workers == (4, "one a core")
    assert plan.bill.memory < GIB


def test_each_address_of_the_target_takes_connections_of_each_source_address():
    one, three, none = (fleet_for(REFERENCE, ClientMachine(), ways).addresses for ways in (1, 3, 0))

    assert one >= 3 * three - 2 > 1
    assert none == 1


def test_faster_cores_make_fewer_machines():
    load = Demand(1_000_000, 2_000.0, 1.0)

    assert fleet_for(load, ClientMachine(speed=4.0)).machines < 5


def test_a_load_that_no_fleet_carries_is_refused_with_the_fix():
    tiny = ClientMachine(cores=1, memory=128 * MIB)
    with pytest.raises(
        OperatorError,
        match=r"^1,000 machines of 1 core and 0\.1 GiB are too few: 1000 .* little memory; .*--mem",
    ):
        fleet_for(Demand(100_000_000, 2_000.0), tiny)


def test_a_machine_that_is_too_small_for_one_connection_is_refused():
    with pytest.raises(OperatorError, match="1 machine of 1 core"):
        fleet_for(Demand(1, 1.0), ClientMachine(cores=1, memory=MIB))


@given(
    st.integers(1, 2_000_000),
    st.floats(1, 1e4),
    st.floats(5, 1e4),
    st.integers(1, 64),
    st.integers(2, 256),
    st.booleans(),
)
@example(1_000_000, 2_000.0, 30.0, 4, 16, False)
def test_each_machine_passes_its_preflight_and_is_not_full(
    connections, rate, think, cores, gib, tls
):
    machine = ClientMachine(cores=cores, memory=gib * GIB)
    demand = Demand(connections, rate, think, tls=tls)
    plan = fleet_for(demand, machine)
    # As `loadgen-tune apply` leaves it: conntrack tracks nothing in facts without its count.
    facts = machine.facts
    carried = client_limits(
        replace(facts, tcp_mem=None),
        addresses=plan.addresses,
        ports=DEFAULT_PORTS,
        workers=plan.workers.number,
        max_connections=plan.connections,
        tls=tls,
    )

    assert plan.machines * plan.connections >= connections
    assert min(limit.connections for limit in carried) >= plan.connections
    assert plan.bill.cores <= CORES_PART * cores
    assert plan.bill.memory <= MEMORY_PART * machine.memory


def test_a_machine_has_the_defaults_of_its_kernel():
    large, small = ClientMachine().facts, ClientMachine(memory=2 * GIB).facts

    assert large.tcp_mem == (196_608, 262_144, 393_216)  # 9.4 % of the memory, in pages
    assert (large.conntrack_max, small.conntrack_max) == (262_144, 65_536)
    assert [setting.key for setting in wanted(large, "client", 62_500)] == [
        "net.ipv4.ip_local_port_range"
    ]
