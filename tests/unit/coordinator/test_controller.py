"""The shell around one run: its files, its terminal and its exit code."""

import asyncio
import json

import pytest

from coordinator.clock import Clock
from coordinator.controller import Controller
from coordinator.http.server import Server
from coordinator.local import LocalAgents
from coordinator.report.expect import parse
from coordinator.run.run import Run
from coordinator.settings import RunSettings
from coordinator.storage.journal import FILE, Journal
from coordinator.storage.reader import read_run
from loadgen.errors import FleetError, OperatorError
from loadgen.forkserver import ForkServer
from loadgen.plan.plan import Plan
from loadgen.values import Endpoint
from tests.unit.coordinator.fleet import drained, hello, opened, posted, ready, seconds, started
from tests.unit.coordinator.folders import journal_head

LISTEN = Endpoint("127.0.0.1", 8091)
PLAN = Plan(target="ws://127.0.0.1:9/", max=10, rate=100.0, hold=0.0)
LONG = Plan(target="ws://127.0.0.1:9/", max=10, rate=100.0, hold=600.0)


class Shell:
    """A new run with its controller, on the real clock and a real disk."""

    def __init__(self, out, **options):
        self.settings = RunSettings(plan=PLAN, listen=LISTEN, out=out, **options)
        self.clock = Clock()
        self.run = Run(PLAN, self.settings.agents, key="k")
        self.server = Server(self.run, self.clock.now, out=out)
        self.controller = Controller.new(self.settings, self.clock, self.run, self.server, LISTEN)
        (self.folder,) = out.iterdir()

    async def run_to_end(self):
        return await self.controller.run_to_end(LocalAgents(0, PLAN, (), LISTEN), ForkServer())

    async def carry_out(self):
        """Takes part as the one agent of the run.

        It opens 10 connections in one second.
        """
        agent = self.run.join(hello("a"), self.clock.now()).id
        orders = posted(self.run, agent, ready(), self.clock.now())
        while orders.do == "wait":
            await asyncio.sleep(0.05)
            orders = posted(self.run, agent, ready(), self.clock.now())
        await asyncio.sleep(self.run.start + 1.0 - self.clock.now())
        last = seconds(opened(0, 10), drained(1, 10), finished=True)
        while orders.do != "stop":
            await asyncio.sleep(0.05)
            orders = posted(self.run, agent, last, self.clock.now())


def summary_in(folder):
    return json.loads((folder / "summary.json").read_bytes())


async def test_a_run_is_in_its_directory_from_the_first_second_to_the_report(tmp_path, capsys):
    shell = Shell(tmp_path, agents=1, expectations=(parse("open_peak>=10"),))
    assert (shell.folder / FILE).exists(), "a run that goes on can be resumed"
    async with asyncio.timeout(30):
        code, _ = await asyncio.gather(shell.run_to_end(), shell.carry_out())
    record = read_run(shell.folder)
    shown = capsys.readouterr().out

    assert code == 0
    assert (record.summary.verdict, record.summary.opened) == ("pass", 10)
    assert [row.second for row in record.seconds] == [0, 1]
    assert (shell.folder / "report.html").read_text().startswith("<!doctype html>")
    assert (shell.folder / "tsung.log").read_text().startswith("# stats: dump at")
    assert not (shell.folder / FILE).exists(), "a run that is over can't be resumed"
    assert "agents join at http://127.0.0.1:8091; the target is ws://127.0.0.1:9/" in shown
    assert f"{shell.folder.name}: PASS" in shown
    assert shown.endswith(f"run directory: {shell.folder}\n")


async def test_a_run_that_is_stopped_before_its_start_has_a_summary_and_no_report(tmp_path, capsys):
    shell = Shell(tmp_path, json=True)
    shell.run.stop(shell.clock.now())
    code = await shell.run_to_end()
    output = capsys.readouterr()

    assert code == 130
    assert "stopped before the run started" in output.err
    assert json.loads(output.out) == summary_in(shell.folder)
    assert summary_in(shell.folder)["verdict"] == "stopped"
    assert not (shell.folder / "report.html").exists()


async def test_agents_that_do_not_come_are_an_error_after_the_wait(tmp_path):
    shell = Shell(tmp_path, agents=2, wait=0.0)
    with pytest.raises(FleetError, match="0 of 2 agents"):
        await shell.run_to_end()

    assert summary_in(shell.folder)["verdict"] == "lost"
    assert not (shell.folder / FILE).exists()


async def test_a_token_that_others_can_read_is_a_warning(tmp_path, capsys):
    token = tmp_path / "token"
    token.write_text("s3cret")
    token.chmod(0o644)
    shell = Shell(tmp_path / "runs", token_file=token)
    shell.run.stop(shell.clock.now())
    await shell.run_to_end()

    assert f"loadgen-coord: --token-file {token} can be read by others" in capsys.readouterr().err


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OperatorError, match=r"--out .* can't be written"):
        Shell(tmp_path / "file")


def interrupted(folder, now):
    """Writes the journal of a run of two agents, of which one was local.

    It ends after the run's first second.
    """
    journal = Journal.begin(folder, journal_head(LONG, wanted=2, local=("local-1",)))
    run = Run(LONG, 2, key="k")
    run.record = journal.record
    for agent in started(run, ["local-1", "far"], now=now):
        posted(run, agent, seconds(opened(0, 5)), run.start + 1.0)
    run.tick(run.start + 1.0)
    journal.close()


async def test_a_resumed_run_has_its_seconds_again_and_loses_its_local_agents(tmp_path):
    clock = Clock()
    interrupted(tmp_path, clock.now() - 60.0)
    (tmp_path / "seconds.ndjson").write_text("of the coordinator that died\n")
    settings = RunSettings(plan=LONG, listen=LISTEN, out=tmp_path.parent, resume=tmp_path)
    run = Run(LONG, 2, key="k")
    server = Server(run, clock.now, out=tmp_path.parent)

    controller = await Controller.resumed(settings, clock, run, server, Journal.reopen(tmp_path))
    (line,) = server.seconds(0)

    assert json.loads(line)["second"] == 0
    assert (run.state, run.total.opened) == ("running", 10)
    assert [agent.name for agent in run.agents.active()] == ["far"]

    run.stop(clock.now())
    run.stop(clock.now())
    assert await controller.run_to_end(LocalAgents(0, LONG, (), LISTEN), ForkServer()) == 130
    assert not (tmp_path / FILE).exists()
