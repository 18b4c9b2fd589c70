"""The drop-ins: their keys exist and have reasons.

Their numbers are sufficient.
"""

from pathlib import Path

import msgspec
import pytest

from loadgen.machine.addresses import DEFAULT_PORTS
from loadgen.machine.facts import Machine
from loadgen.machine.limits import client_limits, target_limits, unusable_ports
from loadgen.machine.tuning import CONNECTIONS, wanted
from tests.unit.loadgen.machine.test_tuning import BARE

FOLDER = Path(__file__).parents[3] / "sysctl"
DROP_INS = {name: FOLDER / f"90-loadgen-{name}.conf" for name in ("client", "target")}
OF_MODULES = {"net.netfilter.nf_conntrack_max"}
"""Keys that exist only while a module is loaded; their lines begin with a minus sign (sysctl.d(5)).
"""
OF_THE_FIRST_NAMESPACE = {"net.ipv4.tcp_mem", "net.core.somaxconn", "net.core.netdev_max_backlog"}
"""Keys that older or contained kernels show only outside containers."""


BY_MEMORY = {"client": {"net.ipv4.tcp_mem"}, "target": set()}
"""Keys that only loadgen-tune can compute: a fixed number would lower the kernel's own on larger
machines."""
OF_THE_REFERENCE_RUN = (
    "fs.file-max fs.nr_open net.ipv4.tcp_mem net.ipv4.tcp_rmem net.ipv4.tcp_wmem"
    " net.ipv4.ip_local_port_range net.core.rmem_max net.core.wmem_max net.ipv4.tcp_moderate_rcvbuf"
)


def settings(name):
    """Returns the values of a drop-in by their keys."""
    lines = [
        line
        for line in DROP_INS[name].read_text().splitlines()
        if line and not line.startswith("#")
    ]
    return {
        key.strip().removeprefix("-"): value.strip()
        for key, _, value in (line.partition("=") for line in lines)
    }


def numbers(name, key):
    return tuple(map(int, settings(name)[key].split()))


def paragraphs(name):
    return [part.splitlines() for part in DROP_INS[name].read_text().strip().split("\n\n")]


@pytest.mark.parametrize("name", DROP_INS)
def test_every_key_exists_on_this_kernel(name):
    for key in settings(name):
        known = key in OF_MODULES | OF_THE_FIRST_NAMESPACE
        assert known or Path("/proc/sys", key.replace(".", "/")).exists(), key


@pytest.mark.parametrize("name", DROP_INS)
def test_every_key_has_its_reason_above_it_with_its_number_of_connections(name):
    head, *keys = paragraphs(name)

    assert all(line.startswith("#") for line in head)
    assert len(keys) == len(settings(name))
    for *reason, setting in keys:
        assert reason, setting
        assert all(line.startswith("# ") for line in reason)
        assert any(number in " ".join(reason) for number in ("64,000", "1,000,000", "2,000"))
        assert not setting.startswith("#")


@pytest.mark.parametrize("name", DROP_INS)
def test_a_key_of_a_module_may_fail_to_be_set_and_no_other(name):
    lines = [line for line in DROP_INS[name].read_text().splitlines() if line.startswith("-")]

    assert {line[1:].partition(" ")[0] for line in lines} == settings(name).keys() & OF_MODULES


@pytest.mark.parametrize("name", DROP_INS)
def test_the_readme_has_every_key_with_its_value(name):
    readme = (FOLDER / "README.md").read_text()

    for key, value in settings(name).items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{key}`"))
        assert value in row or "no bound" in row
        assert [cell.strip() != "" for cell in row.split("|")[1:-1]] == 7 * [True]


def test_kernels_accept_the_clients_port_range_and_it_leaves_ports_free():
    low, high = numbers("client", "net.ipv4.ip_local_port_range")

    assert 1024 <= low <= 1025
    assert high == 65535
    assert low % 2 != high % 2
    free = unusable_ports(Machine(local_range=(low, high)), DEFAULT_PORTS)
    assert len(DEFAULT_PORTS) - len(free) >= 64_000


def test_socket_memory_is_in_pages_and_fits_into_a_target():
    low, pressure, ceiling = numbers("target", "net.ipv4.tcp_mem")

    assert low < pressure < ceiling
    assert ceiling >= 2 * 1_000_000
    assert ceiling * 4096 <= 8 << 30


def test_a_client_with_the_drop_in_holds_64_000():
    (entries,) = numbers("client", "net.netfilter.nf_conntrack_max")
    machine = Machine(conntrack_max=entries, conntrack_count=128_000, nofile_hard=1 << 20)
    limits = client_limits(
        machine, addresses=1, ports=DEFAULT_PORTS, workers=1, max_connections=64_000
    )

    assert min(limit.connections for limit in limits) == 64_000


def test_a_target_with_the_drop_in_holds_a_million():
    values = {key: numbers("target", key) for key in settings("target")}
    machine = msgspec.convert(
        {key: value[0] if len(value) == 1 else value for key, value in values.items()}
        | {"net.netfilter.nf_conntrack_count": 240_000, "nofile_hard": 1 << 20},
        Machine,
    )

    assert min(limit.connections for limit in target_limits(machine, workers=4)) >= 1_000_000


@pytest.mark.parametrize("name", DROP_INS)
def test_the_drop_in_sets_what_loadgen_tune_sets(name):
    mine = {setting.key: setting.value for setting in wanted(BARE, name, CONNECTIONS[name])}

    assert {key: value for key, value in mine.items() if key not in BY_MEMORY[name]} == settings(
        name
    )


def test_the_readme_covers_every_setting_of_the_reference_run():
    readme = (FOLDER / "README.md").read_text()
    rows = [line for line in readme.splitlines() if line.startswith("| `")]

    assert [
        key for key in OF_THE_REFERENCE_RUN.split() if not any(f"`{key}`" in row for row in rows)
    ] == []


def test_open_files_serve_a_million_in_one_process_and_prevent_no_login():
    lines = (FOLDER / "limits.d" / "90-loadgen.conf").read_text().splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]

    assert {(who, kind) for who, kind, _, _ in rows} == {
        (who, kind) for who in ("*", "root") for kind in ("soft", "hard")
    }
    assert {(item, value) for _, _, item, value in rows} == {
        ("nofile", settings("target")["fs.nr_open"])
    }
