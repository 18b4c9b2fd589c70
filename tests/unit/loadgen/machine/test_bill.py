"""The bill of a machine: sums that follow the load, and what was measured.

`python -m tests.bench plan` compares it with a run.
"""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.machine.bill import Demand, bill_of
from loadgen.machine.costs import AGENT_IDLE, TLS_OPEN, WORKER_IDLE
from loadgen.machine.limits import CLIENT_BYTES, KERNEL_BYTES, MIB, TLS_BYTES, WORKER_BYTES
from loadgen.machine.sizing import AGENT_BYTES

REFERENCE = Demand(1_000_000, 2_000.0, 30.0)


@pytest.mark.parametrize(
    ("rate", "measured"), [(50, 547), (200, 500), (500, 394), (1000, 293), (2000, 217)]
)
def test_an_arrival_costs_what_was_measured_of_one_worker(rate, measured):
    bill = bill_of(Demand(16_000, float(rate)), workers=1)

    each = 1e6 * (bill.opening_cores - AGENT_IDLE - WORKER_IDLE) / rate
    assert each == pytest.approx(measured, rel=0.05)


@pytest.mark.parametrize(
    ("pings", "measured"),
    [(50, 305), (200, 331), (500, 175), (1000, 115), (1900, 90), (2500, 40), (5000, 27)],
)
def test_a_ping_costs_what_was_measured_of_one_worker(pings, measured):
    bill = bill_of(Demand(4 * pings, float(pings), 4.0), workers=1)

    each = 1e6 * (bill.held_cores - AGENT_IDLE - WORKER_IDLE) / pings
    assert each == pytest.approx(measured, rel=0.2)


def test_memory_is_that_of_agent_workers_connections_and_kernel():
    bill = bill_of(Demand(1000, 10.0), workers=3)

    assert bill.agent_bytes == AGENT_BYTES
    assert bill.worker_bytes == 3 * WORKER_BYTES
    assert bill.user_bytes == 1000 * CLIENT_BYTES
    assert bill.kernel_bytes == 1000 * KERNEL_BYTES
    assert bill.memory == 40 * MIB + 3 * WORKER_BYTES + 1000 * (CLIENT_BYTES + KERNEL_BYTES)


def test_tls_takes_memory_of_each_connection_and_cpu_of_each_arrival():
    plain, secure = (bill_of(Demand(1000, 100.0, 10.0, tls=tls), 1) for tls in (False, True))

    assert secure.user_bytes - plain.user_bytes == 1000 * TLS_BYTES
    assert secure.opening_cores - plain.opening_cores == pytest.approx(100 * TLS_OPEN)
    assert secure.held_cores == plain.held_cores


def test_a_core_of_twice_the_speed_is_half_as_busy():
    slow, fast = (bill_of(REFERENCE, 4, speed) for speed in (1.0, 2.0))

    assert fast.cores == pytest.approx(slow.cores / 2)
    assert fast.memory == slow.memory


def test_connections_that_neither_ping_nor_receive_take_only_what_is_idle():
    silent = bill_of(Demand(1_000_000, 2_000.0), workers=4)

    assert silent.held_cores == pytest.approx(AGENT_IDLE + 4 * WORKER_IDLE)
    assert silent.cores == silent.opening_cores > silent.held_cores


def test_a_message_costs_more_where_it_wakes_its_worker():
    def each(connections: int) -> float:
        told = Demand(connections, 1.0, messages=1.0)
        return (bill_of(told, 1).held_cores - AGENT_IDLE - WORKER_IDLE) / connections

    assert each(10) == pytest.approx(152e-6, rel=0.01)
    assert each(100_000) == pytest.approx(17.7e-6, rel=0.01)


@pytest.mark.parametrize(
    ("demand", "pings"),
    [
        (Demand(18_000, 1_000.0, 10.0), 1_000.0),
        (Demand(5_000, 1_000.0, 10.0), 0.0),  # the first ping comes after the last arrival
        (Demand(20_000, 1_000.0, 10.0), 1_000.0),
        (REFERENCE, 32_000.0),
        (Demand(1_000, 10.0), 0.0),
    ],
)
def test_pings_while_connections_arrive_are_a_turn_for_each_think_time(demand, pings):
    assert demand.opening_pings == pings <= demand.pings


@given(st.integers(1, 10_000_000), st.floats(1, 1e5), st.floats(1, 1e4), st.integers(1, 1000))
@example(1_000_000, 2_000.0, 30.0, 16)
def test_parts_together_are_no_less_than_the_whole(connections, rate, think, machines):
    whole = Demand(connections, rate, think)
    part = whole.part(machines)

    assert part.connections * machines >= connections
    assert part.rate * machines == pytest.approx(rate)
    assert bill_of(part, 4).memory <= bill_of(whole, 4).memory
