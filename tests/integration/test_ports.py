"""Scarce source ports never end a run.

They are few, held by others, in TIME_WAIT or reserved.
"""

import json
import os
import random
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.processes import (
    Command,
    Coordinator,
    agent,
    command,
    coordinator,
    environment,
    eventually,
    local_agents,
    opens,
    own_source,
    target,
)

BRIEF = ("--agents", "1", "--rate", "1000", "--ping", "none", "--hold", "1")
HELD = ("--agents", "1", "--rate", "1000", "--ping", "none", "--hold", "600")
ESTABLISHED, TIME_WAIT = "01", "06"
LOCAL = "127.0.1.1"
"""The source address of the first agent that a coordinator starts by itself."""


def some_ports(count: int) -> range:
    """Returns consecutive ports outside of the range from which the kernel chooses."""
    low = random.randrange(10_000, 30_000)
    return range(low, low + count)


def option(ports: range) -> tuple[str, str]:
    """Returns the option that confines an agent to these ports."""
    return "--ports", f"{ports.start}-{ports.stop - 1}"


def local_ends(state: str, addresses: list[str], pid: int | str = "self") -> list[tuple[str, int]]:
    """Returns the local (address, port) pairs of TCP sockets in a state, in order.

    They are those of a process's network. The kernel shows a socket twice where others come and go
    while its table is read.

    https://docs.kernel.org/networking/proc_net_tcp.html
    """
    wanted = {socket.inet_aton(address)[::-1].hex().upper(): address for address in addresses}
    found = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        local, is_in = line.split()[1:4:2]
        address, _, port = local.partition(":")
        if is_in == state and address in wanted:
            found.add((wanted[address], int(port, 16)))
    return sorted(found)


def ended_well(coord: Coordinator, opened: int, **failed: int) -> dict:
    """Returns the summary of a run that ended by itself, after checking its figures."""
    assert coord.end() == 0, coord.err
    summary = coord.summary()
    assert (summary["opened"], summary["failed"], summary["closed"]) == (
        opened,
        failed,
        {"drained": opened},
    )
    return summary


# --- Scarce ---------------------------------------------------------------------------------------
# --------------------


def test_the_last_free_port_is_used_and_a_further_connection_fails_at_once(tmp_path):
    """51 ports serve two workers, of which the second has 25.

    The 52nd connection is its 26th.
    """
    source, ports = own_source(), some_ports(51)
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path, *HELD, "--max", "52", server.ws) as coord,
        agent(coord.url, "--workers", "2", "--source", source, *option(ports)) as loading,
    ):
        opens(server, 51)
        assert local_ends(ESTABLISHED, [source]) == [(source, port) for port in ports]
        eventually(
            lambda: coord.state()["ledger"]["failed"] == {"no_local_port": 1}, "one has failed"
        )
        loading.send(signal.SIGTERM)
        assert ended_well(coord, 51, no_local_port=1)["ports_skipped"] == 0


def test_sixty_addresses_of_one_host_are_all_used_to_their_last_port(tmp_path):
    prefix = own_source().rpartition(".")[0]
    addresses, ports = [f"{prefix}.{last}" for last in range(1, 61)], some_ports(5)
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path, *HELD, "--max", "300", server.ws) as coord,
        agent(coord.url, "--workers", "2", "--source", f"{prefix}.1-60", *option(ports)) as loading,
    ):
        opens(server, 300)
        ends = local_ends(ESTABLISHED, addresses)
        assert ends == sorted((address, port) for address in addresses for port in ports)
        loading.send(signal.SIGTERM)
        assert ended_well(coord, 300)["ports_skipped"] == 0


def test_three_agents_on_one_address_do_not_meet(tmp_path):
    """Each has a third of the ports, to the last one, with any number of workers."""
    source, ports = own_source(), some_ports(100)
    options = ("--agents", "3", "--rate", "1000", "--ping", "none", "--hold", "1", "--max", "99")
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path, *options, server.ws) as coord,
        ExitStack() as stack,
    ):
        for workers in ("1", "2", "3"):
            stack.enter_context(
                agent(coord.url, "--workers", workers, "--source", source, *option(ports))
            )
        assert ended_well(coord, 99)["ports_skipped"] == 0


# --- Held by others -------------------------------------------------------------------------------
# --------------------


@contextmanager
def held(address: str, ports: range) -> Iterator[int]:
    """Binds five of the ports; yields their number.

    Some of them listen, or are bound on all addresses.
    """
    with ExitStack() as stack:
        for place, host in ((10, address), (11, address), (40, address), (41, address), (70, "")):
            sock = stack.enter_context(socket.socket())
            bound(sock, host, ports[place : place + 9])
            if place >= 40:
                sock.listen()
        yield 5


def bound(sock: socket.socket, host: str, ports: range) -> None:
    """Binds the first of some ports that no other process holds, on any address."""
    for port in ports:
        with suppress(OSError):
            sock.bind((host, port))
            return
    raise AssertionError(f"none of {ports} is free on {host or 'all addresses'}")


def test_ports_held_by_others_are_skipped_and_counted(tmp_path):
    """One more port is the target's, on the address that is loaded.

    The load comes from the same address, and uses all other ports.
    """
    source, ports = own_source(), some_ports(100)
    with (
        held(source, ports) as count,
        target("--workers", "1", "--listen", f"{source}:{ports[-20]}") as server,
        coordinator(tmp_path, *HELD, "--max", str(99 - count), server.ws) as coord,
        agent(coord.url, "--source", source, *option(ports)) as loading,
    ):
        opens(server, 99 - count)
        eventually(
            lambda: loading.metric("loadgen_ports_skipped_total") == count + 1, "all are counted"
        )
        loading.send(signal.SIGTERM)
        assert ended_well(coord, 99 - count)["ports_skipped"] == count + 1
        assert f"source ports held by others and stepped over: {count + 1}\n" in coord.out


# --- Used before ----------------------------------------------------------------------------------
# --------------------


def test_a_second_run_finds_the_ports_of_the_first_one(tmp_path):
    """Both need every port.

    The target closed first, so that TIME_WAIT is on its side.
    """
    source, ports = own_source(), some_ports(50)
    with target("--workers", "1") as server:
        for name in ("first", "second"):
            with (
                coordinator(tmp_path / name, *BRIEF, "--max", "50", server.ws) as coord,
                agent(coord.url, "--source", source, *option(ports), "--once"),
            ):
                ended_well(coord, 50)


# --- A network of its own
# ---------------------------------------------------------------------------------------------


class Network(Command):
    """A network namespace with loopback only, which lasts as long as this process."""

    def __init__(self, **settings: str) -> None:
        commands = [f"echo {value} > /proc/sys/net/ipv4/{name}" for name, value in settings.items()]
        script = " && ".join(["ip link set lo up", *commands, "echo ready", "exec sleep infinity"])
        super().__init__(["unshare", "--net", "sh", "-c", script])
        self.says("ready")

    def coordinator(self, out: Path, *arguments: str, **variables: str) -> "Local":
        """Starts a coordinator in this network, with one agent and a target."""
        return Local(["nsenter", f"--net=/proc/{self.pid}/ns/net"], out, arguments, variables)


class Local(Coordinator):
    """A coordinator that can't be asked from outside of its network."""

    def __init__(
        self, before: list[str], out: Path, arguments: tuple[str, ...], variables: dict[str, str]
    ) -> None:
        self._folder = out
        options = (
            "--local",
            "1",
            "--with-target",
            "--out",
            str(out),
            "--rate",
            "1000",
            "--ping",
            "none",
            *arguments,
        )
        Command.__init__(
            self, [*before, *command("loadgen-coord", *options)], env=environment() | variables
        )


@contextmanager
def network(**settings: str) -> Iterator[Network]:
    """Runs a network with settings under net.ipv4.

    Skips the test where this user may not.
    """
    if os.geteuid() or not (
        shutil.which("unshare") and shutil.which("nsenter") and shutil.which("ip")
    ):
        pytest.skip("needs root, util-linux and iproute2: it makes a network namespace")
    with closing(Network(**settings)) as made:
        yield made


def test_reserved_ports_are_not_used(tmp_path):
    """The 91st connection finds none of a hundred ports.

    Ten of them are reserved.
    """
    with network(ip_local_reserved_ports="20010-20019") as made:
        options = ("--max", "91", "--hold", "1")
        with closing(
            made.coordinator(tmp_path, *options, LOADGEN_AGENT_PORTS="20000-20099")
        ) as coord:
            assert ended_well(coord, 90, no_local_port=1)["ports_skipped"] == 0
            preflight = json.loads((coord.folder / "run.json").read_text())["agents"][0][
                "preflight"
            ]
    assert "100 ports less 10 left out (reserved" in preflight


def accepted(out: Path) -> int:
    """Returns how many connections were accepted by the newest second of a run."""
    lines = [
        line for path in out.glob("*/seconds.ndjson") for line in path.read_text().splitlines()
    ]
    return int(json.loads(lines[-1])["fleet"]["ledger"]["accepted"]) if lines else 0


@pytest.mark.parametrize(("timestamps", "skipped"), [("1", 0), ("0", 50)])
def test_ports_in_time_wait_are_used_or_skipped_and_counted(tmp_path, timestamps, skipped):
    """The agent is killed, so the client's side closes first and waits.

    With timestamps the kernel takes such a pair back for a socket that is bound to its port,
    whatever tcp_tw_reuse says (`tcp_twsk_unique`, where `twp` is NULL); without them it does not.
    """
    used = [(LOCAL, port) for port in range(20_000, 20_050)]
    ports = {"LOADGEN_AGENT_PORTS": "20000-20099"}
    with network(tcp_tw_reuse="0", tcp_timestamps=timestamps) as made:
        with closing(
            made.coordinator(tmp_path / "killed", "--max", "50", "--hold", "600", **ports)
        ) as coord:
            # With a message that it has not read, the kernel would reset the connection.
            eventually(
                lambda: accepted(tmp_path / "killed") == 50, "50 are open, and have read all"
            )
            assert local_ends(ESTABLISHED, [LOCAL], made.pid) == used
            os.kill(local_agents(coord.pid)["local-1"], signal.SIGKILL)
            eventually(
                lambda: local_ends(TIME_WAIT, [LOCAL], made.pid) == used,
                "all their ports wait",
            )
        with closing(
            made.coordinator(tmp_path / "again", "--max", "50", "--hold", "1", **ports)
        ) as coord:
            assert ended_well(coord, 50)["ports_skipped"] == skipped
