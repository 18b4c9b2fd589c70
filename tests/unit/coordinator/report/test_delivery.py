"""Delivery in reports: what is said of it, and what is not proved."""

from msgspec.structs import replace

from coordinator.report.claims import claims_of
from coordinator.report.delivery import (
    claim,
    delivery_lines,
    delivery_table,
    not_proved,
    percent_text,
)
from coordinator.report.text import comparison, text_report
from coordinator.run.publications import Missed, PublicationLine, PublicationsSummary
from loadgen.plan.plan import Plan
from tests.unit.coordinator.report.summaries import percentiles, summary

LINE = PublicationLine(
    publication="here-run.0:7",
    at=12.34,
    channel="files",
    expected=50_000,
    received=49_999,
    lost=1,
    reach=99.998,
    duplicates=0,
    reordered=0,
    first=1.0,
    p50=20.0,
    p99=80.0,
    last=250.0,
    clock_bound=0.0,
    missed=[],
)
ALL = summary(
    delivery_expected=1_000_000,
    delivery_received=1_000_000,
    reach=100.0,
    histograms={"delivery": percentiles(p99=80.0)},
    publications=PublicationsSummary(sent=20, settled=20, rate=5.0, subscribers=50_000),
)
SOME = replace(
    ALL,
    delivery_received=999_999,
    delivery_lost=1,
    delivery_duplicates=2,
    delivery_reordered=3,
    reach=99.9999,
    missed=[Missed("local-1", 1234, "here-run.0:7")],
    publications=replace(ALL.publications, failed={"http_503": 4}, worst=[LINE]),
)


def test_only_all_are_100_percent():
    assert percent_text(100.0) == "100 %"
    assert percent_text(99.99999) == "99.9999 %"
    assert percent_text(99.5) == "99.5 %"
    assert percent_text(0.0) == "0 %"


def test_a_run_that_measures_no_delivery_says_nothing_of_it():
    silent = summary()

    assert delivery_lines(silent) == list(claim(silent)) == list(not_proved(silent)) == []
    assert len(delivery_table(silent)) == 1


def test_a_run_that_reached_all_proves_it():
    assert delivery_lines(ALL) == [
        "delivery: 20 publications at 5.0/s; reach 100 % (1,000,000 of 1,000,000); 0 lost, 0"
        " duplicates, 0 reordered"
    ]
    assert list(claim(ALL)) == [
        "5 publications a second reached 100 % of 50,000 subscribers, 99 % within 80.0 ms"
    ]
    assert list(not_proved(ALL)) == []


def test_without_an_order_it_is_not_judged():
    free = replace(ALL, publications=replace(ALL.publications, ordered=False))

    assert delivery_lines(free)[0].endswith("0 duplicates, order not judged")


def test_losses_are_shown_with_samples_and_the_worst_publications():
    lines = delivery_lines(SOME)

    assert "reach 99.9999 % (999,999 of 1,000,000); 1 lost, 2 duplicates, 3 reordered" in lines[0]
    assert lines[1:] == [
        "publications that could not be sent: http_503 4",
        "missed: user 1,234 of local-1, here-run.0:7",
    ]
    assert delivery_table(SOME)[1] == [
        "here-run.0:7",
        "12.3",
        "50,000",
        "1",
        "99.998 %",
        "1.0",
        "20.0",
        "80.0",
        "250",
    ]
    assert list(not_proved(SOME)) == [
        "that every publication reaches every subscriber once and in order: 1 were lost, 2 were"
        " received twice, 3 were received after a later one"
    ]
    text = text_report(SOME)
    assert lines[0] in text
    assert "worst publications" in text


def test_a_publication_without_times_is_shown_all_the_same():
    bare = replace(LINE, reach=None, first=None, p50=None, p99=None, last=None)
    shown = replace(SOME, publications=replace(SOME.publications, worst=[bare]))

    assert delivery_table(shown)[1][4:] == ["–"] * 5


def test_without_a_rate_and_times_the_number_is_claimed():
    once = replace(ALL, histograms={}, publications=replace(ALL.publications, sent=1, rate=0.0))

    assert list(claim(once)) == ["1 publication reached 100 % of 50,000 subscribers"]


def test_what_is_unknown_is_said_to_be_unknown():
    unknown = replace(
        summary(),
        delivery_untimed=5,
        delivery_negative=6,
        delivery_unregistered=7,
        publications=PublicationsSummary(unmeasured=8),
    )

    assert delivery_lines(unknown)[0].startswith("delivery: 0 publications; reach not measured;")
    assert delivery_lines(unknown)[1:] == [
        "unknown: no subscriber was expected to receive any publication",
        "unknown: 8 publications were too many to be measured",
        "unknown: 5 receipts have no time: the clock of their sender is unknown",
        "unknown: 6 receipts have no time: by the clocks they were before the sending",
        "unknown: 7 receipts were of publications that nobody here sent, or of another channel",
    ]
    assert "all about delivery: 8 publications were too many to be measured" in not_proved(unknown)
    assert list(claim(unknown)) == []


def test_times_below_what_the_clocks_tell_are_unknown():
    """The publisher's clock and a receiver's may differ by 30 ms."""
    line = replace(LINE, clock_bound=30.0)
    known = replace(ALL.publications, clock_bound_ms=30.0, worst=[line])
    run = replace(ALL, histograms={"delivery": percentiles(p50=20.0, p99=80.0)}, publications=known)

    assert delivery_table(run)[1][-4:] == ["–", "–", "80.0", "250"]
    assert delivery_lines(run)[1:] == [
        "times of delivery are ± 30.0 ms: the hosts' clocks are known to that",
        "unknown: times of delivery below 30.0 ms: the clocks of the hosts may differ by that",
    ]
    assert next(claim(run)).endswith("of 50,000 subscribers, 99 % within 80.0 ms ± 30.0 ms")
    row = next(line for line in text_report(run).splitlines() if line.startswith("delivery "))
    assert "–" in row


def test_runs_side_by_side_show_reach_and_delivery():
    text = comparison([("one", SOME), ("two", ALL), ("plain", summary())])
    rows = {line[:18].strip(): line[18:].split() for line in text.splitlines()}

    assert rows["reach"] == ["99.9999", "%", "100", "%", "–"]
    assert rows["delivery p99 ms"] == ["80.0", "80.0", "–"]
    assert "reach" not in comparison([("plain", summary())])


def test_a_percentile_below_what_the_clocks_tell_is_not_claimed():
    run = replace(ALL, publications=replace(ALL.publications, clock_bound_ms=90.0))

    assert next(claim(run)).endswith("of 50,000 subscribers")


def test_messages_without_a_stamp_prove_nothing_about_delivery():
    plain = replace(summary(), publications=PublicationsSummary(unstamped="hello"))
    claims = claims_of(plain, [], Plan(target="ws://10.0.0.1/"))

    assert "all about delivery: messages had no stamp, such as 'hello'" in claims.does_not
