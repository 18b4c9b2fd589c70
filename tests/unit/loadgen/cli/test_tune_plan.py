"""`loadgen-tune plan` prints what a load needs, as tables and as JSON."""

import json
import re
import shlex

import pytest

from loadgen.cli.options import MEMORY, PER_SECOND, SPEED
from loadgen.cli.tune_plan import offer_for
from loadgen.machine.bill import Demand
from loadgen.machine.fleet import ClientMachine
from tests.processes import run


def plan(*arguments, **options):
    return run("loadgen-tune", "plan", *arguments, **options)


def test_the_reference_run_is_sixteen_machines_with_their_commands():
    done = plan("--addresses", "1")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "16 client machines of 4 cores and 16.0 GiB with 1 source address: 15 would have too few"
        " source addresses\n"
    )
    assert re.search(r"^ connections +62,500 +1,000,000 +1,000,000 *$", done.stdout, re.M)
    assert re.search(r"^ workers +4 +64 *$", done.stdout, re.M)
    assert "workers of a client: 4, one a core\n" in done.stdout
    assert "client: net.ipv4.ip_local_port_range=1024 65535\n" in done.stdout
    assert "target: net.core.somaxconn=16384\n" in done.stdout
    assert "    loadgen-coord --agents 16 " in done.stdout


def test_what_was_never_measured_is_told():
    assert "not measured: 250,000 connections of one worker" in plan().stdout


def test_json_has_the_same_on_one_line():
    done = plan("--json", "--tls", "--messages", "6/m", "--memory", "8GB", "--silent")
    told = json.loads(done.stdout)

    assert done.stdout.count("\n") == 1
    assert told["demand"] == {
        "connections": 1_000_000,
        "rate": 2000.0,
        "think": 0.0,
        "messages": 0.1,
        "tls": True,
    }
    assert told["machine"]["memory"] == 8_000_000_000
    assert told["fleet"]["machines"] >= 5
    assert told["fleet"]["bill"].keys() == {
        "opening_cores",
        "held_cores",
        "agent_bytes",
        "worker_bytes",
        "user_bytes",
        "kernel_bytes",
    }
    assert told["commands"].keys() == {"machine under load", "each client", "coordinator"}


def test_the_speed_of_this_machine_is_measured():
    told = json.loads(plan("--json", "--speed", "here").stdout)

    assert told["machine"]["speed"] > 0


@pytest.mark.parametrize(
    "demand",
    [Demand(1_000_000, 2_000.0, 30.0), Demand(100, 2.5), Demand(5_000, 100.0, 1.5, tls=True)],
)
def test_the_command_of_the_coordinator_is_one_that_it_understands(demand):
    (line,) = offer_for(demand, ClientMachine()).commands["coordinator"]
    words = shlex.split(line.replace("TARGET:PORT/PATH", "127.0.0.1:9/"))
    there = [word for word in words[1:] if word not in ("--listen", "0.0.0.0:8091")]
    there = [word for word in there if word not in ("--token-file", "token")]

    done = run(words[0], *there, "--dry-run")

    assert done.returncode == 0, done.stderr
    assert f"{demand.connections:,}" in done.stdout


def test_the_command_of_an_agent_names_its_addresses_where_it_has_several():
    one, many = (
        offer_for(Demand(1_000_000, 2_000.0, 30.0), ClientMachine(addresses=addresses)).commands
        for addresses in (1, None)
    )

    assert "--max-connections 62500" in one["each client"][-1]
    assert "--source" not in one["each client"][-1]
    assert many["each client"][-1].endswith(" --source FIRST-LAST")


@pytest.mark.parametrize(
    ("arguments", "about"),
    [
        (("--think", "0"), "--think 0"),
        (("--connections", "0"), "--connections"),
        (("--connections", "many"), "--connections"),
        (("--rate", "-1"), "--rate"),
        (("--messages", "10"), "'10' is not a number a second; write 10/s, 6/m or 1/h"),
        (("--memory", "16"), "'16' is not a size; write 16GB, 16GiB or 512MiB"),
        (("--memory", "0GB"), "'0GB' is no memory; write for example 16GB"),
        (("--cores", "0"), "--cores"),
        (("--speed", "0"), "'0' is not a speed; write a number above 0, or here"),
        (("--speed", "nan"), "'nan' is not a speed"),
        (("--speed", "there"), "'there' is not a speed"),
        (("--addresses", "0"), "--addresses"),
        (("--descriptors", "1"), "--descriptors"),
        (("--connections", "1e9", "--memory", "1GB"), "1,000 machines of 4 cores"),
        (("extra",), "extra"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, about):
    done = plan(*arguments)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("loadgen-tune: ")
    assert done.stderr.count("\n") == 1
    assert about in done.stderr


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (MEMORY, "16GB", 16_000_000_000),
        (MEMORY, "16GiB", 16 << 30),
        (MEMORY, "1.5G", 3 << 29),
        (MEMORY, "512 MiB", 512 << 20),
        (PER_SECOND, "10/s", 10.0),
        (PER_SECOND, "6/m", 0.1),
        (PER_SECOND, "1/h", 1 / 3600),
        (SPEED, "here", "here"),
        (SPEED, "1.5", 1.5),
    ],
)
def test_options_have_units(kind, text, value):
    assert kind.convert(text, None, None) == value
