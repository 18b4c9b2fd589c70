"""The form of summary.json, whatever version wrote it."""

import msgspec
import pytest

from coordinator.run.publications import PublicationsSummary
from coordinator.run.row import Percentiles
from coordinator.run.summary import Summary
from loadgen.stats.histogram import QUANTILES
from loadgen.stats.tally import COUNTS
from tests.unit.coordinator.report.summaries import part, percentiles, summary

OPTIONAL = (
    "relaunched",
    "messages_sent",
    "messages_unsent",
    "messages_compressed",
    "ports_skipped",
    "sessions_started",
    "sessions_done",
    "sessions_failed",
    "unexpected",
)
OPTIONAL_PARTS = (
    "compress",
    "compression",
    "counters",
    "timings",
    "tracebacks",
    "phases",
    "parts",
    "pauses",
    "aborted",
)


def test_a_peak_is_exact_where_no_more_can_have_been_open():
    assert summary(open_peak=5, open_peak_most=5).peak_is_exact
    assert not summary(open_peak=5, open_peak_most=6).peak_is_exact
    assert not summary(open_peak=5, open_peak_most=None).peak_is_exact


def test_accepted_says_something_where_a_server_says_yes():
    assert summary(appwrite=True).awaits_yes
    assert summary(accepted=1).awaits_yes
    assert not summary().awaits_yes


def test_a_summary_is_read_as_it_was_written():
    written = summary(planned=10, launched=10, failed={"refused": 3}, pauses=[(1.0, None)])

    assert msgspec.json.decode(written.to_json(), type=Summary) == written


def test_every_counter_is_a_key():
    assert {*COUNTS} <= msgspec.json.decode(summary().to_json()).keys()


def test_what_an_older_run_directory_lacks_has_a_default():
    old = msgspec.json.decode(summary().to_json())
    for name in (*OPTIONAL, *OPTIONAL_PARTS):
        del old[name]

    assert msgspec.convert(old, Summary) == summary()


@pytest.mark.parametrize("name", ["verdict", "planned", "failed", "histograms", "agents"])
def test_a_summary_without_its_main_figures_is_none(name):
    figures = msgspec.json.decode(summary().to_json())
    del figures[name]

    with pytest.raises(msgspec.ValidationError, match=name):
        msgspec.convert(figures, Summary)


def test_the_statistics_are_the_quantiles_of_a_histogram():
    assert Percentiles.__struct_fields__ == ("count", "mean", *QUANTILES, "max")


def test_totals_are_over_all_reasons():
    figures = summary(
        planned=12,
        launched=10,
        relaunched=2,
        late=1,
        failed={"refused": 3, "timeout": 1},
        closed={"done": 5, "reset": 1},
    )

    assert (figures.arrivals, figures.total_failed, figures.total_closed) == (10, 4, 6)
    assert figures.late_percent == 10.0
    assert summary(pongs_skipped=1, pongs_missing=2, pings_cut=3).pings_unanswered == 5
    assert summary().late_percent == 0.0


def test_the_judged_percentiles_are_those_of_the_valid_seconds_where_they_are_known():
    every, valid = {"lag": percentiles(p99=9.0)}, {"lag": percentiles(p99=1.0)}

    assert summary(histograms=every).judged == every
    assert summary(histograms=every, parts={"run": part(histograms=valid)}).judged == valid


def test_unexpected_ends_are_those_that_were_not_asked_for():
    figures = summary(closed={"drained": 200, "server_1001": 74, "reset": 1})

    assert figures.unexpected == 75
    assert figures.unexpected_ends == {"server_1001": 74, "reset": 1}


def test_delivery_is_wrong_by_at_most_what_the_clocks_are():
    published = PublicationsSummary(clock_bound_ms=2.5)

    assert summary(publications=published).bounds == {"delivery": 2.5}
    assert summary(publications=PublicationsSummary()).bounds == {}
    assert summary().bounds == {}
