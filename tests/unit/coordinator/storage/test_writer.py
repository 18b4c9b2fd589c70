"""The run directory, written on a real disk."""

import resource
from math import inf
from threading import Event

import msgspec
import pytest

from coordinator.report.summary import summary_of
from coordinator.run.publications import PublicationLine, Publications
from coordinator.run.run import Run
from coordinator.storage.disk import Disk
from coordinator.storage.reader import read_run
from coordinator.storage.writer import RunDir
from loadgen.errors import OperatorError
from loadgen.plan.plan import Plan
from loadgen.planfile import read_plan
from loadgen.stats.delivery import Published
from tests.processes import PATIENCE
from tests.unit.coordinator.fleet import PLAN, entries, opened, seconds, started
from tests.unit.coordinator.storage.conftest import START


def test_a_run_directory_is_named_after_its_start_and_its_target_and_never_reused(tmp_path):
    plan = Plan(target="wss://Example.com:443/x")
    paths = []
    for _ in range(3):
        folder = RunDir.create(tmp_path, plan, START)
        folder.begin(START)
        folder.close()
        paths.append(folder.path.name)

    assert paths[0] == "20261124T040000Z-Example-com-443"
    assert paths[1:] == [f"{paths[0]}-2", f"{paths[0]}-3"]
    assert read_plan(tmp_path / paths[0] / "plan.toml") == plan


def test_the_plan_is_for_its_owner_alone(folder):
    assert (folder.path / "plan.toml").stat().st_mode & 0o777 == 0o600


def test_run_json_names_every_agents_machine_limits_share_and_preflight(folder):
    run = Run(PLAN, 2)
    started(run, holds=400)

    folder.write_run(run)

    facts = msgspec.json.decode((folder.path / "run.json").read_bytes())
    assert facts["started"] == "2026-11-24T04:00:00Z"
    assert [agent["name"] for agent in facts["agents"]] == ["a", "b"]
    assert facts["agents"][0]["machine"] == {"cpus": 2}
    assert facts["agents"][0]["limits"][0]["connections"] == 400
    assert facts["agents"][0]["connections"] == 500
    assert "limited by max_connections" in facts["agents"][0]["preflight"]


def test_a_row_has_the_counters_of_sessions_so_far_and_the_timings_of_that_second(folder):
    posts = []
    for number in range(2):
        second = opened(number, 1, held=number + 1)
        second.tally.count("logins", 2)
        second.tally.time("tr_login", 5000)
        posts.append(seconds(second))
    for entry in entries(Run(PLAN, 1), *posts):
        folder.write_entry(entry)

    rows = [
        msgspec.json.decode(line)
        for line in (folder.path / "seconds.ndjson").read_bytes().splitlines()
    ]

    assert [row["fleet"]["counters"] for row in rows] == [{"logins": 2}, {"logins": 4}]
    assert [row["agents"]["a"]["timings"]["tr_login"]["count"] for row in rows] == [1, 1]


def test_each_settled_publication_is_a_line_until_a_resumed_run_writes_it_again(folder):
    publications = Publications(1.0)
    for number in range(2):
        publications.add(Published("here-run.0", number), 1.0)
    for line in publications.settle(inf):
        folder.write_publication(line)
    file = folder.path / "publications.ndjson"

    lines = [
        msgspec.json.decode(line, type=PublicationLine) for line in file.read_bytes().splitlines()
    ]
    assert [line.publication for line in lines] == ["here-run.0:0", "here-run.0:1"]
    folder.close()
    RunDir.reopen(folder.path, PLAN, START).close()
    assert not file.exists()


def test_notes_go_to_the_agents_log_and_nowhere_else(folder):
    folder.write_note("../../evil", "one")
    folder.write_note("../../evil", "two")

    assert [path.name for path in (folder.path / "agents").iterdir()] == ["evil.log"]
    assert folder.log_of("../../evil").read_text() == "one\ntwo\n"


def test_a_traceback_can_not_leave_the_run_directory(folder):
    folder.write_sample("../../error_Evil", "one")
    folder.write_sample("error_Évil", "two")
    folder.write_sample("error_-vil", "three")

    files = {path.name: path.read_text() for path in (folder.path / "errors").iterdir()}
    assert files == {
        "error_Evil.txt": "../../error_Evil\n\none\n",
        "error_-vil.txt": "error_Évil\n\ntwo\nerror_-vil\n\nthree\n",
    }
    assert folder.complaint == ""


def test_a_full_disk_is_one_complaint_and_writing_goes_on_when_there_is_room(folder):
    run = Run(PLAN, 1)
    rows = list(
        entries(
            run,
            seconds(opened(0, 10)),
            seconds(opened(1, 5, held=15)),
            seconds(opened(2, 5, held=20)),
        )
    )
    folder.write_entry(rows[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = (folder.path / "seconds.ndjson").stat().st_size + 100
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        folder.write_entry(rows[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    folder.write_entry(rows[2])
    folder.write_summary(summary_of(run, [], run.start))

    assert "seconds.ndjson can't be written" in folder.complaint
    assert [row.second for row in read_run(folder.path).seconds] == [0, 2]


def test_a_place_that_can_not_be_written_is_an_error_of_one_line(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OperatorError, match=r"--out .*file can't be written"):
        RunDir.create(tmp_path / "file", PLAN, START)


async def test_what_waits_for_a_disk_is_bounded_and_what_is_not_written_is_known(tmp_path):
    goes_on = Event()
    rows = list(
        entries(
            Run(PLAN, 1),
            *(seconds(opened(number, 1, held=number + 1)) for number in range(30)),
        )
    )
    disk = Disk(most=20_000)
    folder = RunDir.create(tmp_path, PLAN, START, disk)
    disk.start()
    disk.do(goes_on.wait)
    for entry in rows:
        folder.write_entry(entry)
    goes_on.set()
    assert await disk.done(PATIENCE)
    folder.write_summary(summary_of(Run(PLAN, 1), [], 0.0))
    folder.close()
    assert await disk.done(PATIENCE)
    disk.stop()

    written = [row.second for row in read_run(folder.path).seconds]
    assert written == list(range(len(written)))
    assert folder.unwritten == list(range(len(written), 30))
    assert "seconds.ndjson can't be written (its disk stands still)" in folder.complaint
