"""The publications of a run, with ages that are only numbers."""

from math import inf

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coordinator.run.publications import (
    MAX_ANNOUNCED,
    MAX_LATE,
    REPORT_IN,
    WORST,
    Missed,
    Publications,
)
from loadgen.stats.delivery import MAX_MISSED, Delivered, News, Published
from loadgen.stats.histogram import Histogram

GRACE = 5.0


def sent(number=0):
    return Published("here-run.0", number, 1_000_000 * number, "files")


def delivered(expected, received, *milliseconds, **counts):
    times = Histogram()
    for one in milliseconds:
        times.record(one * 1000)
    return Delivered(expected, received, times=times, **counts)


def test_a_publication_settles_once_all_agents_have_reported_its_receipts():
    publications = Publications(GRACE)
    publications.add(sent(), 2.5)
    publications.take(
        "a", News(delivered={sent().key: delivered(3, 3, 1, 2, 3, duplicates=1)}), 8.0
    )
    other = delivered(2, 1, 100, reordered=1, missed=[7])
    publications.take("b", News(delivered={sent().key: other}), 8.5)

    assert publications.settle(2.4 + GRACE + REPORT_IN) == []
    (line,) = publications.settle(2.5 + GRACE + REPORT_IN)

    assert (line.publication, line.at, line.channel) == ("here-run.0:0", 2.5, "files")
    assert (line.expected, line.received, line.lost, line.reach) == (5, 4, 1, 80.0)
    assert (line.duplicates, line.reordered) == (1, 1)
    assert (line.first, line.p50, line.last) == pytest.approx((1.0, 2.0, 100.0), rel=0.01)
    assert line.missed == [Missed("b", 7, "here-run.0:0")] == publications.missed
    assert publications.settle(inf) == []


def test_the_worst_bound_of_the_clocks_counts():
    publications = Publications(GRACE)
    for number, bound in enumerate([2000, 0]):
        publications.add(sent(number), 1.0)
        for agent, less in (("a", bound), ("b", bound // 2)):
            news = News(delivered={sent(number).key: delivered(1, 1, 5, bound=less)})
            publications.take(agent, news, 8.0)

    assert [line.clock_bound for line in publications.settle(inf)] == [2.0, 0.0]
    assert publications.summary.clock_bound_ms == 2.0


def test_a_publication_has_the_age_at_which_it_was_sent():
    publications = Publications(GRACE)
    for number, (age, sent_at) in enumerate([(12.5, 1.0), (12.0, 3.0)]):
        publications.add(sent(number), age, sent_at)

    assert publications.settle(12.4 + GRACE + REPORT_IN)[0].at == 3.0, "it was known first"
    assert publications.settle(12.5 + GRACE + REPORT_IN)[0].at == 1.0


def test_a_publication_that_was_expected_of_nobody_has_no_reach():
    publications = Publications(GRACE)
    publications.add(sent(), 1.0)

    (line,) = publications.settle(inf)

    assert (line.expected, line.reach, line.first, line.last) == (0, None, None, None)
    summary = publications.summary
    assert (summary.settled, summary.reach_min, summary.reach_mean, summary.worst) == (
        1,
        None,
        None,
        [],
    )


def test_what_comes_after_it_settled_changes_nothing():
    publications = Publications(GRACE)
    publications.add(sent(), 1.0)
    publications.settle(inf)
    publications.take("a", News(delivered={sent().key: delivered(1, 1)}), 30.0)

    assert publications.settle(inf) == []


@example([(4, 4), (4, 1), (10, 9)])
@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 100)), min_size=1, max_size=12))
def test_the_summary_is_that_of_all_lines(reaches):
    publications = Publications(GRACE)
    for number, (expected, received) in enumerate(reaches):
        publications.add(sent(number), float(number))
        part = delivered(expected, min(expected, received), number + 1)
        publications.take("a", News(delivered={sent(number).key: part}), float(number))
    lines = publications.settle(inf)
    summary = publications.summary

    assert summary.sent == summary.settled == len(reaches)
    assert summary.subscribers == max(expected for expected, _ in reaches)
    assert summary.reach_min == min(line.reach for line in lines)
    assert summary.reach_mean == pytest.approx(sum(line.reach for line in lines) / len(lines))
    assert summary.rate == (1.0 if len(reaches) > 1 else 0.0)
    worst = sorted(lines, key=lambda line: (line.reach, -line.last))[:WORST]
    assert [(line.reach, line.last) for line in summary.worst] == [
        (line.reach, line.last) for line in worst
    ]


def test_publications_that_agents_report_are_added_once():
    publications = Publications(GRACE)
    for agent in ("a", "b"):
        publications.take(agent, News(published={sent().key: sent()}), 1.0)

    assert publications.summary.sent == 1
    assert publications.since(0) == (0, (sent(),))


def test_an_agent_is_told_of_what_it_does_not_know():
    publications = Publications(GRACE)
    for number in range(MAX_ANNOUNCED + 5):
        publications.add(sent(number), 1.0)

    known, first = publications.since(0)
    assert (known, first[0], len(first)) == (0, sent(0), MAX_ANNOUNCED)
    assert publications.since(MAX_ANNOUNCED + 3) == (
        MAX_ANNOUNCED + 3,
        (sent(MAX_ANNOUNCED + 3), sent(MAX_ANNOUNCED + 4)),
    )


def test_an_agent_is_not_told_of_what_is_long_over():
    publications = Publications(GRACE)
    publications.add(sent(0), 1.0)
    publications.add(sent(1), 2.0 + MAX_LATE)

    assert publications.since(0) == (1, (sent(1),))


def test_more_than_can_be_measured_is_counted(monkeypatch):
    monkeypatch.setattr("coordinator.run.publications.MAX_WAITING", 1)
    publications = Publications(GRACE)
    publications.add(sent(0), 1.0)
    publications.add(sent(1), 1.0)

    assert (publications.summary.sent, publications.summary.unmeasured) == (2, 1)
    assert len(publications.settle(inf)) == 1


def test_failures_are_counted_by_reason():
    publications = Publications(GRACE)
    for reason in ("http_503", "TimeoutError", "http_503"):
        publications.fail(reason)

    assert publications.summary.failed == {"TimeoutError": 1, "http_503": 2}


def test_samples_of_the_missed_are_bounded():
    publications = Publications(GRACE)
    for number in range(3):
        publications.add(sent(number), 1.0)
        missed = Delivered(99, 0, missed=list(range(60)))
        publications.take("a", News(delivered={sent(number).key: missed}), 1.0)
    publications.settle(inf)

    assert len(publications.missed) == MAX_MISSED


def test_the_first_message_without_a_stamp_is_kept():
    publications = Publications(GRACE)

    assert publications.take("a", News(unstamped='one\ntwo {"token": "abc"}'), 1.0)
    assert not publications.take("b", News(unstamped="other"), 1.0)
    assert not publications.take("b", News(), 1.0)
    assert publications.summary.unstamped == 'one two {"token": "…"}'
