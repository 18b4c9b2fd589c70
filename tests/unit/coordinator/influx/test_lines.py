"""A settled second in InfluxDB's line protocol."""

import sys

import pytest

from coordinator.influx.lines import check_library, lines_of
from coordinator.report.own import OwnFigures
from coordinator.report.samples import AGENT_SERIES, Sample
from loadgen.errors import OperatorError

NOTHING = {"server: failed http_503": 3, "nobody: closed drained": 2, "generator: lost": 1}


def test_a_second_has_a_line_for_the_fleet_each_agent_and_each_reason():
    agent = [150, 50, 50, 0, 0.5, 1 << 20, 1.5, None, 2.0, 3.0, 40.0, None, 2]
    sample = Sample(
        2,
        {"open": 300, "verified": None, "asked": 100},
        {"handshake": [0.5, 1.0, 1.5, 2.0, 3.0]},
        {"a": agent, "b": agent},
        [],
    )
    fleet, *agents = lines_of(sample, "r", 1_800_000_002)

    assert fleet.startswith("loadgen,run=r ")
    assert fleet.endswith(" 1800000002")
    fields = dict(field.split("=") for field in fleet.split(" ")[-2].split(","))
    assert fields["open"] == "300i"
    assert fields["asked"] == "100"
    assert fields["invalid"] == '""'
    assert fields["handshake_p99_ms"] == "2"
    assert not {"verified", "ping_rtt_p99_ms"} & fields.keys(), "they were not measured"
    assert [line.partition(" ")[0] for line in agents] == [
        "loadgen_agent,agent=a,run=r",
        "loadgen_agent,agent=b,run=r",
    ]
    assert agents[0].split(" ")[1].split(",") == [
        "cpu_s=0.5",
        "failed=0i",
        "handshake_p99_ms=1.5",
        "host_busy=40",
        "host_retransmits=2",
        "lag_p99_ms=2",
        "launched=50i",
        "loop_lag_p99_ms=3",
        "open=150i",
        "opened=50i",
        "rss=1048576i",
    ]


def test_what_sessions_count_and_time_are_fields_of_the_fleet():
    own = OwnFigures({"logins, all": 3}, {"ok": (1, 1)}, {"tr_login": [2, 1.0, 1.0, 1.0, 1.5, 2.0]})

    (fleet,) = lines_of(Sample(0, {}, {}, {}, [], own=own), "r", 1)

    for field in (
        "counter.logins\\,\\ all=3i",
        "check.ok=50",
        "checks_failed.ok=1i",
        "timing.tr_login_count=2i",
        "timing.tr_login_p99_ms=1.5",
    ):
        assert field in fleet


def test_ends_are_by_kind_reason_and_fault():
    _, *ends = lines_of(Sample(0, {}, {}, {}, [], NOTHING), "r", 1)

    assert ends == [
        "loadgen_ends,fault=server,kind=failed,reason=http_503,run=r connections=3i 1",
        "loadgen_ends,fault=nobody,kind=closed,reason=drained,run=r connections=2i 1",
        "loadgen_ends,fault=generator,kind=lost,run=r connections=1i 1",
    ]


def test_foreign_text_stays_in_its_place():
    invalid = ['no report from "b", \\ c=1']
    sample = Sample(0, {}, {}, {"a b,c=d": [1.0] + [None] * (len(AGENT_SERIES) - 1)}, invalid)
    fleet, agent = lines_of(sample, "r", 1)

    assert 'invalid="no report from \\"b\\", \\\\ c=1"' in fleet
    assert agent == "loadgen_agent,agent=a\\ b\\,c\\=d,run=r open=1i 1"


def test_without_the_library_the_error_names_the_extra(monkeypatch):
    check_library()
    monkeypatch.setitem(sys.modules, "influxdb_client", None)

    with pytest.raises(OperatorError, match=r"^--export needs influxdb-client: pip install"):
        check_library()
