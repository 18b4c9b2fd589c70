"""Runs beside a baseline."""

import pytest
from msgspec.structs import replace

from coordinator.report.compare import (
    RegressionLimit,
    differences,
    figures_of,
    limits_of,
    regressions,
    warnings,
)
from coordinator.run.steering import AskedChange
from coordinator.run.summary import InvalidSecond
from coordinator.storage.reader import AgentFacts, RunFacts
from loadgen.errors import PlanError
from loadgen.plan.plan import Plan
from loadgen.plan.steer import PlanChange
from loadgen.stats.tally import CheckCounts
from tests.unit.coordinator.report.summaries import agent, part, percentiles, record, summary

SUMMARY = summary(
    launched=1000,
    opened=1000,
    open_peak=1000,
    rate_achieved=200.0,
    plateau_s=60,
    pings=5000,
    agents=[agent()],
    histograms={"handshake": percentiles(count=1000, p50=1.0, p99=10.0)},
)


def changed(**figures):
    return replace(SUMMARY, **figures)


def judgements(after, **options):
    return {one.name: one.judgement for one in differences(SUMMARY, after, **options)}


def test_each_figure_has_a_better_direction():
    slow = {"handshake": percentiles(count=1000, p50=0.5, p99=12.0)}

    found = judgements(
        changed(
            open_peak=900, rate_achieved=400.0, failed={"refused": 1}, histograms=slow, pings=9000
        )
    )

    assert found["open_peak"] == found["failed"] == found["handshake_p99"] == "worse"
    assert found["rate_achieved"] == found["handshake_p50"] == "better"
    assert found["pings"] == "differs"
    assert found["opened"] == "same"
    assert "delivery_p99" not in found, "neither run measured it"


def test_a_figure_within_the_tolerance_is_the_same():
    assert judgements(changed(open_peak=960))["open_peak"] == "same"
    assert judgements(changed(open_peak=960), tolerance=1.0)["open_peak"] == "worse"


def test_a_broken_limit_is_a_regression():
    slow = changed(histograms={"handshake": percentiles(count=1000, p50=1.0, p99=12.0)})

    assert regressions(SUMMARY, slow, limits_of(["handshake_p99:25%", "failed"], 5.0)) == []
    assert regressions(SUMMARY, slow, limits_of(["handshake_p99:10%"], 5.0)) == [
        "handshake_p99: 10 before, now 12, +20.0 %; 10 % are allowed"
    ]
    assert len(regressions(SUMMARY, slow, limits_of(["any"], 5.0))) == 1
    assert regressions(SUMMARY, changed(histograms={}), limits_of(["handshake_p99"], 5.0)) == [
        "handshake_p99: 10 before, now not measured; 5 % are allowed"
    ]
    assert regressions(SUMMARY, changed(lost=1), [RegressionLimit("lost", 50.0)]), (
        "0 before, so even one is too many"
    )


@pytest.mark.parametrize(
    "text", ["", "speed", "open_peak:", "open_peak:10", "open_peak>5", "pings"]
)
def test_a_text_that_is_no_limit_is_refused_in_one_line(text):
    with pytest.raises(PlanError, match="--fail-on") as mistake:
        limits_of([text], 5.0)

    assert "\n" not in str(mistake.value)


OWN = changed(
    counters={"logins": 100, "errors": 0},
    checks={"ok": CheckCounts(99, 1)},
    timings={"tr_login": percentiles(p50=5.0, p95=8.0, p99=10.0)},
)
SLOW = changed(
    counters={"logins": 40, "retries": 7},
    checks={"ok": CheckCounts(80, 20)},
    timings={"tr_login": percentiles(p50=5.0, p95=10.0, p99=12.0)},
)


def lines(*texts, before=OWN, after=SLOW):
    return regressions(before, after, limits_of(texts, 5.0, [before, after]))


def test_what_sessions_count_check_and_time_is_compared():
    assert figures_of([OWN, SLOW])[-7:] == [
        "check.ok",
        "timing.tr_login_p50",
        "timing.tr_login_p95",
        "timing.tr_login_p99",
        "counter.errors",
        "counter.logins",
        "counter.retries",
    ]
    found = {one.name: (one.change, one.judgement) for one in differences(OWN, SLOW)}

    assert found["check.ok"] == (-19.2, "worse")
    assert found["timing.tr_login_p99"] == (20.0, "worse")
    assert found["timing.tr_login_p50"] == (0.0, "same")
    assert found["counter.logins"] == (-60.0, "differs"), "only the session knows which is better"
    assert found["counter.errors"] == found["counter.retries"] == (None, "differs")
    assert {one.name: one.judgement for one in differences(SLOW, OWN)}["check.ok"] == "better"


def test_a_limit_may_be_on_what_sessions_count_check_and_time():
    assert lines("timing.tr_login_p99:25%", "tr_login_p95:30%", "check.ok:20%") == []
    assert lines("tr_login_p95:20%") == lines("timing.tr_login_p95:20%")
    assert lines("tr_login_p95:20%", "check.ok:1%") == [
        "timing.tr_login_p95: 8 before, now 10, +25.0 %; 20 % are allowed",
        "check.ok: 99 before, now 80, -19.2 %; 1 % are allowed",
    ]


def test_a_counter_breaks_its_limit_in_either_direction():
    fewer, more = lines("counter.logins"), lines("counter.logins", before=SLOW, after=OWN)

    assert fewer == ["counter.logins: 100 before, now 40, -60.0 %; 5 % are allowed"]
    assert more == ["counter.logins: 40 before, now 100, +150.0 %; 5 % are allowed"]
    assert lines("counter.logins:60%") == []
    assert lines("counter.retries") == [
        "counter.retries: not measured before, now 7; 5 % are allowed"
    ]
    assert lines("counter.errors") == [
        "counter.errors: 0 before, now not measured; 5 % are allowed"
    ]


def test_fewer_failed_transactions_are_better():
    some, more, none = (
        changed(counters={"tr_login_failed": number} if number else {}) for number in (2, 3, 0)
    )

    assert lines("any", before=some, after=more) == [
        "counter.tr_login_failed: 2 before, now 3, +50.0 %; 5 % are allowed"
    ]
    assert lines("any", before=none, after=some) == [
        "counter.tr_login_failed: not measured before, now 2; 5 % are allowed"
    ]
    assert lines("any", before=more, after=some) == lines("any", before=some, after=none) == []


def test_any_has_what_sessions_count_check_and_time():
    assert [line.partition(":")[0] for line in lines("any")] == [
        "check.ok",
        "timing.tr_login_p95",
        "timing.tr_login_p99",
        "counter.errors",
        "counter.logins",
        "counter.retries",
    ]
    assert lines("any", after=OWN) == []


def test_a_counter_of_neither_run_breaks_no_limit():
    third = changed(counters={"rows": 3})
    limits = limits_of(["any"], 5.0, [OWN, SLOW, third])

    assert [line for line in regressions(OWN, SLOW, limits) if "rows" in line] == []


@pytest.mark.parametrize("text", ["ping_rtt_p95", "http_p99", "handshake_mean:1%", "failed.reset"])
def test_a_limit_may_be_on_every_statistic_and_reason(text):
    (limit,) = limits_of([text], 5.0)

    assert limit.name == text.partition(":")[0]


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("tr_logn_p95", "did you mean 'timing.tr_login_p95'?"),
        ("timing.tr_login", "did you mean 'timing.tr_login_p99'?"),
        ("check.okay", "did you mean 'check.ok'?"),
        ("counter.login", "did you mean 'counter.logins'?"),
        ("lag_p99", ""),
    ],
)
def test_what_no_session_counts_checks_or_times_is_refused(text, nearest):
    with pytest.raises(PlanError, match="is not a limit") as mistake:
        limits_of([text], 5.0, [OWN])

    assert nearest in str(mistake.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("session.chater.failed", "did you mean 'session.chatter'?; they have session.chatter"),
        ("session.chatter.rate_achieved", "is a figure of the whole run alone"),
        ("session.chatter.reach", "is not a figure"),
    ],
)
def test_a_limit_on_what_no_part_has_is_refused(text, problem):
    split = changed(parts={"session.chatter": part()})

    with pytest.raises(PlanError) as mistake:
        limits_of([text], 5.0, [split, SUMMARY])

    assert str(mistake.value).startswith(f"--fail-on {text!r}: ")
    assert problem in str(mistake.value)


def test_a_limit_on_a_part_is_refused_where_results_are_not_split():
    with pytest.raises(PlanError, match=r"no part .session\.chatter.; their results are not split"):
        limits_of(["session.chatter.failed"], 5.0, [changed(parts={})])


def facts(name, **machine):
    return RunFacts(agents=[AgentFacts(name, machine)])


def test_runs_that_differ_in_plan_or_machine_get_warnings():
    one = record("one", SUMMARY, facts=facts("a", cpus=2, memory_available=1))
    another_moment = record("one", SUMMARY, facts=facts("b", cpus=2, memory_available=2))
    other = record(
        "other",
        changed(
            verdict="stopped",
            changes=[AskedChange("max 5", 1.0, 5, PlanChange(1.0, 5, max=5))],
            invalid_seconds=[InvalidSecond(3, ["why"])],
            saturated_seconds=[InvalidSecond(number, ["why"]) for number in (3, 4)],
            agents=[agent("a"), agent("b")],
        ),
        plan=Plan(rate=5.0),
        facts=facts("a", cpus=4),
    )

    assert list(warnings(one, another_moment)) == []
    assert list(warnings(one, other)) == [
        "other did not run to its end (stopped)",
        "the plan of other was changed by hand: max 5 from second 1, 5 planned",
        "other has 1 invalid seconds",
        "other has 2 saturated seconds",
        "the plans differ: rate 2000.0 / 5.0",
        "the fleets differ: 1 / 2 agents",
        "the machines differ: cpus",
    ]


def test_a_limit_may_be_of_a_session():
    name = "session.chatter.failed"
    before, after = (
        changed(parts={"session.chatter": part(launched=10, failed={"refused": number})})
        for number in (10, 12)
    )

    assert regressions(before, after, limits_of([f"{name}:25%"], 5.0)) == []
    assert regressions(before, after, limits_of([name, f"{name}.refused:30%"], 5.0)) == [
        f"{name}: 10 before, now 12, +20.0 %; 5 % are allowed"
    ]
    assert regressions(before, SUMMARY, limits_of([name], 5.0)) == [
        f"{name}: 10 before, now not measured; 5 % are allowed"
    ]
