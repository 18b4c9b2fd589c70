"""The sizing of connections: no less than what was measured, and not much more."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.machine.addresses import DEFAULT_PORTS
from loadgen.machine.costs import CLIENT_OPEN, CLIENT_PING, TARGET_OPEN, TARGET_PING
from loadgen.machine.facts import Machine
from loadgen.machine.limits import TLS_BYTES, client_limits
from loadgen.machine.sizing import AGENT_BYTES, sizing_of
from tests.costs import samples
from tests.costs.model import per_event

GIB = 1 << 30
MEASURED = samples.read(Path(__file__).parents[4] / "docs" / "cost-model" / "samples.json").samples
LARGE = [sample for sample in MEASURED if sample.size >= 100_000]
"""In smaller fleets every connection wakes a worker by itself, which nobody would size machines
by."""


@pytest.mark.parametrize(
    ("reckoned", "kind", "span", "event"),
    [
        (CLIENT_OPEN, "worker", "ramp", "opened"),
        (CLIENT_PING, "worker", "pings", "pings"),
        (TARGET_OPEN, "target", "ramp", "opened"),
        (TARGET_PING, "target", "pings", "pings"),
    ],
)
def test_cores_are_those_of_the_dearest_measurement(reckoned, kind, span, event):
    dearest = max(per_event(sample, kind, getattr(sample, span), event) for sample in LARGE)

    assert 0.8 * dearest <= reckoned <= 1.5 * dearest


def test_an_agent_takes_no_more_than_its_figure():
    for sample in MEASURED:
        shares = (
            sample.base.pss[kind] / sample.base.processes[kind]
            for kind in ("agent", "workers' parent")
        )
        assert sum(shares) <= AGENT_BYTES


def test_the_reference_run_takes_sixteen_addresses_and_fits_its_machines():
    found = sizing_of(1_000_000, 2_000, 30)

    assert found.addresses == 16
    assert found.client_bytes < 16 * 16 * GIB
    assert found.client_cores < 16 * 4
    assert found.target_bytes < 128 * GIB
    assert found.target_cores < 32


@given(st.integers(1, 10_000_000), st.floats(1, 1e5), st.floats(1, 1e4))
def test_the_addresses_and_the_memory_are_enough_for_the_preflight(connections, rate, think):
    found = sizing_of(connections, rate, think)
    machine = Machine(memory_available=found.client_bytes, nofile_hard=1 << 30)
    limits = client_limits(
        machine,
        addresses=found.addresses,
        ports=DEFAULT_PORTS,
        workers=1,
        max_connections=connections,
    )

    assert min(limit.connections for limit in limits) >= connections


def test_more_connections_take_more_and_a_longer_think_time_less():
    small = sizing_of(10_000, 100, 30)
    large = sizing_of(500_000, 100, 30)
    calm = sizing_of(500_000, 100, 60)

    assert small.client_bytes < large.client_bytes == calm.client_bytes
    assert small.target_cores < calm.target_cores < large.target_cores
    assert small.client_cores < calm.client_cores < large.client_cores


def test_tls_takes_memory_of_the_clients_alone():
    plain, secure = (sizing_of(1000, 100.0, 30.0, tls=tls) for tls in (False, True))

    assert secure.client_bytes - plain.client_bytes == 1000 * TLS_BYTES
    assert secure.target_bytes == plain.target_bytes
