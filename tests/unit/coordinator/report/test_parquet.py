"""The seconds of a run as Parquet, read back."""

import csv
import io
import sys

import pytest
from msgspec.structs import replace
from pyarrow import parquet

from coordinator.report.export import csv_report
from coordinator.report.parquet import parquet_report
from loadgen.errors import OperatorError
from loadgen.stats.tally import CheckCounts
from tests.unit.coordinator.report import summaries


def test_it_has_the_columns_and_values_of_the_csv_with_types(record):
    table = parquet.read_table(io.BytesIO(parquet_report(record)))
    rows = list(csv.DictReader(csv_report(record).splitlines()))
    types = {name: str(table.schema.field(name).type) for name in table.column_names}

    assert table.column_names == list(rows[0])
    assert [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in table.to_pylist()
    ] == rows
    assert types["open"] == types["failed"] == types["agents"] == "int64"
    assert types["cpu_s"] == types["handshake_p99_ms"] == types["delivery_p99_ms"] == "double"
    assert types["invalid"] == "string"
    assert set(types.values()) == {"int64", "double", "string"}


def test_what_sessions_count_and_check_has_types_too(record):
    (first, *rows) = record.seconds
    fleet = replace(first.fleet, counters={"logins": 3}, checks={"ok": CheckCounts(3, 1)})
    own = replace(record, seconds=[replace(first, fleet=fleet), *rows])

    table = parquet.read_table(io.BytesIO(parquet_report(own)))

    assert table.column("counter.logins").to_pylist() == [3, *[None] * 7]
    assert str(table.schema.field("counter.logins").type) == "int64"
    assert table.column("check.ok").to_pylist()[0] == 75.0


def test_it_names_its_run(record):
    metadata = parquet.read_schema(io.BytesIO(parquet_report(record))).metadata

    assert metadata[b"loadgen.run"].decode() == record.name
    assert metadata[b"loadgen.plan"].decode() == record.plan_text
    assert metadata[b"loadgen.started"] == b"2026-11-24T04:00:00Z"


def test_a_run_without_seconds_has_no_rows():
    data = parquet_report(summaries.record("a", summaries.summary()))

    assert parquet.read_table(io.BytesIO(data)).num_rows == 0


def test_without_pyarrow_the_error_names_the_extra(record, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(OperatorError, match=r"^--format parquet needs pyarrow: pip install"):
        parquet_report(record)
