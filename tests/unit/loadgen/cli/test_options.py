"""Values of the command line, and how a command ends."""

import sys

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.cli.options import DURATION, ENDPOINT, HOLD, RATE, CountType, run_command
from loadgen.errors import FleetError, OperatorError, PlanError
from loadgen.values import Endpoint
from loadgen.version import VERSION

PROGRAM = "loadgen-x"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("30s", 30),
        ("500ms", 0.5),
        ("5m", 300),
        ("1h", 3600),
        ("1.5h", 5400),
        ("0", 0),
        ("0.25s", 0.25),
        (" 30 s ", 30),
        (30, 30),
        (2.5, 2.5),
    ],
)
def test_a_duration_is_seconds(text, seconds):
    assert DURATION.convert(text, None, None) == pytest.approx(seconds)


def test_a_hold_is_a_duration_or_the_sessions():
    assert (HOLD.convert("5m", None, None), HOLD.convert("sessions", None, None)) == (
        300.0,
        "sessions",
    )
    with pytest.raises(click.BadParameter, match="'forever' is not a duration"):
        HOLD.convert("forever", None, None)


@pytest.mark.parametrize(
    "text",
    ["", "s", "-1", "-1s", "abc", "30x", "30 sec", "5m30s", "1,5", "inf", "nan", "1e3", "0x10"],
)
def test_other_text_is_no_duration_and_is_quoted(text):
    with pytest.raises(click.BadParameter) as caught:
        DURATION.convert(text, None, None)

    assert repr(text) in caught.value.message


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:9505", Endpoint("127.0.0.1", 9505)),
        ("localhost:0", Endpoint("localhost", 0)),
        ("target-1.example.org:65535", Endpoint("target-1.example.org", 65535)),
        ("[::1]:8091", Endpoint("::1", 8091)),
        ("[fe80::1%eth0]:1", Endpoint("fe80::1%eth0", 1)),
        ("[::ffff:10.0.0.1]:80", Endpoint("::ffff:10.0.0.1", 80)),
    ],
)
def test_an_endpoint_is_host_and_port_and_writes_itself_the_same(text, endpoint):
    assert ENDPOINT.convert(text, None, None) == endpoint
    assert str(endpoint) == text


def test_an_endpoint_that_is_one_already_stays():
    assert ENDPOINT.convert(Endpoint("::1", 1), None, None) == Endpoint("::1", 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1",
        "9505",
        ":9505",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "host:-1",
        "host:http",
        "::1:80",
        "[::1]",
        "[]:80",
    ],
)
def test_other_text_is_no_endpoint_and_is_quoted(text):
    with pytest.raises(click.BadParameter) as caught:
        ENDPOINT.convert(text, None, None)

    assert repr(text) in caught.value.message


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_may_be_an_endpoint(address, port):
    endpoint = Endpoint(str(address), port)

    assert ENDPOINT.convert(str(endpoint), None, None) == endpoint


@pytest.mark.parametrize(
    ("text", "rate"), [("2000", 2000), ("0.5", 0.5), ("1e3", 1000), (2000, 2000), (0.25, 0.25)]
)
def test_a_rate_is_arrivals_per_second(text, rate):
    assert RATE.convert(text, None, None) == rate


@pytest.mark.parametrize(
    "text", ["0", "-1", "-0.0", "nan", "inf", "-inf", "1e999", "abc", "", "10/s"]
)
def test_other_text_is_no_rate_and_is_quoted(text):
    with pytest.raises(click.BadParameter) as caught:
        RATE.convert(text, None, None)

    assert repr(text) in caught.value.message


# Running a command


def command(outcome: object = None) -> click.Command:
    """Returns a command that prints its rate, and then raises or returns the outcome."""

    @click.command()
    @click.option("--rate", type=RATE, default=2000.0)
    @click.option("--hold-for", type=DURATION, default=60.0)
    def run(rate: float, hold_for: float) -> object:
        """Loads."""
        click.echo(f"rate={rate:g} hold={hold_for:g}")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return run


@pytest.fixture
def ran(monkeypatch, capsys):
    """Runs a command; returns its exit code, standard output and standard error."""

    def run(tried: click.Command, *arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", [PROGRAM, *arguments])
        with pytest.raises(SystemExit) as ended:
            run_command(tried, PROGRAM)
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(("outcome", "code"), [(None, 0), (0, 0), (1, 1), (3, 3), ("text", 0)])
def test_a_command_ends_with_the_code_it_returns(ran, outcome, code):
    assert ran(command(outcome), "--rate", "7", "--hold-for", "1m") == (
        code,
        "rate=7 hold=60\n",
        "",
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "0"], "--rate"),
        (["--rate", "many"], "'many' is not a rate"),
        (["--hold-for", "long"], "--hold-for"),
        (["--rate"], "--rate"),
        (["--speed", "3"], "--speed"),
        (["extra"], "extra"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(ran, arguments, words):
    code, out, err = ran(command(), *arguments)

    assert (code, out) == (2, "")
    assert err.startswith(f"{PROGRAM}: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert words in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OperatorError("wrong here; fix it so"), 2),
        (PlanError("the plan:\n  has\tlines"), 2),
        (FleetError("client3 is missing"), 3),
        (click.ClickException("no such thing"), 2),
        (click.UsageError("not so"), 2),
    ],
)
def test_an_operators_error_is_one_line_with_its_own_exit_code(ran, error, code):
    ended, _, err = ran(command(error))

    assert ended == code
    assert err == f"{PROGRAM}: {' '.join(str(error).split())}\n"


def test_errors_that_were_found_at_once_are_a_line_each(ran):
    error = PlanError("f:3: wrong; fix it", ["f:5: wrong,\ntoo; fix it", "f:9: no; fix it"])

    code, _, err = ran(command(error))
    assert (code, err) == (
        2,
        f"{PROGRAM}: f:3: wrong; fix it\n{PROGRAM}: f:5: wrong, too; fix it\n"
        f"{PROGRAM}: f:9: no; fix it\n",
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_a_command_stopped_by_hand_ends_with_130(ran, error):
    code, _, err = ran(command(error))

    assert code == 130
    assert "Traceback" not in err


def test_our_own_bug_is_not_hidden(monkeypatch):
    monkeypatch.setattr(sys, "argv", [PROGRAM])
    with pytest.raises(ZeroDivisionError):
        run_command(command(ZeroDivisionError()), PROGRAM)


def test_every_option_is_read_from_the_environment(ran, monkeypatch):
    monkeypatch.setenv("LOADGEN_X_RATE", "12")
    monkeypatch.setenv("LOADGEN_X_HOLD_FOR", "2m")

    assert ran(command()) == (0, "rate=12 hold=120\n", "")


def test_the_command_line_goes_before_the_environment(ran, monkeypatch):
    monkeypatch.setenv("LOADGEN_X_RATE", "12")

    assert ran(command(), "--rate", "13") == (0, "rate=13 hold=60\n", "")


def test_a_mistake_in_the_environment_is_one_line_too(ran, monkeypatch):
    monkeypatch.setenv("LOADGEN_X_RATE", "fast")
    code, out, err = ran(command())

    assert (code, out) == (2, "")
    assert err.startswith(f"{PROGRAM}: ")
    assert err.count("\n") == 1
    assert "'fast'" in err


def test_version_and_help(ran):
    assert ran(command(), "--version") == (0, f"{PROGRAM}, version {VERSION}\n", "")

    code, out, err = ran(command(), "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: {PROGRAM} ")


def test_a_group_without_a_command_shows_its_help_in_lines(ran):
    code, out, err = ran(click.Group("x", commands={"check": command()}))

    assert code == 2
    assert f"Usage: {PROGRAM} " in out + err
    assert "\n  check" in out + err


@pytest.mark.parametrize("text", ["1000", "1_000", "1,000", "1e3"])
def test_a_count_is_a_whole_number(text):
    assert CountType(min=1).convert(text, None, None) == 1000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.5", "not a whole number"),
        ("many", "not a whole number"),
        ("1e999", "not a whole number"),
        ("0", "0 is not in the range x>=1"),
    ],
)
def test_what_is_no_count_is_refused(text, said):
    with pytest.raises(click.BadParameter, match=said):
        CountType(min=1).convert(text, None, None)
