"""The settled seconds as a table."""

import pytest

from coordinator.report.own import OwnFigures
from coordinator.report.samples import Sample, samples_of
from coordinator.report.seconds import columns_of, figures_of, kind_of


def test_a_second_has_its_figures_by_the_names_of_the_columns():
    sample = Sample(
        3,
        {"open": 5, "verified": None},
        {"handshake": [0.5, 1.0, 1.5, 2.0, 3.0]},
        {"a": [], "b": []},
        ["no report from b", "stalled"],
        reported=2,
    )

    figures = figures_of(sample)

    assert list(figures)[:3] == ["second", "open", "verified"]
    assert (figures["second"], figures["open"], figures["verified"]) == (3, 5, None)
    assert (figures["handshake_p50_ms"], figures["handshake_max_ms"]) == (0.5, 3.0)
    assert figures["ping_rtt_p99_ms"] is None
    assert (figures["agents"], figures["invalid"]) == (2, "no report from b; stalled")


def test_each_column_has_the_values_of_all_seconds(record):
    columns = columns_of(samples_of(record))

    assert columns["second"] == list(range(8))
    assert columns["open"] == [row.fleet.ledger.open for row in record.seconds]
    assert columns["lag_p99_ms"][4] is None


TYPES = {"text": str, "whole": int, "decimal": float}


def test_columns_have_the_types_that_are_promised(record):
    for name, values in columns_of(samples_of(record)).items():
        assert {type(value) for value in values} <= {TYPES[kind_of(name)], type(None)}, name


def own(second, **figures):
    """A second in which sessions counted, checked and timed these."""
    return Sample(second, {"open": 0}, {}, {}, [], own=OwnFigures(**figures))


def test_what_sessions_count_check_and_time_has_columns_of_its_own_at_the_end():
    columns = columns_of(
        [
            own(0, counters={"logins, all": 3}, timings={"tr_login": [4, 1.0, 2.0, 3.0, 4.0, 5.0]}),
            own(1, counters={"logins, all": 0}, checks={"ok": (3, 1)}),
        ]
    )

    assert dict(list(columns.items())[-10:]) == {
        "check.ok": [None, 75.0],
        "checks_failed.ok": [None, 1],
        "checks_passed.ok": [None, 3],
        "counter.logins, all": [3, 0],
        "timing.tr_login_count": [4, None],
        "timing.tr_login_max_ms": [5.0, None],
        "timing.tr_login_p50_ms": [1.0, None],
        "timing.tr_login_p90_ms": [2.0, None],
        "timing.tr_login_p95_ms": [3.0, None],
        "timing.tr_login_p99_ms": [4.0, None],
    }


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("open", "whole"),
        ("invalid", "text"),
        ("asked", "decimal"),
        ("counter.a_p50_ms", "whole"),
        ("counter.invalid", "whole"),
        ("checks_failed.no.saturated", "whole"),
        ("session.invalid.failed", "whole"),
        ("target.ws://a.b:1/open.ping_rtt_p99_ms", "decimal"),
        ("checks_passed.a", "whole"),
        ("checks_failed.a", "whole"),
        ("check.a_count", "decimal"),
        ("timing.a_count", "whole"),
        ("timing.a_count_p50_ms", "decimal"),
    ],
)
def test_the_kind_of_a_column_follows_from_its_name(column, kind):
    assert kind_of(column) == kind


def test_a_run_without_seconds_has_columns_without_values():
    columns = columns_of([])

    assert columns["second"] == columns["handshake_p99_ms"] == columns["invalid"] == []


def test_sessions_and_targets_have_columns_for_what_they_did_in_any_second():
    samples = [
        Sample(
            0,
            {"open": 5, "alive": None, "opened": 5, "lost": 0},
            {},
            {},
            [],
            parts={
                "session.chatter": {"open": 3, "alive": None, "opened": 3},
                "session.a.b": {"open": 2, "opened": 2, "handshake_p99_ms": 1.5},
            },
        ),
        Sample(
            1,
            {"open": 5, "alive": None, "opened": 0, "lost": 0},
            {},
            {},
            [],
            parts={"session.chatter": {"open": 3}, "session.a.b": {"open": 1, "lost": 1}},
        ),
    ]

    columns = columns_of(samples)

    own = {name: values for name, values in columns.items() if name.startswith("session.")}
    assert own == {
        "session.chatter.open": [3, 3],
        "session.chatter.opened": [3, 0],
        "session.a.b.open": [2, 1],
        "session.a.b.opened": [2, 0],
        "session.a.b.lost": [0, 1],
        "session.a.b.handshake_p99_ms": [1.5, None],
    }
    assert kind_of("session.a.b.lost") == "whole"
    assert kind_of("session.a.b.handshake_p99_ms") == "decimal"
