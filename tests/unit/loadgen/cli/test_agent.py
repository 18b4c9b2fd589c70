"""The command `loadgen-agent` without a run.

The tests are about its options, its metrics page and its end.
"""

import signal
import socket
from contextlib import closing

import click
import pytest
from click.testing import CliRunner

from loadgen.cli.agent import agent
from loadgen.errors import OperatorError
from tests.processes import Command, command, get, get_json, run
from tests.processes import agent as running_agent

NOWHERE = "http://127.0.0.1:9"
"""A coordinator that does not answer."""


def invoke(*arguments):
    """Runs the command in this process; an error of it is in the result."""
    return CliRunner().invoke(agent, list(map(str, arguments)), standalone_mode=False)


def test_the_help_shows_every_option_with_its_default():
    text = CliRunner().invoke(agent, ["--help"], terminal_width=200).output

    assert all(option in text for param in agent.params for option in param.opts)
    assert "[default: http://127.0.0.1:8091]" in text
    assert "(what the plan says, or 64000)" in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--speed", "1"], "No such option"),
        (["--workers", "0"], "0 is not in the range"),
        (["--max-connections", "0"], "0 is not in the range"),
        (["--metrics", "here"], "'here' is not HOST:PORT"),
        (["--orphan-after", "soon"], "'soon' is not"),
        (["--coordinator", "here"], "'here' is not a URL; write http://HOST:8091"),
        (["--coordinator", "http://a@here"], "is not a URL"),
        (["--coordinator", "http://here/?run=1"], "is not a URL"),
    ],
)
def test_a_wrong_option_is_a_usage_error(arguments, complaint):
    result = CliRunner().invoke(agent, arguments)

    assert result.exit_code == 2
    assert complaint in result.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["--tls-ca", "ca.pem"],
            "--tls-ca has no effect with --coordinator http://127.0.0.1:8091; write https://, or"
            " leave --tls-ca out",
        ),
        (
            ["--tls-fingerprint", "00", "--coordinator", "http://here:1"],
            "--tls-fingerprint has no effect with --coordinator http://here:1; write https://, or"
            " leave --tls-fingerprint out",
        ),
        (["--coordinator", "https://here", "--tls-ca", "none.pem"], "--tls-ca none.pem can't be"),
        (["--token-file", "none"], "--token-file none"),
        (["--source", "192.0.2.7"], "source 192.0.2.7 is no address of this machine"),
        (["--ports", "70000"], "ports '70000' are not MIN-MAX"),
        (["--allow-target", "10.0.0.0/99"], "--allow-target '10.0.0.0/99' is neither a network"),
    ],
)
def test_what_this_machine_cannot_do_is_an_error_before_the_agent_joins(
    arguments, complaint, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)

    assert isinstance(result.exception, OperatorError | click.BadParameter)
    assert str(result.exception).startswith(complaint)


def test_a_waiting_agent_serves_its_metrics_and_ends_on_a_signal_with_0():
    with running_agent(NOWHERE) as waiting:
        page = waiting.page
        waiting.says(f"waiting for a coordinator at {NOWHERE}")
        health = get_json(f"{page}/healthz")
        metrics = get(f"{page}/metrics")
        waiting.send(signal.SIGTERM)

        assert waiting.end() == 0
        assert waiting.out == ""
        assert waiting.err.endswith("loadgen-agent: stopped\n")
    assert health == {"status": "ok", "running": False}
    assert "loadgen_connections_opened_total 0.0\n" in metrics


def test_agents_of_one_machine_get_metrics_pages_of_their_own():
    """Where another one has the default port, the kernel chooses a free one."""
    line = command("loadgen-agent", "--coordinator", NOWHERE)
    with closing(Command(line)) as one, closing(Command(line)) as other:
        pages = {waiting.says(r"metrics at (http://\S+)/metrics")[1] for waiting in (one, other)}

        assert len(pages) == 2
        for page in pages:
            assert get_json(f"{page}/healthz") == {"status": "ok", "running": False}


def test_a_monitor_joins_no_coordinator_and_shows_its_machine():
    options = ("--monitor", "--metrics", "127.0.0.1:0")
    with closing(Command(command("loadgen-agent", *options))) as monitor:
        page = monitor.says(r"metrics at (http://\S+)/metrics")[1]
        metrics = get(f"{page}/metrics")
        monitor.send(signal.SIGTERM)

        assert monitor.end() == 0
        assert "waiting" not in monitor.err
    assert "node_memory_MemAvailable_bytes" in metrics


def test_a_metrics_port_that_is_asked_for_and_taken_is_one_line_and_2():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("loadgen-agent", "--coordinator", NOWHERE, "--metrics", at)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"loadgen-agent: --metrics {at} can't be had")


def test_a_token_that_leaves_the_machine_in_the_clear_or_that_others_can_read_is_a_warning(
    tmp_path,
):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    token.chmod(0o644)
    with running_agent("http://192.0.2.1:8091", "--token-file", str(token)) as waiting:
        waiting.says(
            "the token goes to http://192.0.2.1:8091 in the clear: anyone on the way can read it;"
            " use https://"
        )

        assert f"--token-file {token} can be read by others" in waiting.err
        assert "s3cret" not in waiting.err
