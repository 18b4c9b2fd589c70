"""Each mistake of an operator is one line and its exit code.

There is no traceback and no wait. test_coordinator.py has what else `loadgen-coord` refuses,
test_agent.py the agent that waits for a coordinator.
"""

import asyncio
import socket
import subprocess
import sys
from contextlib import closing
from copy import copy
from pathlib import Path

import click
import pytest
from aiohttp import web

from coordinator.cli import coord, report
from loadgen.cli import agent as agent_command
from loadgen.cli import target, tune
from loadgen.cli.options import run_command
from tests.processes import BIN, Command, agent, command, coordinator, environment, free_port, run

COORD, AGENT, TARGET, TUNE, REPORT = (
    f"loadgen-{name}" for name in ("coord", "agent", "target", "tune", "report")
)
COMMANDS: dict[str, click.Command] = {
    COORD: coord.coord,
    AGENT: agent_command.agent,
    TARGET: target.command,
    TUNE: tune.command,
    REPORT: report.report,
}


@pytest.fixture
def busy():
    """A port on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def files(tmp_path):
    """A folder with unusable files."""
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "latin.toml").write_bytes('target = "ws://caf\xe9/"\n'.encode("latin-1"))
    (tmp_path / "unknown.toml").write_text("rats = 2000\n")
    (tmp_path / "torn.py").write_text("async def session(user:\n")
    (tmp_path / "plain.py").write_text("\ndef session(user): ...\n")
    (tmp_path / "torn.toml").write_text("rate = \n")
    (tmp_path / "wrong.toml").write_text('rate = "many"\n')
    (tmp_path / "phases.toml").write_text("hold = 5\n\n[[phases]]\nrate = 5\nmax = 5\n")
    (tmp_path / "endless.toml").write_text("hold = 5\n\n[[phases]]\nrate = 5\n")
    (tmp_path / "publish.toml").write_text('hold = 9\n\n[publish]\nbody = "{{stmp}}"\n')
    (tmp_path / "python.toml").write_text(
        '[[sessions]]\nkind = "python"\nname = "a"\nfile = "empty"\n'
    )
    return tmp_path


def one_line(ended: subprocess.CompletedProcess[str], code: int, program: str, *words: str) -> None:
    """The command ended with this code and one line with these words."""
    assert "Traceback" not in ended.stderr
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith(f"{program}: "), lines
    assert [word for word in words if word not in lines[0]] == [], lines
    assert (ended.returncode, ended.stdout) == (code, "")


@pytest.mark.parametrize(
    ("program", "options", "words"),
    [
        (COORD, "--rate -5", ["--rate", "'-5'", "not a rate"]),
        (COORD, "--rate 0", ["--rate", "above 0"]),
        (COORD, "--max 0", ["--max", "x>=1"]),
        (COORD, "--max 2 --agents 3", ["--max 2", "3 agents", "rounds to nothing"]),
        (COORD, "--hold soon", ["--hold", "'soon'"]),
        (COORD, "--no-such-option", ["--no-such-option"]),
        (COORD, "--listen nonsense", ["--listen", "HOST:PORT"]),
        (COORD, "--publish ws://127.0.0.1/", ["--publish", "not an http:// or https:// URL"]),
        (COORD, "--publish-rate 5", ["--publish-rate", "without --publish"]),
        (COORD, "--publish target --expect reach>=5ms", ["reach is a percentage"]),
        (
            COORD,
            "--plan {files}/publish.toml",
            ["publish.toml, line 4", "`publish.body`", "did you mean {{{{stamp}}}}?"],
        ),
        (COORD, "gopher://127.0.0.1/", ["gopher://127.0.0.1/", "write ws://"]),
        (COORD, "ws://127.0.0.1:99999/", ["ws://127.0.0.1:99999/", "write ws://"]),
        (
            COORD,
            "ws://me:secret@127.0.0.1/ --write-plan {files}/me.toml",
            ["target '…@127.0.0.1/' names a user"],
        ),
        (COORD, "--header Upgrade:h2c", ["--header", "'Upgrade' belongs to the handshake"]),
        (COORD, "--header x:1 --header X:2", ["--header X is there twice"]),
        (COORD, "--proxy http://proxy", ["--proxy", "without a port; write http://HOST:PORT"]),
        (COORD, "--proxy ftp://u:pw@h:1", ["'…@h:1'", "scheme is none of http, socks5, socks5h"]),
        (COORD, "--local 1 --proxy http://nowhere.invalid:1", ["'nowhere.invalid' does not"]),
        (COORD, "--proxy-protocol 3", ["--proxy-protocol", "1<=x<=2"]),
        (COORD, "--plan {files}/none.toml", ["none.toml", "No such file"]),
        (COORD, "--plan {files}", ["{files}", "Is a directory"]),
        (COORD, "--plan {files}/unknown.toml", ["unknown.toml", "`rats`"]),
        (COORD, "--plan {files}/wrong.toml", ["wrong.toml", "rate"]),
        (COORD, "--plan {files}/torn.toml", ["torn.toml", "line 1"]),
        (COORD, "--plan {files}/latin.toml", ["latin.toml", "utf-8"]),
        (COORD, "--session {files}/none.py", ["none.py", "No such file"]),
        (COORD, "--session {files}", ["{files}", "has no session.py"]),
        (COORD, "--session {files}/torn.py", ["torn.py:1:", "never closed"]),
        (COORD, "--session {files}/plain.py", ["plain.py:2:", "session is not an async def"]),
        (COORD, "--session {files}/plain.py:login", ["plain.py", "'login'", "FILE.py:NAME"]),
        (
            COORD,
            "--session s.py --plan p.toml",
            ["--session s.py", "--plan", "leave one of them out"],
        ),
        (COORD, "--session s.py --ping app", ["--session s.py", "--ping", "leave one of them out"]),
        (COORD, "--session s.py --loops 3", ["--session s.py", "--loops", "leave one of them out"]),
        (COORD, "--session s.py --think 3", ["--session s.py", "--think", "leave one of them out"]),
        (
            COORD,
            "--plan {files}/endless.toml",
            ["endless.toml, line 3: ", "`phases[0]` needs a `duration`"],
        ),
        (COORD, "--plan {files}/phases.toml --rate 5", ["--rate has no effect", "phases.toml"]),
        (
            COORD,
            "--plan {files}/phases.toml",
            ["5 arrivals in all phases", "16 agents", "rounds to nothing"],
        ),
        (COORD, "--plan {files}/python.toml", ["python.toml, line 1: ", "no function 'session'"]),
        (COORD, "--write-plan {files}/none/plan.toml", ["--write-plan", "No such file"]),
        (COORD, "--token-file {files}/empty", ["--token-file", "is empty"]),
        (COORD, "--token-file {files}/none", ["--token-file", "No such file"]),
        (AGENT, "--coordinator 127.0.0.1:8091", ["--coordinator", "write http://"]),
        (AGENT, "--coordinator http://", ["--coordinator", "write http://"]),
        (AGENT, "--coordinator http://127.0.0.1:99999", ["--coordinator", "write http://"]),
        (AGENT, "--coordinator http://[::1", ["--coordinator", "write http://"]),
        (AGENT, "--coordinator http://a?x", ["--coordinator", "write http://"]),
        (AGENT, "--coordinator http://{long}:8091", ["--coordinator", "write http://"]),
        (COORD, "--watch x=http://[::1", ["--watch", "NAME=URL"]),
        (COORD, "--watch x=http://a:99999/", ["--watch", "NAME=URL"]),
        (AGENT, "--ports 5", ["'5'", "MIN-MAX"]),
        (AGENT, "--ports 2000-1999", ["backwards", "1999-2000"]),
        (AGENT, "--source here", ["'here'", "write 10.0.0.5"]),
        (AGENT, "--token-file {files}/empty", ["--token-file", "is empty"]),
        (AGENT, "--allow-target 10.0.0.0/99", ["--allow-target", "10.0.0.0/99"]),
        (AGENT, "--workers 0", ["--workers"]),
        (AGENT, "--workers 5000", ["--workers", "1<=x<=1000"]),
        (AGENT, "--max-connections 99999999999999999999", ["--max-connections"]),
        (TARGET, "--vice evil", ["'evil'", "refuse, slow-accept"]),
        (TARGET, "--vice reset=x", ["'x'", "not a duration"]),
        (TARGET, "--vice refuse=1", ["'refuse'", "takes no value"]),
        (TUNE, "check --connections 0", ["--connections", "x>=1"]),
        (REPORT, "{files}/none", ["{files}/none", "not a run directory"]),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    files: Path, monkeypatch, capsys, program, options, words
):
    """Runs the command in this process, which saves the start of another one."""
    arguments = [option.format(files=files, long="x" * 64) for option in options.split()]
    monkeypatch.chdir(files)
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    fresh = copy(COMMANDS[program])
    fresh.params = [*fresh.params]  # --version is added to them
    with pytest.raises(SystemExit) as exit_:
        run_command(fresh, program)
    ended = subprocess.CompletedProcess(sys.argv, exit_.value.code, *capsys.readouterr())
    one_line(ended, 2, program, *(word.format(files=files) for word in words))
    assert not (files / "runs").exists()


@pytest.mark.parametrize(
    ("program", "options", "words"),
    [
        (COORD, "--rate abc", ["--rate", "'abc'", "not a rate"]),
        (COORD, "--listen 127.0.0.1:0 --out {files}/empty", ["--out", "give another directory"]),
        (AGENT, "--source 192.0.2.7", ["192.0.2.7", "ip addr add"]),
        (AGENT, "--metrics 127.0.0.1:{busy}", ["--metrics 127.0.0.1:{busy}", "give another"]),
        (TARGET, "--listen 127.0.0.1:{busy}", ["127.0.0.1:{busy}", "in use"]),
        (TARGET, "--listen 192.0.2.7:0", ["192.0.2.7:0", "does not have that address"]),
        (TUNE, "check --connections many", ["--connections", "'many'"]),
        (REPORT, "{files}", ["{files}", "summary.json"]),
    ],
)
def test_a_mistake_ends_the_process_with_one_line(files: Path, busy: int, program, options, words):
    arguments = [option.format(files=files, busy=busy) for option in options.split()]
    ended = run(program, *arguments, cwd=files)
    one_line(ended, 2, program, *(word.format(files=files, busy=busy) for word in words))
    assert not (files / "runs").exists()


def test_a_mistake_in_the_environment_is_reported_as_on_the_command_line():
    ended = run(COORD, env=environment() | {"LOADGEN_COORD_RATE": "fast"})
    one_line(ended, 2, COORD, "--rate", "'fast'")


CARELESS = {
    "a closed pipe": ("| true", 0),
    "all closed": ("<&- >&- 2>&-", 0),
    "a full disk": (">/dev/full", 2),
    "an encoding without dashes": (">/dev/null", 0),
}


@pytest.mark.parametrize(("streams", "code"), CARELESS.values(), ids=CARELESS)
@pytest.mark.parametrize(
    "program", [f"{COORD} --dry-run", f"{TUNE} check --connections 1", "a run"]
)
def test_the_exit_code_does_not_depend_on_a_reader_of_the_output(tmp_path, program, streams, code):
    """Without a reader a run goes on.

    No socket gets the number of standard output.
    """
    if program == "a run":
        program = (
            f"{COORD} --local 1 --with-target --max 5 --hold 0 --json --listen 127.0.0.1:0 --out"
            f" {tmp_path}"
        )
        program += f" ws://127.0.0.1:{free_port()}/v1/realtime"
    line = f"set -o pipefail; {BIN}/{program} {streams}"
    narrow = environment() | {"PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(
        ["bash", "-c", line], check=False, capture_output=True, text=True, env=narrow
    )

    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ("No space left" in ended.stderr) is (code == 2)
    assert len(list(tmp_path.glob("*/summary.json"))) == (COORD in program and "--local" in program)


def test_a_run_that_no_agent_joins_is_exit_code_3(tmp_path):
    """Stdout says where agents join, stderr in one line which have not joined."""
    ended = run(
        COORD, "--listen", "127.0.0.1:0", "--out", str(tmp_path), "--agents", "2", "--wait", "1"
    )
    (line,) = ended.stderr.splitlines()
    assert (ended.returncode, line.startswith("loadgen-coord: 0 of 2 agents")) == (3, True), line
    assert "2 never joined" in line


def ended_agent(running: Command) -> subprocess.CompletedProcess[str]:
    """Returns an agent that has ended, without its lines on metrics and on waiting."""
    code = running.end()
    said = [line for line in running.err.splitlines(keepends=True) if "metrics at http" not in line]
    return subprocess.CompletedProcess([], code, running.out, "".join(said))


def test_a_wrong_token_ends_the_agent(tmp_path):
    (tmp_path / "right").write_text("s3cret\n")
    (tmp_path / "wrong").write_text("guess\n")
    for name in ("right", "wrong"):
        (tmp_path / name).chmod(0o600)
    listen = f"127.0.0.1:{free_port()}"
    with coordinator(
        tmp_path / "runs", "--token-file", str(tmp_path / "right"), "--public-view", listen=listen
    ) as coord:
        for options in (("--token-file", str(tmp_path / "wrong")), ()):
            with agent(coord.url, *options) as refused:
                one_line(ended_agent(refused), 2, AGENT, coord.url, "token", "--token-file")
        assert coord.state()["agents"] == []


async def test_a_coordinator_of_another_wire_version_ends_the_agent():
    """The coordinator is a fake: the package has none of another version."""
    requests = []

    async def refuse(request: web.Request) -> web.Response:
        requests.append(await request.json())
        return web.json_response(
            {"error": "the agent speaks wire version 1, the coordinator 99"}, status=426
        )

    app = web.Application()
    app.add_routes([web.post("/v1/agents", refuse)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = "http://{}:{}".format(*runner.addresses[0])
        with closing(
            Command(command(AGENT, "--coordinator", url, "--metrics", "127.0.0.1:0"))
        ) as refused:
            ended = await asyncio.to_thread(ended_agent, refused)
            one_line(ended, 2, AGENT, url, "wire version 1, the coordinator 99")
    finally:
        await runner.cleanup()
    assert len(requests) == 1
