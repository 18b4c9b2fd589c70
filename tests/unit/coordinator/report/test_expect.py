"""Expectations: their grammar, and the figures that they are compared with."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from coordinator.report.expect import (
    BASES,
    COUNTS,
    DURATIONS,
    PART_COUNTS,
    nearest_of,
    parse,
    unit_of,
)
from coordinator.run.parts import Part
from coordinator.run.publications import PublicationsSummary
from coordinator.run.summary import ExpectationResult, InvalidSecond, Summary
from loadgen.errors import PlanError
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import PythonSession
from loadgen.stats.tally import COUNTS as COUNTERS
from loadgen.stats.tally import CheckCounts
from tests.unit.coordinator.report.summaries import part, percentiles, summary

LATENCIES = percentiles(mean=1.5, p50=1.0, p90=2.0, p95=3.0, p99=12.5, p999=40.0, max=41.0)
JUDGED = percentiles(count=7, p99=11.0)
PLAN = Plan(phases=(Phase(name="ramp", rate=10, duration=60.0), Phase(name="a.b", duration=9.0)))
SUMMARY = summary(
    planned=2500,
    launched=2000,
    relaunched=500,
    opened=1600,
    accepted=800,
    open_peak=1500,
    rate_asked=200.0,
    rate_achieved=150.0,
    pings=4000,
    pongs=3960,
    failed={"refused": 3, "timeout": 1},
    closed={"server_1001": 74, "bye": 2, "drained": 1524},
    duration_s=180.0,
    invalid_seconds=[InvalidSecond(3, ["why"])],
    parts={
        "run": part(histograms={"handshake": LATENCIES, "open": JUDGED}),
        "plateau": part(
            launched=20,
            opened=10,
            held=1510,
            open_peak=1500,
            open_min=1200,
            unexpected=151,
            closed={"server_1001": 151},
            invalid_seconds=1,
            histograms={"handshake": JUDGED},
        ),
        "phase.ramp": part(launched=1000, failed={"refused": 1}, counters={"logins": 3}),
        "phase.a.b": part(timings={"tr_login": JUDGED}),
    },
    plateau_s=90,
    counters={"logins": 12, "bad replies": 20, "looked at": 0},
    timings={"tr_login": LATENCIES},
    histograms={"handshake": LATENCIES, "open": LATENCIES, "lag": LATENCIES},
)
WITH_TIMINGS = replace(
    SUMMARY,
    parts=SUMMARY.parts | {"run": replace(SUMMARY.parts["run"], timings={"tr_login": LATENCIES})},
)
OLDEST = summary(histograms={"handshake": percentiles(mean=None)})


def test_the_figures_are_the_fields_of_the_summary():
    assert {*COUNTERS, "planned", "failed", "closed", "unexpected"} <= {*COUNTS}
    assert DURATIONS == ("duration_s", "plateau_s")
    assert {"open_peak", "rate_achieved", "invalid_seconds"} <= {*COUNTS}
    assert not {"schema", "verdict", "histograms", "counters", "agents"} & {*COUNTS}


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("delivery_p99<121ms", True),
        ("delivery_p99<119ms", False),
        ("delivery_p99>90ms", False),
        ("delivery_p99!=90ms", False),
        ("delivery_p99!=130ms", True),
        ("delivery_p99==100ms", False),
        ("delivery_p50<1s", False),
        ("ping_rtt_p50<15ms", True),
    ],
)
def test_a_time_of_delivery_is_judged_with_the_bound_of_its_clocks(text, held):
    """The p99 is 100 ms, the p50 10 ms, and the clocks are known to 20 ms."""
    known = PublicationsSummary(clock_bound_ms=20.0)
    of = {name: percentiles(p50=10.0, p99=100.0) for name in ("delivery", "ping_rtt")}
    run = replace(SUMMARY, parts={"run": part(histograms=of)}, publications=known)
    result = parse(text).evaluate(run)

    assert result.held == held
    assert (result.value is None) == (text == "delivery_p50<1s")
    assert result.bound == (20.0 if text.startswith("delivery") else None)


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
        ("plateau_s>=90", 90, True),
        ("plateau_s>=90s", 90, True),
        ("counter.logins>=12", 12, True),
        ("counter.bad replies < 1%", 1, False),
        ("counter.looked at==0", 0, True),
        ("counter.never==0", None, False),
        ("counter.never<1%", None, False),
        ("plateau_s<=2m", 90, True),
        ("duration_s<0.1h", 180, True),
        ("invalid_seconds<=1", 1, True),
        ("unexpected==0", 74, False),
        ("unexpected<5%", 4.625, True),
        ("failed.refused<=3", 3, True),
        ("failed.timeout<0.1%", 0.05, True),
        ("failed.http_503==0", 0, True),
        ("closed.server_1001==74", 74, True),
        ("closed.server_1001<1%", 4.625, False),
        ("closed.reset==0", 0, True),
        ("closed.bye==2", 2, True),
        ("closed.cheerio==0", None, False),
        ("accepted>=50%", 50, True),
        ("pongs>=99%", 99, True),
        ("rate_achieved>=90%", 75, False),
        ("open_peak>=75%", 75, True),
        ("launched>=80%", 80, True),
        ("plateau.open_min>=90%", 80, False),
        ("plateau.unexpected<10.1%", 10, True),
        ("plateau.closed.server_1001==151", 151, True),
        ("plateau.invalid_seconds==0", 1, False),
        ("phase.ramp.failed<=0.1%", 0.1, True),
        ("phase.ramp.failed.timeout==0", 0, True),
        ("phase.ramp.counter.logins==3", 3, True),
        ("phase.a.b.failed==0", 0, True),
        ("phase.a.b.failed<1%", None, False),
        ("phase.never.failed==0", None, False),
        ("phase.never.failed<1%", None, False),
    ],
)
def test_an_expectation_is_compared_in_its_own_unit(text, value, held):
    assert parse(text).evaluate(SUMMARY) == ExpectationResult(text, value, held, None)


@pytest.mark.parametrize(
    ("text", "value", "held", "samples"),
    [
        ("handshake_p99<500ms", 12.5, True, 10),
        ("handshake_p99<12", 12.5, False, 10),
        ("handshake_p95<=3", 3.0, True, 10),
        ("handshake_mean<1m", 1.5, True, 10),
        ("handshake_p999<=0.04s", 40.0, True, 10),
        ("handshake_max<41000us", 41.0, False, 10),
        ("ping_rtt_p99<1s", None, False, None),
        ("timing.tr_login_p99<12.6ms", 12.5, True, 10),
        ("timing.tr_login_max<=0.041s", 41.0, True, 10),
        ("tr_login_p99<12.6ms", 12.5, True, 10),
        ("phase.a.b.tr_login_p99<1s", 11.0, True, 7),
        ("timing.tr_logout_p50<1s", None, False, None),
        ("open_p99<12ms", 11.0, True, 7),
        ("lag_p99<1h", None, False, None),
        ("plateau.handshake_p99<12ms", 11.0, True, 7),
        ("plateau.ping_rtt_p99<1s", None, False, None),
        ("phase.a.b.timing.tr_login_p99<1s", 11.0, True, 7),
        ("phase.never.handshake_p99<1s", None, False, None),
    ],
)
def test_percentiles_are_those_of_the_valid_seconds_with_their_number(text, value, held, samples):
    assert parse(text).evaluate(WITH_TIMINGS) == ExpectationResult(text, value, held, samples)


@pytest.mark.parametrize("number", ["1000000", "1_000_000", "1,000,000", "1e6", "1e+6"])
def test_a_number_is_written_as_in_options(number):
    assert parse(f"open_peak>={number}").bound == 1_000_000
    assert parse(f"ping_rtt_p99<{number}us").bound == 1000


@pytest.mark.parametrize("number", ["1,0", "1000,000", "1e", "1e9999", "1_,000"])
def test_what_is_no_number_is_refused(number):
    with pytest.raises(PlanError, match="--expect"):
        parse(f"open_peak>={number}")


@pytest.mark.parametrize(
    ("text", "most", "value", "held", "least"),
    [
        ("open_peak>=750", 750, 750, True, False),
        ("open_peak==750", 750, 750, True, False),
        ("open_peak>=750", 900, 750, True, True),
        ("open_peak==750", 900, 750, False, True),
        ("open_peak<=900", 900, 750, True, True),
        ("open_peak<=899", 900, 750, False, True),
        ("open_peak<=1000000", None, 750, False, True),
        ("open_peak<=90%", 900, 75, True, True),
        ("open_peak<=89%", 900, 75, False, True),
        ("plateau.open_peak<=2000", None, 1500, True, False),
    ],
)
def test_a_peak_that_may_have_been_higher_holds_only_where_it_does_anyhow(
    text, most, value, held, least
):
    run = replace(SUMMARY, open_peak=750, planned=1000, relaunched=0, open_peak_most=most)

    result = parse(text).evaluate(run)
    assert (result.value, result.held, result.at_least) == (value, held, least)


def test_an_older_run_directory_has_the_percentiles_of_all_seconds():
    old = replace(SUMMARY, parts={})

    assert parse("lag_p99<1s").evaluate(old).value == 12.5
    assert parse("timing.tr_login_p99<1s").evaluate(old).value == 12.5
    assert parse("handshake_mean<1s").evaluate(OLDEST).held is False


@pytest.mark.parametrize(
    "text",
    [
        "messages_received>1%",
        "bytes_sent<1%",
        "invalid_seconds<1%",
        "plateau_s>1%",
        "handshake_p99<1%",
        "planned>1%",
    ],
)
def test_a_figure_without_a_base_has_no_percentage(text):
    with pytest.raises(PlanError, match=r"no percentage.*failed \(of launched\), .*of pings"):
        parse(text)


def test_every_base_is_a_figure():
    figures = {*COUNTS, *PART_COUNTS, "arrivals", "checks_made"}

    assert {*BASES.values()} <= figures
    assert all(hasattr(Summary, base) for base in BASES.values())


def test_every_count_of_a_part_is_a_field_of_it():
    assert {*PART_COUNTS} <= {*Part.__struct_fields__}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("faild==0", "did you mean 'failed'"),
        ("handshake_p9<1s", "did you mean 'handshake_p99'"),
        ("failed.timeuot==0", "did you mean 'timeout'"),
        ("closed.sever_1001==0", "did you mean 'server_1001'"),
        ("phase.rmap.failed==0", "did you mean 'ramp'"),
        ("phase.rmap.failed==0", "it has ramp, a.b, hold, drain"),
        ("open_min>1", "write plateau.open_min"),
        ("plateau.planned>1", "figure of the whole run alone"),
        ("plateau.plateau_s>1s", "figure of the whole run alone"),
        ("timing.tr_login<1ms", "no statistic"),
        ("tr_login<1ms", "no statistic; write timing.tr_login_p99"),
        (f"failed<{'9' * 400}", "no figure is as large"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_nearest_one(text, message):
    with pytest.raises(PlanError, match=message) as mistake:
        parse(text, PLAN)

    assert f"--expect {text!r}" in str(mistake.value)


@pytest.mark.parametrize("phase", ["ramp", "a.b", "hold", "drain"])
def test_a_phase_of_the_plan_may_be_named(phase):
    expectation = parse(f"phase.{phase}.failed.timeout < 1%", PLAN)

    assert expectation.name == f"phase.{phase}.failed.timeout"
    assert expectation.base == "launched"
    assert parse("failed<1").name == "failed"


def test_sessions_in_python_may_name_reasons_themselves():
    python = Plan(sessions=(PythonSession(name="s", file="s.py"),))

    assert parse("closed.bye==2", python).evaluate(SUMMARY).held
    with pytest.raises(PlanError, match="'bye' is no reason"):
        parse("closed.bye==2", PLAN)
    with pytest.raises(PlanError, match="'bye' is no reason"):
        parse("failed.bye==2", python)


def test_the_option_is_named_in_the_error():
    with pytest.raises(PlanError, match=r"^--abort-on 'x' is not an expectation"):
        parse("x", option="--abort-on")


def test_no_name_is_offered_where_none_is_near():
    assert nearest_of("xyz", ["failed"]) == ""


@pytest.mark.parametrize(
    ("expr", "unit"),
    [
        ("failed<1%", "%"),
        ("check.even>99", "%"),
        ("plateau.ping_rtt_p99<0.5s", "ms"),
        ("plateau_s>=60", "s"),
        ("failed<3", ""),
        ("of another version", ""),
    ],
)
def test_what_is_compared_has_a_unit(expr, unit):
    assert unit_of(expr) == unit


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


CHECKED = replace(
    SUMMARY,
    checks={"own token": CheckCounts(passed=999, failed=1), "all": CheckCounts(passed=3)},
    checks_passed=1002,
    checks_failed=1,
    http_requests=200,
    http_errors=2,
    http_replies={"200": 190, "503": 2},
    http_failed={"timeout": 8},
    parts=SUMMARY.parts | {"plateau": part(checks={"all": CheckCounts(failed=1)})},
)


@pytest.mark.parametrize(
    ("text", "value", "held"),
    [
        ("check.own token>99.9%", 99.9, False),
        ("check.own token>=99.9", 99.9, True),
        ("check.all==100%", 100, True),
        ("plateau.check.all==100%", 0, False),
        ("plateau.check.own token>0", None, False),
        ("check.never>=0%", None, False),
        ("checks_failed==0", 1, False),
        ("checks_failed<1%", 100 / 1003, True),
        ("plateau.checks_failed==0", None, False),
        ("http_errors<=1%", 1, True),
        ("http_failed<5%", 4, True),
        ("http_failed.timeout==8", 8, True),
        ("http_failed.refused==0", 0, True),
        ("http_replies.503<1%", 1, False),
        ("http_replies.404==0", 0, True),
        ("http_replies==192", 192, True),
        ("http_requests>=200", 200, True),
    ],
)
def test_checks_and_http_requests_are_figures(text, value, held):
    result = parse(text).evaluate(CHECKED)

    assert result.held is held
    assert result.value == (value if value is None else pytest.approx(value))


@pytest.mark.parametrize("text", ["checks_failed==0", "http_errors==0", "http_failed.timeout==0"])
def test_checks_and_requests_that_were_not_made_hold_no_expectation(text):
    assert parse(text).evaluate(SUMMARY) == ExpectationResult(text, None, False)
    assert parse("http_requests==0").evaluate(SUMMARY).held


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("check.a<5ms", "write 'check.NAME>=99.99%'"),
        ("http_failed.timeuot==0", "did you mean 'timeout'"),
        ("http_replies.5xx==0", "no HTTP request ends so"),
        ("http_eror==0", "did you mean 'http_errors'"),
    ],
)
def test_a_figure_of_checks_and_requests_that_is_none_is_refused(text, message):
    with pytest.raises(PlanError, match=re.escape(message)):
        parse(text)
