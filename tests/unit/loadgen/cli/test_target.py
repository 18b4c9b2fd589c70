"""The command `loadgen-target`: its options, and one target from start to end."""

import os
import signal
import socket
from contextlib import closing

import pytest
from click.testing import CliRunner

from loadgen.cli.target import command
from loadgen.errors import OperatorError
from loadgen.target.settings import LEGAL
from tests.processes import Command, get_json, run
from tests.processes import command as line_of


def test_the_help_shows_every_option_and_every_fault():
    text = CliRunner().invoke(command, ["--help"], terminal_width=200).output

    assert all(option in text for param in command.params for option in param.opts)
    assert "[default: 127.0.0.1:9505]" in text
    words = "".join(text.split())
    assert all(fault in words for fault in LEGAL)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--speed", "1"], "No such option"),
        (["--listen", "here"], "'here' is not HOST:PORT"),
        (["--workers", "0"], "0 is not in the range"),
        (["--limit", "-1"], "-1 is not in the range"),
        (["--mode", "chat"], "'chat' is not one of"),
    ],
)
def test_a_wrong_option_is_a_usage_error(arguments, complaint):
    result = CliRunner().invoke(command, arguments)

    assert result.exit_code == 2
    assert complaint in result.output


@pytest.mark.parametrize(
    ("vice", "complaint"),
    [
        ("sleep", f"--vice 'sleep' is unknown; the legal ones are {', '.join(LEGAL)}"),
        ("refuse=1", "--vice 'refuse' takes no value; those that take seconds are"),
        ("reset=soon", "--vice 'reset': "),
    ],
)
def test_a_fault_that_is_none_is_refused_before_anything_listens(vice, complaint):
    result = CliRunner().invoke(command, ["--vice", vice], standalone_mode=False)

    assert isinstance(result.exception, OperatorError)
    assert str(result.exception).startswith(complaint)


def test_a_target_says_once_where_it_listens_and_ends_on_sigterm_with_0():
    options = ("--listen", "127.0.0.1:0", "--workers", "1", "--limit", "7", "--mode", "appwrite")
    with closing(Command(line_of("loadgen-target", *options))) as target:
        port = target.says(r"^loadgen-target: listening on ws://127\.0\.0\.1:(\d+)/v1/realtime ")[1]
        stats = get_json(f"http://127.0.0.1:{port}/stats")
        target.send(signal.SIGTERM)

        assert target.end() == 0
        assert target.out.endswith("(1 workers, limit 7, mode appwrite)\n")
        assert target.out.count("\n") == 1
        assert target.err == ""
    assert (stats["workers"], stats["limit"], stats["mode"]) == (1, 7, "appwrite")


def test_a_port_that_is_taken_is_one_line_and_2():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("loadgen-target", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")

    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("loadgen-target: ")


def test_an_option_may_come_from_the_environment():
    done = run("loadgen-target", env=os.environ | {"LOADGEN_TARGET_LISTEN": "here"})

    assert done.returncode == 2
    assert "'here' is not HOST:PORT" in done.stderr
