"""Several runs in the order of their start."""

import msgspec
import pytest

from coordinator.report.trend import (
    Step,
    in_order_of_start,
    step_text,
    trend_json,
    trend_markdown,
    trend_of,
    trend_table,
    trend_text,
)
from coordinator.storage.reader import RunFacts
from loadgen.plan.plan import Plan
from tests.unit.coordinator.report.summaries import percentiles, record, summary


def run(day, *, plan=None, **figures):
    """The run of a day, with only these figures; one is the p99 of pings."""
    p99 = figures.pop("ping_rtt_p99", None)
    histograms = {} if p99 is None else {"ping_rtt": percentiles(p99=p99)}
    return record(
        f"run-{day}",
        summary(opened=10, **figures, histograms=histograms),
        plan=plan,
        facts=RunFacts(started=f"2026-11-{day:02}T04:00:00Z"),
    )


def names(records):
    return [one.name for one in in_order_of_start(records)]


def test_runs_are_in_the_order_of_their_start():
    assert names([run(24), run(9), run(11)]) == ["run-9", "run-11", "run-24"]


def test_a_run_without_a_start_has_that_of_its_name_or_comes_first():
    published = record("20261110T040000Z-127-0-0-1-9505", summary())
    renamed = record("before-the-change", summary())

    assert names([run(11), published, run(9), renamed]) == [
        "before-the-change",
        "run-9",
        "20261110T040000Z-127-0-0-1-9505",
        "run-11",
    ]


def test_each_figure_is_compared_with_the_run_before():
    runs = [
        run(1, open_peak=100, ping_rtt_p99=10.0),
        run(2, open_peak=100, ping_rtt_p99=12.0),
        run(3, open_peak=50, ping_rtt_p99=11.0),
        run(4, open_peak=51, ping_rtt_p99=11.1),
    ]

    trend = trend_of(reversed(runs), 5.0)

    assert trend.figures["ping_rtt_p99"] == [
        Step(10.0),
        Step(12.0, 20.0, "worse"),
        Step(11.0, -8.3, "better"),
        Step(11.1, 0.9, "same"),
    ]
    assert trend.figures["open_peak"] == [
        Step(100),
        Step(100, 0.0, "same"),
        Step(50, -50.0, "worse"),
        Step(51, 2.0, "same"),
    ]
    assert "delivery_p99" not in trend.figures, "no run measured it"


def test_a_figure_that_a_run_did_not_measure_leaves_a_gap():
    runs = [run(1), run(2, ping_rtt_p99=10.0), run(3), run(4)]

    assert trend_of(runs, 5.0).figures["ping_rtt_p99"] == [
        Step(None),
        Step(10.0, None, "differs"),
        Step(None, None, "differs"),
        Step(None),
    ]


def test_what_sessions_count_and_time_is_in_the_trend():
    runs = [
        run(1, counters={"logins": 5}),
        run(2, counters={"logins": 5}, timings={"tr_login": percentiles(p99=3.0)}),
    ]

    figures = trend_of(runs, 5.0).figures

    assert figures["counter.logins"] == [Step(5), Step(5, 0.0, "same")]
    assert figures["timing.tr_login_p99"] == [Step(None), Step(3.0, None, "differs")]


def test_one_run_is_a_trend_without_changes():
    trend = trend_of([run(1, open_peak=10)], 5.0)

    assert trend.figures["open_peak"] == [Step(10)]
    assert trend.remarks == []


def test_runs_that_are_not_quite_comparable_are_named():
    other = Plan(rate=5.0)
    trend = trend_of([run(1), run(2, plan=other), run(3, plan=other, verdict="stopped")], 5.0)

    assert trend.remarks == [
        "run-2 after run-1: the plans differ: rate 2000.0 / 5.0",
        "run-3 after run-2: run-3 did not run to its end (stopped)",
    ]
    assert trend_text(trend).endswith(f"\n\nnot quite comparable: {trend.remarks[-1]}")
    assert trend_markdown(trend).endswith(
        "\n- run-3 after run-2: run-3 did not run to its end (stopped)"
    )


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Step(12.0, 20.0, "worse"), "! 12 (+20.0 %)"),
        (Step(1234567, -1.0, "same"), "1,234,567 (-1.0 %)"),
        (Step(5, None, "worse"), "! 5"),
        (Step(None, None, "differs"), "–"),
    ],
)
def test_a_figure_that_got_worse_is_marked(step, text):
    assert step_text(step) == text


def test_the_table_has_a_column_for_each_run():
    published = record("published", summary(open_peak=7))
    trend = trend_of([run(1, open_peak=7, verdict="fail"), published], 5.0)
    head, started, verdict, *rows = trend_table(trend)

    assert head == ["", "published", "run-1"]
    assert started == ["started", "–", "2026-11-01T04:00:00Z"]
    assert verdict == ["verdict", "nothing opened", "fail"]
    assert ["open_peak", "7", "7 (+0.0 %)"] in rows


def test_text_and_markdown_say_what_the_mark_means():
    trend = trend_of([run(1), run(2)], 2.5)

    for text in (trend_text(trend), trend_markdown(trend)):
        assert "! is worse by more than 2.5 %" in text


def test_json_has_the_numbers():
    trend = trend_of([run(1, open_peak=7), run(2, open_peak=14)], 5.0)
    found = msgspec.json.decode(trend_json(trend))

    assert found["runs"][1] == {
        "name": "run-2",
        "started": "2026-11-02T04:00:00Z",
        "verdict": "done",
    }
    assert found["figures"]["open_peak"][1] == {
        "value": 14,
        "change": 100.0,
        "judgement": "better",
    }
