"""A Tsung configuration from the command line to the ledger.

Agents and the embedded target are real, and nothing is done by hand.
"""

import signal
import subprocess
from pathlib import Path

import pytest

from loadgen.planfile import read_plan
from tests.login_server import login_process
from tests.processes import command, coordinator, eventually, free_port, get_json, run
from tests.unit.tsung_reader import read_json, read_text, totals

APPWRITE = Path(__file__).parents[1] / "unit" / "coordinator" / "tsung" / "taken" / "appwrite.xml"
TALK = """<?xml version="1.0"?>
<tsung>
  <clients><client host="localhost" use_controller_vm="true"/></clients>
  <servers><server host="realtime.invalid" port="9505" type="tcp"/></servers>
  <load>
    <arrivalphase phase="1" duration="1" unit="second">
      <users arrivalrate="40" unit="second"/>
    </arrivalphase>
  </load>
  <options><option name="file_server" id="words" value="words.csv"/></options>
  <sessions>
    <session name="talk" probability="100" type="ts_websocket">
      <request>
        <websocket type="connect" path="/v1/realtime?project=console&amp;channels[]=files"/>
      </request>
      <thinktime value="0.2"/>
      <setdynvars sourcetype="file" fileid="words"><var name="word"/></setdynvars>
      <transaction name="ping">
        <request subst="true">
          <match do="abort" when="nomatch">pong</match>
          <websocket type="message" frame="text">{"type":"%%_word%%"}</websocket>
        </request>
      </transaction>
      <for var="i" from="1" to="3"><thinktime value="0.1"/></for>
      <request><websocket type="close"/></request>
    </session>
  </sessions>
</tsung>
"""


MIXED = """<?xml version="1.0"?>
<!DOCTYPE tsung SYSTEM "tsung-1.0.dtd">
<tsung>
  <clients><client host="localhost" use_controller_vm="true"/></clients>
  <servers><server host="127.0.0.1" port="{port}" type="tcp"/></servers>
  <load>
    <arrivalphase phase="1" duration="1" unit="second">
      <users arrivalrate="40" unit="second"/>
    </arrivalphase>
  </load>
  <options><option name="websocket_frame" value="text"/></options>
  <sessions>
    <session name="rooms" weight="1" type="ts_websocket">
      <request><websocket type="connect" path="/ws"/></request>
      <request subst="true">
        <match do="abort" when="nomatch" subst="true">^:join:%%_tsung_userid%%$</match>
        <websocket type="message" frame="text">join:%%ts_user_server:get_unique_id%%</websocket>
      </request>
      <request><websocket type="close"/></request>
    </session>
    <session name="member" weight="1" type="ts_http">
      <request subst="true">
        <match do="abort" when="nomatch">^HTTP/1.1 200 OK</match>
        <dyn_variable name="token" jsonpath="$.token"/>
        <http url="/login" method="POST" content_type="application/json"
              contents='{{"user":"u%%_tsung_userid%%"}}'/>
      </request>
      <request>
        <match do="abort" when="nomatch" skip_headers="http">^{{"sid": "c-u</match>
        <http url="/me"/>
      </request>
      <change_type new_type="ts_websocket" host="127.0.0.1" port="{port}" server_type="tcp"
                   bidi="true"/>
      <request subst="true"><websocket type="connect" path="/ws?token=%%_token%%"/></request>
      <request subst="true">
        <match do="abort" when="nomatch" subst="true">^t-u%%_tsung_userid%%:join</match>
        <websocket type="message" frame="text">join:%%_tsung_userid%%</websocket>
      </request>
      <request><websocket type="close"/></request>
    </session>
    <session name="listener" weight="1" type="ts_websocket">
      <request><websocket type="connect" path="/ws"/></request>
      <request subst="true">
        <websocket type="message" frame="text">join:%%_tsung_userid%%</websocket>
      </request>
      <thinktime value="wait_bidi"/>
    </session>
  </sessions>
</tsung>
"""


@pytest.fixture
def talk(tmp_path_factory):
    """A configuration whose users ping once and leave, all of them on this machine."""
    folder = tmp_path_factory.mktemp("tsung")
    (folder / "words.csv").write_text("ping\n")
    (folder / "talk.xml").write_text(TALK)
    return folder / "talk.xml"


def test_a_configuration_runs_and_its_users_are_in_the_ledger(tmp_path, talk):
    """Without --agents and --local one agent is started here.

    This machine is the configuration's only host.
    """
    with coordinator(
        tmp_path, "--tsung", str(talk), "--with-target=appwrite", f"ws://127.0.0.1:{free_port()}"
    ) as coord:
        assert coord.end() == 0
        summary = coord.summary()
        assert (summary["planned"], summary["opened"], summary["closed"]) == (40, 40, {"done": 40})
        assert summary["counters"] == {
            "match": 40,
            "async_unknown_data_rcv": 40,
        }  # the server greets, unasked
        assert {name: timing["count"] for name, timing in summary["timings"].items()} == {
            "request": 120, "page": 120, "session": 40, "tr_ping": 40,
        }  # fmt: skip
        counted = totals(read_text((coord.folder / "tsung.log").read_text()))
    told = summary["counters"] | {
        name: timing["count"] for name, timing in summary["timings"].items()
    }
    assert {name: counted[name] for name in told} == told
    assert (
        counted["users_count"] == counted["finish_users_count"] == counted["websocket_succ"] == 40
    )


def test_a_configuration_that_asks_for_tsungs_json_gets_it(tmp_path, talk):
    talk.write_text(TALK.replace("<tsung>", '<tsung backend="json">'))
    target = f"ws://127.0.0.1:{free_port()}"
    with coordinator(tmp_path, "--tsung", str(talk), "--with-target=appwrite", target) as coord:
        assert coord.end() == 0
    assert totals(read_json((coord.folder / "tsung.log").read_text()))["users_count"] == 40


def test_the_reference_run_holds_its_connections_in_silence(tmp_path):
    """Its file as it is, on this machine instead of its hosts, and with fewer users."""
    port = free_port()
    options = (
        "--tsung",
        str(APPWRITE),
        "--max",
        "60",
        "--local",
        "2",
        "--with-target",
        f"ws://127.0.0.1:{port}",
    )
    with coordinator(tmp_path, *options) as coord:
        assert coord.url
        stats = f"http://127.0.0.1:{port}/stats"
        eventually(lambda: get_json(stats)["open"] == 60, lambda: f"60 open: {get_json(stats)}")
        coord.send(signal.SIGINT)
        assert coord.end() == 130
        summary = coord.summary()
        assert (summary["opened"], summary["closed"], summary["messages_sent"]) == (
            60,
            {"drained": 60},
            0,
        )


def test_users_have_unique_ids_log_in_over_http_and_wait_for_ever(tmp_path, talk):
    """The third of the users that never leaves is drained, once the hold is over."""
    with login_process() as port:
        talk.write_text(MIXED.format(port=port))
        with coordinator(tmp_path, "--tsung", str(talk), "--hold", "3") as coord:
            assert coord.end() == 0, coord.err
            summary = coord.summary()
            counted = totals(read_text((coord.folder / "tsung.log").read_text()))
        messages = get_json(f"http://127.0.0.1:{port}/messages")

    assert sorted(messages) == sorted(f"join:{number}" for number in range(1, 41))
    assert summary["closed"].keys() == {"done", "drained"}
    assert sum(summary["closed"].values()) == 40
    members = summary["http_replies"]["200"] // 2
    assert summary["http_requests"] == counted["200"] == members * 2 > 0
    others = summary["closed"]["done"] - members
    assert summary["counters"]["match"] == 3 * members + others
    assert "nomatch" not in summary["counters"]


def test_what_is_left_out_is_said_and_the_plan_can_be_written(tmp_path, talk):
    written = tmp_path / "plan.toml"
    ended = run("loadgen-coord", "--tsung", str(talk), "--write-plan", str(written))

    assert (ended.returncode, ended.stdout) == (0, f"plan written: {written}\n")
    assert ended.stderr.splitlines() == [
        f"loadgen-coord: {talk}:14: no Origin header is sent, where Tsung sends the bare host name;"
        ' origin="…" sends one'
    ]
    plan = read_plan(written)
    assert (plan.target, plan.hold, plan.files) == (
        "ws://realtime.invalid:9505/v1/realtime?project=console&channels[]=files",
        "sessions",
        {"words": "ping\n"},
    )


def test_standard_input_may_be_the_configuration(tmp_path):
    written = tmp_path / "plan.toml"
    ended = subprocess.run(
        command(
            "loadgen-coord",
            "--tsung",
            "-",
            "--max",
            "7",
            "--hold",
            "5m",
            "--write-plan",
            str(written),
        ),
        input=APPWRITE.read_text(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0
    assert "standard input:38: " in ended.stderr
    assert (read_plan(written).max, read_plan(written).hold) == (7, 300)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rate", "5"], ["--tsung", "what --rate sets", "leave one of them out"]),
        (["--plan", "x.toml"], ["what --plan sets"]),
        (["--session", "x.py"], ["what --session sets"]),
        (["ws://127.0.0.1:9505/path"], ["ws://HOST:PORT, without a path"]),
    ],
)
def test_what_the_configuration_says_is_not_said_twice(talk, options, words):
    ended = run("loadgen-coord", "--tsung", str(talk), *options)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1
    assert [word for word in words if word not in ended.stderr] == []


def test_a_mistake_in_the_configuration_is_one_line(talk):
    talk.write_text(TALK.replace('value="0.2"', 'value="soon"'))
    ended = run("loadgen-coord", "--tsung", str(talk))

    assert (ended.returncode, ended.stdout) == (2, "")
    assert (
        ended.stderr
        == f"loadgen-coord: {talk}:16: value='soon' of <thinktime> is not a number above 0; write"
        " one\n"
    )
