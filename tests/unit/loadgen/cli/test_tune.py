import json
import re

import pytest

from loadgen.cli.tune import examine
from loadgen.machine.facts import Machine
from tests.processes import run

GIB = 1 << 30
SMALL = Machine(cpus=2, nofile_hard=1_048_576, memory_available=GIB, somaxconn=128)


def tune(*arguments, **options):
    return run("loadgen-tune", *arguments, **options)


def test_a_machine_that_holds_enough_exits_with_0():
    done = tune("check", "--connections", "10")

    assert done.returncode == 0
    assert done.stderr == ""
    last = done.stdout.splitlines()[-1]
    assert last.startswith("this machine can hold ")
    assert re.search(r" connections as client, limited by \w+: ", last)


def test_a_machine_that_falls_short_shows_the_fix_and_exits_with_1():
    done = tune("check", "--connections", "100000000")

    assert done.returncode == 1
    assert "needed for 100,000,000" in done.stdout
    assert re.search(
        r"^ source_ports .* [\d,]+ addresses .* short +--source FIRST-LAST with [\d,]+ addresses",
        done.stdout,
        re.M,
    )
    assert re.search(r" connections as client, limited by \w+: ", done.stdout.splitlines()[-1])


def test_connections_with_tls_take_more_memory():
    plain, secure = tune("capacity", "64000"), tune("capacity", "64000", "--tls")
    check = tune("check", "--connections", "10", "--tls")

    assert " 459 MiB " in plain.stdout
    assert " 2.2 GiB " in secure.stdout
    assert secure.stdout.endswith(
        "TLS: the clients' memory is in it; the CPU of handshakes is not\n"
    )
    assert re.search(r"^ memory .* at 34\.8 KiB ", check.stdout, re.M)


def test_without_a_terminal_the_table_is_plain_and_whole():
    done = tune("check", "--role", "target", "--connections", "100000000", env={"COLUMNS": "40"})
    rows = [line for line in done.stdout.splitlines() if line.strip().startswith("memory ")]

    assert "\x1b" not in done.stdout
    assert len(rows) == 1
    assert rows[0].rstrip().endswith("or share the load with more machines")


@pytest.mark.parametrize(("role", "connections"), [("client", 64_000), ("target", 1_000_000)])
def test_json_says_the_same_as_the_exit_code(role, connections):
    done = tune("check", "--role", role, "--json")
    told = json.loads(done.stdout)

    assert done.stdout.count("\n") == 1
    assert {"role", "connections", "holds", "first", "ok", "limits", "machine"} <= told.keys()
    assert (told["role"], told["connections"]) == (role, connections)
    assert told["holds"] == min(limit["connections"] for limit in told["limits"])
    assert told["first"] in {limit["resource"] for limit in told["limits"]}
    assert told["ok"] == (told["holds"] >= connections) == (done.returncode == 0)
    assert told["machine"]["nofile_hard"] > 0


@pytest.mark.parametrize(
    ("arguments", "about"),
    [
        ((), "Missing command"),
        (("check", "--connections", "0"), "--connections"),
        (("check", "--connections", "many"), "--connections"),
        (("check", "--role", "server"), "--role"),
        (("check", "--target-addresses", "-1"), "--target-addresses"),
        (("chekc",), "chekc"),
        (("check", "extra"), "extra"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, about):
    done = tune(*arguments)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("loadgen-tune: ")
    assert done.stderr.count("\n") == 1
    assert about in done.stderr


def test_options_come_from_the_environment_too():
    done = tune("check", "--json", env={"LOADGEN_TUNE_CHECK_CONNECTIONS": "12"})

    assert json.loads(done.stdout)["connections"] == 12


def test_a_check_assumes_the_workers_that_so_many_connections_need():
    few = Machine(cpus=2, nofile_hard=1_024, memory_available=64 * GIB)

    assert examine(few, "client", 60_000).ok
    assert examine(few, "target", 1_000_000).ok
    assert not examine(few, "target", 5_000_000).ok


def test_source_ports_are_counted_towards_each_address_of_the_target():
    told = [
        json.loads(tune("check", "--json", "--target-addresses", str(count)).stdout)["limits"]
        for count in (0, 1, 3)
    ]
    none, one, three = (
        [limit["connections"] for limit in limits if limit["resource"] == "source_ports"]
        for limits in told
    )
    assert none == []  # a Unix socket
    assert three == [3 * one[0]]


def test_a_check_says_why_there_are_that_many_workers():
    lines = tune("check", "--connections", "10").stdout.splitlines()
    few = Machine(cpus=2, nofile_hard=1_024)

    assert re.fullmatch(r"workers: [\d,]+, .+", lines[-2])
    assert examine(few, "client", 60_000).workers_reason == "a process may open 1,024 files"


def test_the_limiting_resource_is_named_with_what_it_holds():
    found = examine(SMALL, "target", 1_000_000)

    assert (found.first, found.ok) == ("memory", False)
    assert found.holds == next(
        limit.connections for limit in found.limits if limit.resource == "memory"
    )
    assert [item.resource for item in found.advice] == ["backlog"]
