"""Expectations: their grammar, and the figures that they are compared with."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from coordinator.report.expect import COUNTS, DURATIONS, parse
from coordinator.run.publications import PublicationsSummary
from coordinator.run.summary import ExpectationResult
from loadgen.errors import PlanError
from loadgen.stats.tally import COUNTS as COUNTERS
from tests.unit.coordinator.report.summaries import percentiles, summary

LATENCIES = percentiles(p50=1.0, p90=2.0, p99=12.5, p999=40.0, max=41.0)
SUMMARY = summary(
    launched=2000,
    open_peak=1500,
    failed={"refused": 3, "timeout": 1},
    plateau_s=90,
    counters={"logins": 12, "bad replies": 20},
    timings={"tr_login": LATENCIES},
    histograms={"handshake": LATENCIES},
)


def test_the_figures_are_the_fields_of_the_summary():
    assert {*COUNTERS, "planned", "open_peak", "failed", "closed", "rate_achieved"} <= {*COUNTS}
    assert DURATIONS == ("duration_s", "plateau_s")
    assert not {"schema", "verdict", "histograms", "counters", "agents"} & {*COUNTS}


def test_reach_is_a_percentage_itself():
    run = replace(SUMMARY, reach=99.99, delivery_expected=10_000, delivery_lost=1)

    assert parse("reach>=99.99%").evaluate(run).held
    assert parse("reach>=99.99").evaluate(run).held
    assert not parse("reach==100%").evaluate(run).held
    assert parse("delivery_lost==1").evaluate(run).held
    with pytest.raises(PlanError, match="reach is a percentage"):
        parse("reach<5ms")


def test_an_order_that_was_not_judged_holds_no_expectation():
    free = PublicationsSummary(ordered=False)
    run = replace(SUMMARY, reach=100.0, delivery_expected=1, publications=free)

    assert parse("delivery_reordered==0").evaluate(run).value is None


@pytest.mark.parametrize("text", ["reach>=0", "delivery_lost==0", "delivery_p99<1s"])
def test_delivery_that_was_not_measured_holds_no_expectation(text):
    assert parse(text).evaluate(SUMMARY) == ExpectationResult(text, None, False)


@pytest.mark.parametrize(
    ("text", "value", "held"),
    [
        ("open_peak>=1500", 1500, True),
        ("open_peak > 1_500", 1500, False),
        ("failed<0.1%", 0.2, False),
        ("failed <= 0.2 %", 0.2, True),
        ("failed==4", 4, True),
        ("lost!=0", 0, False),
        ("handshake_p99<500ms", 12.5, True),
        ("handshake_p99<12", 12.5, False),
        ("handshake_p999<=0.04s", 40.0, True),
        ("handshake_max<41000us", 41.0, False),
        ("plateau_s>=90", 90, True),
        ("plateau_s>=90s", 90, True),
        ("ping_rtt_p99<1s", None, False),
        ("counter.logins>=12", 12, True),
        ("counter.bad replies < 1%", 1, False),
        ("counter.never==0", 0, True),
        ("timing.tr_login_p99<12.6ms", 12.5, True),
        ("timing.tr_login_max<=0.041s", 41.0, True),
        ("timing.tr_logout_p50<1s", None, False),
    ],
)
def test_an_expectation_is_compared_in_its_own_unit(text, value, held):
    assert parse(text).evaluate(SUMMARY) == ExpectationResult(text, value, held)


def test_a_percentage_of_nothing_is_not_measured():
    result = parse("failed<1%").evaluate(replace(SUMMARY, launched=0))

    assert (result.value, result.held) == (None, False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "foo",
        "foo>1",
        "open_peak",
        "open_peak=>1",
        "open_peak>=-1",
        "failed<1ms",
        "handshake_p99<1%",
        "handshake_p98<1",
        "plateau_s>1%",
        "histograms>1",
        "open_peak>=1; x",
        "counter.logins<1ms",
        "counter.>1",
        "counter>1",
        "timing.tr_login<1ms",
        "timing.tr_login_p98<1ms",
        "timing.tr_login_p99<1%",
        "bad replies>1",
    ],
)
def test_a_text_that_is_no_expectation_is_refused_in_one_line(text):
    with pytest.raises(PlanError) as mistake:
        parse(text)

    assert f"--expect {text!r}" in str(mistake.value)
    assert "\n" not in str(mistake.value)


@given(st.text())
def test_any_text_is_an_expectation_or_is_refused(text):
    with contextlib.suppress(PlanError):
        assert parse(text).evaluate(SUMMARY).held in (True, False)
