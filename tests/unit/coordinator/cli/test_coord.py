"""The command `loadgen-coord`: what it prints, writes and refuses without a run."""

import sys

import pytest
from click.testing import CliRunner

from coordinator.cli.coord import coord
from coordinator.storage.journal import Journal
from loadgen.errors import FleetError, OperatorError, PlanError
from loadgen.plan.feeder import Feeder
from loadgen.plan.feeder_file import keep_rows, with_rows
from loadgen.plan.plan import Plan
from loadgen.plan.transport import Transport
from loadgen.planfile import read_plan
from loadgen.values import Endpoint
from tests.unit.coordinator.folders import journal_head

LISTEN = Endpoint("127.0.0.1", 0)


def invoke(*arguments):
    """Runs the command in this process; an error of it is in the result."""
    return CliRunner().invoke(coord, list(map(str, arguments)), standalone_mode=False)


def interrupted(folder, feeders=(), **transport):
    """Writes the journal of a run that waited for three agents.

    Its coordinator died then.
    """
    plan = Plan(
        target="ws://127.0.0.1:9/", max=10, transport=Transport(**transport), feeders=feeders
    )
    Journal.begin(folder, journal_head(plan, wanted=3, on_loss="abort")).close()


def test_the_help_shows_every_option_with_its_default():
    text = CliRunner().invoke(coord, ["--help"]).output

    assert all(option in text for param in coord.params for option in param.opts if "-" in option)
    assert "[default: 127.0.0.1:8091]" in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--speed", "1"], "No such option"),
        (["--rate", "0"], "'0' is not a rate"),
        (["--max", "0"], "0 is not in the range"),
        (["--listen", "here"], "'here' is not HOST:PORT"),
        (["--on-loss", "panic"], "'panic' is not one of"),
    ],
)
def test_a_wrong_option_is_a_usage_error(arguments, complaint):
    result = CliRunner().invoke(coord, arguments)

    assert result.exit_code == 2
    assert complaint in result.output


def test_an_export_without_its_library_is_refused_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "influxdb_client", None)
    out = tmp_path / "runs"
    result = invoke("--export", "http://127.0.0.1:1/write", "--out", out)

    assert isinstance(result.exception, OperatorError)
    assert str(result.exception) == (
        "--export needs influxdb-client: pip install 'loadgen[influxdb]'"
    )
    assert not out.exists()


def test_a_dry_run_prints_the_plan_and_the_share_of_each_agent(tmp_path):
    out = tmp_path / "runs"
    result = invoke("--dry-run", "--local", 2, "--max", 1000, "--rate", 100, "--out", out)

    assert result.return_value == 0
    assert "1,000" in result.output
    assert "500" in result.output
    assert not out.exists()


def test_a_written_plan_is_the_plan_of_the_options(tmp_path):
    path = tmp_path / "plan.toml"
    result = invoke("ws://127.0.0.1:9/", "--max", 7, "--hold", "sessions", "--write-plan", path)

    assert (result.return_value, result.output) == (0, f"plan written: {path}\n")
    assert read_plan(path) == Plan(target="ws://127.0.0.1:9/", max=7, hold="sessions")


def test_a_plan_that_could_not_be_run_is_not_written(tmp_path):
    path = tmp_path / "plan.toml"
    result = invoke("ftp://10.0.0.1/", "--write-plan", path)

    assert isinstance(result.exception, OperatorError)
    assert not path.exists()


def test_a_plan_that_cannot_be_written_is_an_error_with_its_option(tmp_path):
    path = tmp_path / "none" / "plan.toml"
    result = invoke("--write-plan", path)

    assert isinstance(result.exception, OperatorError)
    assert str(result.exception) == f"--write-plan {path}: No such file or directory"


def test_a_written_plan_finds_the_rows_of_its_feeders(tmp_path):
    (tmp_path / "users.csv").write_text("id\nu0\nu1\n")
    (tmp_path / "rooms.py").write_text("def rows():\n    yield {'room': 1}\n")
    path = tmp_path / "written" / "plan.toml"
    path.parent.mkdir()
    feeders = ("--feeder", tmp_path / "users.csv", "--feeder", f"{tmp_path}/rooms.py:shared")
    result = invoke("ws://127.0.0.1:9/", "--max", 2, *feeders, "--write-plan", path)

    assert (result.return_value, result.output) == (0, f"plan written: {path}\n")
    users, rooms = read_plan(path).feeders
    assert (users.file, users.table) == (str(tmp_path / "users.csv"), b'["u0"]\n["u1"]\n')
    assert (rooms.format, rooms.mode, rooms.table) == ("jsonl", "shared", b"[1]\n")


def test_more_users_than_rows_are_an_error_of_the_command_line(tmp_path):
    (tmp_path / "users.csv").write_text("id\nu0\n")
    result = invoke("--max", 2, "--feeder", tmp_path / "users.csv", "--dry-run")

    assert isinstance(result.exception, PlanError)
    assert "'users' has 1 row for 2 users" in str(result.exception)


def test_an_expectation_that_is_none_is_refused_before_the_run():
    result = invoke("--expect", "speed>1")

    assert isinstance(result.exception, OperatorError)
    assert "speed" in str(result.exception)


def test_a_run_whose_agents_do_not_join_in_time_ends_with_the_reason(tmp_path):
    result = invoke("--agents", 2, "--wait", 0, "--listen", LISTEN, "--out", tmp_path)

    assert isinstance(result.exception, FleetError)
    assert "0 of 2 agents" in str(result.exception)


def test_a_resumed_run_has_the_options_of_its_journal(tmp_path):
    interrupted(tmp_path)
    result = invoke("--resume", tmp_path, "--wait", 0)

    assert isinstance(result.exception, FleetError)
    assert "0 of 3 agents" in str(result.exception)
    assert read_plan(tmp_path / "plan.toml").max == 10


def test_a_resumed_run_reads_the_files_of_its_plan_again(tmp_path):
    interrupted(tmp_path, tls_ca=str(tmp_path / "gone.pem"))
    result = invoke("--resume", tmp_path, "--wait", 0)

    assert isinstance(result.exception, PlanError)
    assert str(result.exception).startswith(f"`tls_ca` {tmp_path}/gone.pem: can't be read (No such")


def test_a_resumed_run_has_its_rows(tmp_path):
    users = with_rows(Feeder(rows=({"id": "u0"},), mode="shared"), None)
    keep_rows([users], tmp_path)
    interrupted(tmp_path, feeders=(users.kept,))
    result = invoke("--resume", tmp_path, "--wait", 0)

    assert isinstance(result.exception, FleetError)
    assert read_plan(tmp_path / "plan.toml").feeders[0].table == users.table


@pytest.mark.parametrize(
    ("option", "named"), [(["--on-loss", "abort"], "--on-loss"), (["ws://127.0.0.1:9/"], "TARGET")]
)
def test_an_option_that_the_resumed_run_has_already_is_refused(tmp_path, option, named):
    result = invoke("--resume", tmp_path, *option)

    assert isinstance(result.exception, PlanError)
    assert str(result.exception).endswith(f"leave {named} out")


def test_a_directory_without_a_run_cannot_be_resumed(tmp_path):
    result = invoke("--resume", tmp_path)

    assert isinstance(result.exception, OperatorError)
    assert "it is no run directory" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--rate", "5"], "--calibrate makes its own plan; leave --rate out"),
        (["--dry-run"], "leave --dry-run out"),
        (["--expect", "failed==0"], "leave --expect out"),
        (["wss://127.0.0.1:1/"], "speaks ws:// only"),
    ],
)
def test_what_makes_no_sense_beside_calibrate_is_refused(arguments, why):
    error = invoke("--calibrate", "--local", 1, *arguments).exception

    assert isinstance(error, PlanError)
    assert why in str(error)


def test_a_written_plan_has_what_is_expected_and_watched(tmp_path):
    path = tmp_path / "plan.toml"
    options = ("--expect", "failed<1%", "--abort-on", "lost>9", "--watch", "db=http://10.0.0.3/m")
    result = invoke("--write-plan", path, *options, "--param", "room=lobby")
    plan = read_plan(path)

    assert result.return_value == 0, result.exception
    assert (plan.expect, plan.abort_on) == (("failed<1%",), ("lost>9",))
    assert (plan.watch, plan.params) == (("db=http://10.0.0.3/m",), {"room": "lobby"})


def test_a_wrong_expectation_is_not_written(tmp_path):
    result = invoke("--write-plan", tmp_path / "plan.toml", "--expect", "speed>1")

    assert isinstance(result.exception, PlanError)
    assert not list(tmp_path.iterdir())
