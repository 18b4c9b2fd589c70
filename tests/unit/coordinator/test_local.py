"""Local processes: their command lines, and their end."""

import asyncio
import os
import resource
import sys
from itertools import pairwise

import pytest
from msgspec.structs import replace

from coordinator.local import Child, LocalAgents, LocalProcesses, local_names
from coordinator.preflight import TargetAddress
from loadgen.machine.facts import Machine
from loadgen.plan.plan import Plan
from loadgen.process import SPARE_DESCRIPTORS
from loadgen.values import Endpoint

LOOPBACK = TargetAddress("localhost", 9505, False, ("127.0.0.1",))
LISTEN = Endpoint("127.0.0.1", 8091)


def value(arguments, option):
    return arguments[arguments.index(option) + 1]


def test_each_agent_has_its_own_name_and_loopback_address():
    local_agents = LocalAgents(300, Plan(), [LOOPBACK], LISTEN)
    lines = [local_agents.arguments(number) for number in range(1, 301)]

    assert value(lines[0], "--coordinator") == "http://127.0.0.1:8091"
    assert value(lines[0], "--source") == "127.0.1.1"
    assert len({value(line, "--source") for line in lines}) == 300
    assert [value(line, "--name") for line in lines] == list(local_names(300))
    assert "--allow-target" not in lines[0]


def test_agents_hear_whether_their_workers_are_more_than_the_cores():
    cores = len(os.sched_getaffinity(0))

    assert "--crowded" not in LocalAgents(1, Plan(max=10), [LOOPBACK], LISTEN).arguments(1)
    assert "--crowded" in LocalAgents(cores + 1, Plan(max=10), [LOOPBACK], LISTEN).arguments(1)


def test_agents_may_load_a_target_elsewhere_and_connect_from_any_address(tmp_path):
    local_agents = LocalAgents(
        1,
        Plan(),
        [TargetAddress("far.example", 443, True, ("192.0.2.1",))],
        Endpoint("0.0.0.0", 1),
        tmp_path / "token",
    )
    line = local_agents.arguments(1)

    assert "--source" not in line
    assert value(line, "--allow-target") == "far.example"
    assert value(line, "--coordinator") == "http://127.0.0.1:1"
    assert value(line, "--token-file") == str(tmp_path / "token")


def test_each_target_elsewhere_is_allowed_once():
    far = [TargetAddress("far.example", port, True, ("192.0.2.1",)) for port in (443, 444)]
    line = LocalAgents(
        1,
        Plan(),
        [LOOPBACK, *far, TargetAddress("near.example", 80, False, ("192.0.2.2",))],
        LISTEN,
    ).arguments(1)

    assert [value for option, value in pairwise(line) if option == "--allow-target"] == [
        "far.example",
        "near.example",
    ]
    assert "--source" not in line


def test_the_path_of_a_unix_socket_is_allowed():
    targets = [LOOPBACK, TargetAddress("localhost", 80, False, (), "/run/app.sock")]
    line = LocalAgents(1, Plan(), targets, LISTEN).arguments(1)

    assert value(line, "--allow-target") == "/run/app.sock"
    assert value(line, "--source") == "127.0.1.1"


def test_no_ipv4_source_is_given_for_a_target_that_has_an_ipv6_address_too():
    both = TargetAddress("localhost", 9505, False, ("127.0.0.1", "::1"))
    assert "--source" not in LocalAgents(1, Plan(), [both], LISTEN).arguments(1)


def test_workers_follow_the_cores_and_the_descriptor_limit():
    cores = len(os.sched_getaffinity(0))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    assert LocalAgents(1, Plan(max=10), [LOOPBACK], LISTEN).workers() == cores
    assert LocalAgents(cores * 4, Plan(max=10), [LOOPBACK], LISTEN).workers() == 1
    needed = LocalAgents(1, Plan(max=64_000), [LOOPBACK], LISTEN).workers()
    assert needed * (hard - SPARE_DESCRIPTORS) >= 64_000


def test_local_agents_share_the_cores_and_the_memory():
    machine = Machine(cpus=64, nofile_hard=1 << 20, memory_available=4 << 30)
    alone, four = (
        LocalAgents(count, Plan(max=256_000), [LOOPBACK], LISTEN, machine=machine)
        for count in (1, 4)
    )

    assert alone.workers() == 64
    assert four.workers() == 16
    assert replace(four, machine=replace(machine, memory_available=2 << 30)).workers() == 5


@pytest.mark.parametrize("stubborn", [False, True])
async def test_processes_are_ended_also_when_they_ignore_sigterm(tmp_path, monkeypatch, stubborn):
    monkeypatch.setattr("coordinator.local.SIGTERM_TIMEOUT", 0.5)
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if stubborn else ""
    code = f"import signal, time; {ignore} print('up', flush=True); time.sleep(60)"
    local_processes, log = LocalProcesses(), tmp_path / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=output)
    ended = asyncio.ensure_future(process.wait())
    child = Child("c", ended, process.send_signal, log)
    local_processes.agents.append(child)
    while not child.log_lines():
        assert not await child.wait(0.05)

    await local_processes.terminate()

    assert child.ended
    assert child.describe_end() == f"was killed by {'SIGKILL' if stubborn else 'SIGTERM'}: up"


@pytest.mark.parametrize(
    ("proxy", "allowed", "sourced"),
    [
        (TargetAddress("127.0.0.1", 3128, False, ("127.0.0.1",)), ["localhost"], True),
        (
            TargetAddress("p.example", 3128, False, ("192.0.2.9",)),
            ["localhost", "p.example"],
            False,
        ),
        (TargetAddress("::1", 3128, False, ("::1",)), ["localhost"], False),
    ],
)
def test_a_proxy_is_allowed_too_and_loopback_beyond_it(proxy, allowed, sourced):
    line = LocalAgents(1, Plan(), [LOOPBACK], LISTEN, proxy=proxy).arguments(1)

    assert [host for option, host in pairwise(line) if option == "--allow-target"] == allowed
    assert ("--source" in line) == sourced
