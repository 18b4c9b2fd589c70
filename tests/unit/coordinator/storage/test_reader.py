"""A run directory, read back."""

import gzip

import msgspec
import pytest

from coordinator.report.html import html_report
from coordinator.report.summary import summary_of
from coordinator.run.run import Run
from coordinator.storage.reader import read_run
from loadgen.errors import OperatorError
from tests.unit.coordinator.fleet import PLAN, drained, entries, opened, posted, seconds, started
from tests.unit.coordinator.storage.conftest import intervals


def test_seconds_and_summary_come_back_as_they_were_written(folder):
    run = Run(PLAN, 1)
    rows = list(entries(run, seconds(opened(0, 10)), seconds(opened(1, 5, held=15))))
    for entry in rows:
        folder.write_entry(entry)
    summary = summary_of(run, [], run.start + 2.0)
    folder.write_summary(summary)

    record = read_run(folder.path)

    assert record.summary == summary
    assert record.seconds == [entry.row for entry in rows]
    assert record.name == folder.path.name


def test_seconds_may_be_compressed_and_a_cut_off_file_is_an_error(folder):
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
    run.tick(run.start)
    for agent, count in ((a, 4), (b, 1)):
        for number in range(count):
            posted(run, agent, seconds(opened(number, 10, held=10 * (number + 1))), run.start + 4.0)
    for entry in run.tick(run.start + 4.0):
        folder.write_entry(entry)
    late = [opened(number, 10, held=10 * (number + 1)) for number in range(4)]
    posted(run, b, seconds(*late), run.start + 4.5)
    for entry in run.tick(run.start + 4.5):
        folder.write_entry(entry)
    folder.write_summary(summary_of(run, [], run.start + 5.0))

    record = read_run(folder.path)

    assert [row.fleet.ledger.open for row in record.seconds] == [20, 40, 60, 80]
    assert intervals(folder.path / "histograms.hlog")["handshake"] == 80


def test_a_torn_last_line_is_left_out(folder):
    run = Run(PLAN, 1)
    for entry in entries(run, seconds(opened(0, 10)), seconds(drained(1, 10))):
        folder.write_entry(entry)
    folder.write_summary(summary_of(run, [], run.start))
    with (folder.path / "seconds.ndjson").open("ab") as file:
        file.write(b'{"second":2,"fl')

    assert [row.second for row in read_run(folder.path).seconds] == [0, 1]


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "not a run directory"), ("{", "damaged"), ('{"schema":2}', "schema 2")],
)
def test_a_directory_that_is_no_run_directory_is_an_error_of_one_line(tmp_path, content, why):
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
        (tmp_path / "seconds.ndjson").write_text("")

    with pytest.raises(OperatorError, match=why):
        read_run(tmp_path)


def test_a_row_in_another_form_is_named_with_its_line_and_a_torn_one_is_left_out(folder):
    run = Run(PLAN, 1)
    (entry,) = entries(run, seconds(opened(0, 10)))
    folder.write_entry(entry)
    folder.write_summary(summary_of(run, [], run.start + 1.0))
    rows = folder.path / "seconds.ndjson"
    whole = rows.read_bytes()

    rows.write_bytes(whole + whole[:50])
    assert read_run(folder.path).seconds == [entry.row]
    rows.write_bytes(whole + b'{"second":1}\n')
    with pytest.raises(OperatorError, match=r"line 2 of .*seconds\.ndjson is damaged: .*`fleet`"):
        read_run(folder.path)


def test_a_summary_that_lacks_a_figure_is_damaged(folder):
    run = Run(PLAN, 1)
    folder.write_summary(summary_of(run, [], 0.0))
    file = folder.path / "summary.json"
    figures = msgspec.json.decode(file.read_bytes())
    del figures["open_peak"]
    file.write_bytes(msgspec.json.encode(figures))

    with pytest.raises(OperatorError, match=r"summary\.json is damaged: .*`open_peak`"):
        read_run(folder.path)


@pytest.mark.parametrize("number", ["9" * 30, "1e300", "-1e22"])
def test_a_number_that_no_report_can_show_is_damage(folder, number):
    run = Run(PLAN, 1)
    folder.write_summary(summary_of(run, [], 0.0))
    file = folder.path / "summary.json"
    text = file.read_text()
    assert text.count('"duration_s": 0.0') == 1
    file.write_text(text.replace('"duration_s": 0.0', f'"duration_s": {number}'))

    with pytest.raises(OperatorError, match=r"summary\.json is damaged: it has a number above 9,0"):
        read_run(folder.path)


@pytest.mark.parametrize("number", [2**63 - 1, 1e308])
def test_facts_of_a_machine_may_be_any_numbers(folder, number):
    """The kernel's own bound of open files is often the largest that it can count."""
    run = Run(PLAN, 1)
    for entry in entries(run, seconds(opened(0, 10))):
        folder.write_entry(entry)
    folder.write_summary(summary_of(run, [], run.start + 1.0))
    agent = {"name": "a", "machine": {"fs.file-max": number}}
    (folder.path / "run.json").write_bytes(msgspec.json.encode({"agents": [agent]}))

    record = read_run(folder.path)

    assert record.facts.agents[0].machine == {"fs.file-max": number}
    assert "<html" in html_report(record)
