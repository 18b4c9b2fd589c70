"""The settled seconds as a table."""

from coordinator.report.samples import Sample, samples_of
from coordinator.report.seconds import TEXTS, WHOLE, columns_of, figures_of, is_whole


def test_a_second_has_its_figures_by_the_names_of_the_columns():
    sample = Sample(
        3,
        {"open": 5, "verified": None},
        {"handshake": [0.5, 1.0, 1.5, 2.0, 3.0]},
        {"a": [], "b": []},
        ["no report from b", "stalled"],
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


def test_columns_have_the_types_that_are_promised(record):
    for name, values in columns_of(samples_of(record)).items():
        kind = str if name in TEXTS else int if name in WHOLE else float
        assert {type(value) for value in values} <= {kind, type(None)}, name


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
    assert is_whole("session.a.b.lost")
    assert not is_whole("session.a.b.handshake_p99_ms")
