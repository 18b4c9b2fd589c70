"""Every place that shows counters shows every field of Counts."""

import csv
from datetime import UTC, datetime

import pytest

from coordinator.report.export import csv_report
from coordinator.report.summary import summary_of
from coordinator.run.run import Run
from coordinator.storage.reader import read_run
from coordinator.storage.writer import RunDir
from coordinator.tsung.log import TsungLog
from coordinator.tsung.names import COUNTERS
from loadgen.plan.plan import Plan
from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held, Ledger
from loadgen.stats.prometheus import Snapshot, registry_of
from loadgen.stats.tally import COUNTS, METRICS, Tally
from tests.unit.coordinator.fleet import posted, seconds, started
from tests.unit.tsung_reader import read_text

VALUES = {name: 1000 + number for number, name in enumerate(COUNTS)}
PLAN = Plan(max=10_000)


def counted():
    """Returns a run and the entry of its one second.

    Each counter has a different value.
    """
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    posted(run, agent, seconds(Second(0, Tally(**VALUES), Held())), run.start + 1.0)
    (entry,) = run.tick(run.start + 1.0)
    return run, entry


@pytest.mark.parametrize("name", COUNTS)
def test_a_counter_is_a_metric(name):
    total = Tally(**VALUES)
    families = registry_of(lambda: [Snapshot(None, Ledger.of(None, total), total)]).collect()

    samples = {sample.name: sample.value for family in families for sample in family.samples}

    assert samples[f"{METRICS[name].name}_total"] == VALUES[name]
    assert METRICS[name].help.endswith(".")


@pytest.mark.parametrize("name", COUNTS)
def test_a_counter_is_in_the_rows_of_the_timeline(name):
    _, entry = counted()

    assert getattr(entry.row.fleet.rates, name) == VALUES[name]
    assert entry.row.fleet.counts[name] == VALUES[name]


@pytest.mark.parametrize("name", COUNTS)
def test_a_counter_is_in_tsung_log(name):
    _, entry = counted()
    log = TsungLog("text", 0.0)

    (dump,) = read_text((log.add(entry) + log.end(1.0)).decode())

    theirs = COUNTERS.get(name, name)
    ours = [one for one in COUNTS if COUNTERS.get(one, one) == theirs]
    assert dump.values[theirs] == [sum(VALUES[one] for one in ours)] * 2


def test_every_counter_is_in_the_summary_and_a_column_of_the_csv(tmp_path):
    run, entry = counted()
    folder = RunDir.create(tmp_path, PLAN, datetime(2026, 11, 24, tzinfo=UTC))
    folder.begin(datetime(2026, 11, 24, tzinfo=UTC))
    folder.write_entry(entry)
    folder.write_run(run)
    folder.write_summary(summary_of(run, [], run.start + 1.0))
    folder.close()
    record = read_run(folder.path)

    (row,) = csv.DictReader(csv_report(record).splitlines())

    assert {name: row[name] for name in COUNTS} == {
        name: str(value) for name, value in VALUES.items()
    }
    assert {name: getattr(record.summary, name) for name in COUNTS} == VALUES
