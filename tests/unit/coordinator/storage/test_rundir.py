"""The run directory: written on a real disk, and read back by its own reader and by
HdrHistogram's."""

import gzip
import resource
from datetime import UTC, datetime

import msgspec
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from coordinator.report.summary import summary_of
from coordinator.run.run import Run
from coordinator.storage.rundir import RunDir, read_run
from loadgen.errors import OperatorError
from loadgen.plan.plan import Plan
from loadgen.planfile import read_plan
from tests.unit.coordinator.fleet import PLAN, drained, opened, seconds, started

START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    folder = RunDir.create(tmp_path / "runs", PLAN, START)
    yield folder
    folder.close()


def entries(run, *posts):
    (agent,) = started(run, ["a"])
    for post in posts:
        now = run.start + max((second.number for second in post.seconds), default=0) + 1.0
        run.post(agent, post, now)
        yield from run.tick(now)


def test_a_run_directory_is_named_after_its_start_and_its_target_and_never_reused(tmp_path):
    plan = Plan(target="wss://Example.com:443/x")
    paths = []
    for _ in range(3):
        folder = RunDir.create(tmp_path, plan, START)
        folder.close()
        paths.append(folder.path.name)

    assert paths[0] == "20261124T040000Z-Example-com-443"
    assert paths[1:] == [f"{paths[0]}-2", f"{paths[0]}-3"]
    assert read_plan(tmp_path / paths[0] / "plan.toml") == plan


def test_seconds_and_summary_come_back_as_they_were_written(folder):
    run = Run(PLAN, 1)
    rows = list(entries(run, seconds(opened(0, 10)), seconds(opened(1, 5, held=15))))
    for entry in rows:
        folder.write_entry(entry)
    summary = summary_of(run, [], run.start + 2.0)
    folder.write_summary(summary)

    record = read_run(folder.path)

    assert record.summary == msgspec.to_builtins(summary)
    assert record.seconds == [msgspec.to_builtins(entry.row) for entry in rows]
    assert record.name == folder.path.name


def test_seconds_may_be_compressed_and_a_cut_off_file_is_one_line(folder):
    run = Run(PLAN, 1)
    for entry in entries(run, seconds(opened(0, 10))):
        folder.write_entry(entry)
    folder.write_summary(summary_of(run, [], run.start + 1.0))
    plain = read_run(folder.path).seconds
    rows = folder.path / "seconds.ndjson"
    packed = gzip.compress(rows.read_bytes())
    rows.unlink()

    rows.with_suffix(".ndjson.gz").write_bytes(packed)
    assert read_run(folder.path).seconds == plain != []
    rows.with_suffix(".ndjson.gz").write_bytes(packed[:-9])
    with pytest.raises(OperatorError, match=r"seconds\.ndjson\.gz is damaged"):
        read_run(folder.path)


def test_a_correction_is_a_further_line_and_readers_take_the_last(folder):
    run = Run(PLAN, 2)
    a, b = started(run)
    for agent, count in ((a, 4), (b, 1)):
        for number in range(count):
            run.post(agent, seconds(opened(number, 10, held=10 * (number + 1))), run.start + 4.0)
    for entry in run.tick(run.start + 4.0):
        folder.write_entry(entry)
    late = [opened(number, 10, held=10 * (number + 1)) for number in range(4)]
    run.post(b, seconds(*late), run.start + 4.5)
    for entry in run.tick(run.start + 4.5):
        folder.write_entry(entry)
    folder.write_summary(summary_of(run, [], run.start + 5.0))

    record = read_run(folder.path)

    assert [row["fleet"]["ledger"]["open"] for row in record.seconds] == [20, 40, 60, 80]
    assert intervals(folder.path / "histograms.hlog")["handshake"] == 80


def intervals(path):
    reader = HistogramLogReader(str(path), HdrHistogram(1, 3_600_000_000, 2))
    counts = {}
    while (interval := reader.get_next_interval_histogram()) is not None:
        counts[interval.get_tag()] = counts.get(interval.get_tag(), 0) + interval.get_total_count()
    reader.input_file.close()
    return counts


def test_the_histogram_log_holds_every_value_at_its_second(folder):
    run = Run(PLAN, 1)
    for entry in entries(
        run, seconds(opened(0, 10, rtt=1)), seconds(opened(1, 5, held=15, rtt=60_000_000))
    ):
        folder.write_entry(entry)

    reader = HistogramLogReader(
        str(folder.path / "histograms.hlog"), HdrHistogram(1, 3_600_000_000, 2)
    )
    found = []
    while (interval := reader.get_next_interval_histogram()) is not None:
        second = round(interval.get_start_time_stamp() / 1000 - START.timestamp())
        found.append(
            (interval.get_tag(), second, interval.get_total_count(), interval.get_max_value())
        )
    reader.input_file.close()

    assert [row[:3] for row in found] == [
        ("handshake", 0, 10),
        ("ping_rtt", 0, 10),
        ("handshake", 1, 5),
        ("ping_rtt", 1, 5),
    ]
    assert found[1][3] == 1
    assert found[3][3] == pytest.approx(60_000_000, rel=0.01)


def test_what_sessions_time_themselves_is_in_the_histogram_log_by_its_name(folder):
    second = opened(0, 1)
    for name in ("tr_login", "a, b\nc", "handshake"):
        second.tally.time(name, 5000)
    for entry in entries(Run(PLAN, 1), seconds(second)):
        folder.write_entry(entry)

    assert intervals(folder.path / "histograms.hlog") == {
        "handshake": 1,
        "ping_rtt": 1,
        "timing.tr_login": 1,
        "timing.a-b_c": 1,
        "timing.handshake": 1,
    }


def test_a_row_tells_what_sessions_counted_so_far_and_timed_in_that_second(folder):
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


def test_a_torn_last_line_does_not_spoil_the_others(folder):
    run = Run(PLAN, 1)
    for entry in entries(run, seconds(opened(0, 10)), seconds(drained(1, 10))):
        folder.write_entry(entry)
    folder.write_summary(summary_of(run, [], run.start))
    with (folder.path / "seconds.ndjson").open("ab") as file:
        file.write(b'{"second":2,"fl')

    assert [row["second"] for row in read_run(folder.path).seconds] == [0, 1]


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


def test_notes_go_to_the_agents_log_and_nowhere_else(folder):
    folder.write_note("../../evil", "one")
    folder.write_note("../../evil", "two")

    assert [path.name for path in (folder.path / "agents").iterdir()] == ["evil.log"]
    assert folder.log_of("../../evil").read_text() == "one\ntwo\n"


def test_a_traceback_can_not_leave_the_run_directory(folder):
    folder.write_traceback("../../error_Evil", "one")
    folder.write_traceback("error_Évil", "two")
    folder.write_traceback("error_-vil", "three")

    files = {path.name: path.read_text() for path in (folder.path / "errors").iterdir()}
    assert files == {
        "error_Evil.txt": "../../error_Evil\n\none\n",
        "error_-vil.txt": "error_Évil\n\ntwo\nerror_-vil\n\nthree\n",
    }
    assert folder.complaint == ""


def test_a_full_disk_is_said_once_and_the_files_go_on_when_there_is_room(folder):
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
    assert [row["second"] for row in read_run(folder.path).seconds] == [0, 2]


def test_a_place_that_can_not_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OperatorError, match=r"--out .*file can't be written"):
        RunDir.create(tmp_path / "file", PLAN, START)


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "not a run directory"), ("{", "damaged"), ('{"schema":2}', "schema 2")],
)
def test_what_is_no_run_directory_is_one_line(tmp_path, content, why):
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
        (tmp_path / "seconds.ndjson").write_text("")

    with pytest.raises(OperatorError, match=why):
        read_run(tmp_path)
