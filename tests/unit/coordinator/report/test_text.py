"""The report as text."""

import re

import msgspec
import pytest
from msgspec.structs import replace

from coordinator.report.text import comparison, outcome, text_report
from coordinator.run.hosts import HostSummary
from coordinator.run.publications import PublicationsSummary
from coordinator.run.summary import (
    EarlyEnd,
    ExpectationResult,
    ExportSummary,
    InvalidSecond,
    Summary,
)
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.stats.tally import CheckCounts
from tests.unit.coordinator.report import summaries
from tests.unit.coordinator.report.runs import finished, with_session_figures

HELD = ExpectationResult("opened==42", 42, held=True)


def numbers(line):
    return [int(number.replace(",", "")) for number in re.findall(r"[\d,]+", line)]


def test_the_ledger_visibly_adds_up():
    _, summary = finished()
    lines = text_report(summary, "a-run").splitlines()

    laws = [line for line in lines if "  =  " in line]

    assert len(laws) == 3
    for line in laws:
        total, *parts = numbers(line)
        assert total == sum(parts)
    assert not any("does not add up" in line for line in lines)


def test_the_share_of_resumed_tls_handshakes_is_told_where_there_were_any():
    _, summary = finished()

    secure = text_report(replace(summary, tls_handshakes=40, tls_resumed=30))

    assert "TLS: 40 handshakes, 30 of them resumed (75.0 %)" in secure.splitlines()
    assert "TLS" not in text_report(summary)


def test_the_first_line_says_that_certificates_were_not_verified():
    _, summary = finished()

    assert (
        "certificates NOT verified" in text_report(replace(summary, insecure=True)).split("\n")[0]
    )


def test_a_ledger_that_does_not_add_up_says_so():
    _, summary = finished()

    text = text_report(replace(summary, open_end=7))

    assert "opened does not add up: 49 counted, 42 expected" in text


def test_reasons_latencies_agents_and_expectations_are_shown():
    _, summary = finished(("opened==42", "ping_rtt_p50<1us"))
    summary.failed = {"timeout": 2, "refused": 1200}
    text = text_report(summary, "a-run")

    assert text.startswith("a-run: FAIL; 1,202 failed; 42 open at the peak")
    assert "failed: refused 1,200, timeout 2" in text
    assert re.search(r"^ping_rtt\s+42\s+4\.0", text, re.M)
    assert re.search(r"^a\s+finished\s+21", text, re.M)
    assert re.search(r"^held\s+opened==42", text, re.M)
    assert re.search(r"^FAILED\s+ping_rtt_p50<1us", text, re.M)


def test_the_first_line_says_whether_life_was_verified_and_pings_were_answered():
    figures = {"open_peak": 9, "pings": 20, "pongs": 11}
    silent = summaries.summary(**figures)
    mute = summaries.summary(**figures, alive_within_s=2, pongs_missing=7, pings_cut=1)

    assert text_report(silent).splitlines()[0].endswith("; life not verified")
    assert text_report(mute).splitlines()[0].endswith("; 7 of 20 pings unanswered")


def test_pings_and_closes_without_an_answer_are_shown():
    figures = summaries.summary(
        pings=20,
        pongs=11,
        pongs_skipped=1,
        pongs_missing=7,
        pings_cut=1,
        closed={"drained": 5},
        drained_unanswered=3,
    )

    text = text_report(figures)

    assert "traffic: 20 pings, 11 pongs, 8 unanswered, 1 answered by a newer pong, 0 mess" in text
    assert "closing handshakes without the server's answer: 3 of 5 closed" in text


def test_a_run_without_compression_says_so():
    assert "\ncompression: none was offered; a browser offers permessage-deflate\n" in text_report(
        finished()[1]
    )


def test_what_servers_chose_of_the_offer_and_how_much_was_compressed():
    _, summary = finished()
    offered = replace(summary, compress="permessage-deflate; client_max_window_bits")
    chosen = {"none": 2, "permessage-deflate; server_max_window_bits=12": 40}
    mixed = replace(offered, compression=chosen, messages_received=1000, messages_compressed=875)

    assert "compression: no connection opened; 0 of 0 messages received" in text_report(offered)
    assert (
        "compression: 2 connections with none; 40 connections with permessage-deflate,"
        " server_max_window_bits=12; 875 of 1,000 messages received (87.5 %)" in text_report(mixed)
    )


def test_counters_timings_and_errors_of_sessions_are_shown():
    _, summary = with_session_figures("logins", "logouts")

    text = text_report(summary, "a-run")

    assert re.search(r"^timed by sessions, ms\s+count\s+p50", text, re.M)
    assert re.search(r"^tr_logouts\s+1\s+20", text, re.M)
    assert re.search(r"^counted by sessions\s+count\nlogins\s+3\nlogouts\s+3$", text, re.M)
    assert "closed: drained 12, error_KeyError 2 (errors/error_KeyError.txt)" in text
    assert "launched beyond the plan's numbers, and counted as planned: 4" in text
    assert "does not add up" not in text


def test_an_older_run_directory_is_shown_all_the_same():
    _, summary = finished()
    written = msgspec.json.decode(summary.to_json())
    for name in (
        "relaunched",
        "messages_sent",
        "messages_unsent",
        "sessions_started",
        "sessions_done",
        "sessions_failed",
        "counters",
        "timings",
        "tracebacks",
    ):
        del written[name]
    old = msgspec.convert(written, Summary)

    assert "pings, 42 pongs" in text_report(old)
    assert comparison([("old", old)])


def test_counters_and_timings_of_sessions_stand_side_by_side():
    _, plain = finished()
    _, own = with_session_figures("logins")

    rows = [line.split() for line in comparison([("plain", plain), ("own", own)]).splitlines()]

    assert ["counter.logins", "0", "3"] in rows
    assert [
        "timing.tr_logins",
        "p99",
        "ms",
        "–",
        f"{own.timings['tr_logins'].p99:.1f}",
    ] in rows


def test_invalid_seconds_are_named_and_many_are_counted():
    _, summary = finished()
    summary.invalid_seconds = [InvalidSecond(number, ["no report from b"]) for number in range(30)]

    text = text_report(summary)

    assert "30 seconds prove nothing" in text
    assert "no report from b" in text
    assert "and 20 more" in text


def test_machines_that_do_not_say_what_they_did_may_have_been_saturated():
    _, summary = finished()
    unknown = "whether a machine of the agents was saturated is not known"

    assert unknown in text_report(summary)
    assert unknown not in text_report(replace(summary, hosts=[HostSummary(agents=["a"], busy=1)]))


def test_saturated_seconds_are_spans_with_the_figures_of_the_hosts():
    _, summary = finished()
    summary.hosts = [HostSummary(agents=["a", "b"], cores=2, busy=99)]
    assert "prove no latency" not in text_report(summary)
    limit = "no core was idle on the host of a and 1 more"
    summary.saturated_seconds = [InvalidSecond(number, [limit]) for number in range(3, 90)]

    text = text_report(summary)

    assert "87 seconds prove no latency of the server" in text
    assert f"  seconds 3 to 89: {limit}" in text
    assert "idlest core %" in text
    summary.saturated_seconds = [InvalidSecond(number, [limit]) for number in range(0, 30, 2)]
    summary.hosts = []
    assert "… and 5 more in summary.json" in text_report(summary)


def test_several_runs_stand_side_by_side():
    _, summary = finished()
    slow = replace(summary, histograms={}, verdict="fail")

    lines = comparison([("first", summary), ("second", slow)]).splitlines()

    assert lines[0].split() == ["first", "second"]
    assert lines[1].split() == ["verdict", "done", "fail"]
    assert ["handshake", "p99", "ms", "3.0", "–"] in [line.split() for line in lines]


def test_several_phases_are_shown_and_a_single_one_is_not():
    phases = (Phase(name="in", rate=42, duration=1.0, wait=True), Phase(name="out", rate=2, max=2))
    _, several = finished(plan=Plan(phases=phases))
    _, one = finished()

    lines = [" ".join(line.split()) for line in text_report(several).splitlines()]
    assert "in 0 s – 42 42" in lines
    assert "out – – 2 0" in lines
    assert "phase" not in text_report(one)


@pytest.mark.parametrize(
    ("verdict", "expected", "opened", "word"),
    [
        ("pass", [HELD], 42, "pass"),
        ("pass", [], 42, "done"),
        ("pass", [], 0, "nothing opened"),
        ("fail", [HELD], 0, "fail"),
        ("lost", [], 0, "lost"),
        ("stopped", [], 7, "stopped"),
    ],
)
def test_a_run_without_expectations_does_not_pass(verdict, expected, opened, word):
    figures = summaries.summary(verdict=verdict, expectations=expected, opened=opened)

    assert outcome(figures) == word


def test_failures_that_no_expectation_counts_are_in_the_first_and_the_last_line():
    _, summary = finished()
    ends = {"failed": {"refused": 42}, "launched": 42, "opened": 0, "lost": 1}
    summary = replace(summary, **ends, open_peak=0, open_peak_most=0)
    lines = text_report(summary, "a-run").splitlines()

    assert lines[0].startswith("a-run: NOTHING OPENED; 42 failed; 1 lost; 0 open at the peak")
    assert lines[-1].startswith("nothing was expected of this run, so its exit code is 0")


def test_a_peak_within_a_second_and_one_that_may_be_higher_are_said_to_be_so():
    _, summary = finished(("open_peak>=42",))
    brief = replace(summary, open_peak=50, open_peak_most=50)
    assert "; 50 open at the peak, held for less than a second, of" in text_report(brief)

    result = replace(summary.expectations[0], at_least=True)
    lines = text_report(replace(summary, open_peak_most=None, expectations=[result])).splitlines()
    assert lines[0].startswith("run: PASS; at least 42 open at the peak, held for 1 s, of 42")
    assert "held    open_peak>=42  (it was at least 42)" in lines


def test_agents_are_in_the_order_of_their_names_and_their_numbers():
    _, summary = finished()
    agents = [replace(summary.agents[0], name=name) for name in ("a-10", "b", "a-9")]
    text = text_report(replace(summary, agents=agents))

    assert text.index("\na-9 ") < text.index("\na-10 ") < text.index("\nb ")


def test_what_the_server_said_yes_to_is_shown_where_it_may_say_so():
    _, summary = finished()
    asked = replace(summary, appwrite=True, accepted=40)

    assert "accepted by the session: 40 of 42 opened" in text_report(asked)
    assert "accepted by the session: 0 of 42" in text_report(replace(asked, accepted=0))
    assert "accepted" not in text_report(replace(asked, appwrite=False, accepted=0))


def test_an_aborted_run_says_why_in_the_first_line():
    _, summary = finished()
    aborted = replace(summary, verdict="fail", aborted=EarlyEnd("failed>1%", 12.3))

    assert text_report(aborted).startswith("run: FAIL; aborted after 12 s: failed>1%; 42 open at")


def test_unexpected_ends_are_in_the_first_and_the_last_line():
    _, summary = finished()
    ends = {"server_1001": 40, "drained": 2}
    lines = text_report(replace(summary, closed=ends), "a-run").splitlines()

    assert lines[0].startswith("a-run: DONE; 40 dropped by the server (server_1001); 42 open at")
    assert lines[-1].endswith("give --expect 'unexpected==0' to make unexpected ends count")


def test_the_parts_of_a_run_are_shown_where_they_are_judged():
    _, plain = finished()
    assert "part of the run" not in text_report(plain)

    _, judged = finished(("plateau.ping_rtt_p99<1s",))
    text = text_report(judged)
    assert re.search(r"^plateau +2 s +4 s", text, re.M)
    assert "plateau.ping_rtt_p99<1s  (it was 4.015 ms, of 2 in valid seconds)" in text
    assert "part of the run" in text_report(replace(plain, invalid_seconds=[InvalidSecond(1, [])]))


def test_sessions_that_failed_and_messages_that_were_not_taken_are_shown():
    _, summary = finished()
    text = text_report(
        replace(
            summary,
            failed={},
            closed={},
            lost=0,
            sessions_started=100,
            sessions_failed=12,
            messages_sent=2,
            messages_unsent=7,
        )
    )

    assert "; 12 of 100 sessions failed; " in text.splitlines()[0]
    assert " 2 messages sent, 7 not taken by the kernel, " in text
    assert "give --expect 'sessions_failed==0' to make failed sessions count" in text


def test_a_run_that_never_started_has_no_valid_seconds():
    _, summary = finished()

    assert "every second is valid" in text_report(summary)
    assert "every second is valid" not in text_report(replace(summary, duration_s=0.0))


def test_launches_beyond_the_plan_and_ports_of_others_are_shown():
    _, summary = finished()

    summary = replace(summary, relaunched=3, ports_skipped=7, messages_sent=9, addresses_passed=8)
    text = text_report(summary, "a-run")

    assert "launched beyond the plan's numbers, and counted as planned: 3" in text
    assert "source ports held by others and stepped over: 7" in text
    assert "addresses passed over, the next of the name was dialed: 8\n" in text
    file = {"addresses_passed": "errors/addresses_passed.txt"}
    assert "dialed: 8 (errors/addresses_passed.txt)" in text_report(
        replace(summary, tracebacks=file), "a-run"
    )
    assert " 9 messages sent," in text


def test_a_run_without_agents_or_measures_says_so():
    _, summary = finished(("counter.logins>=1", "handshake_p99<1ms"))
    summary.agents = []
    summary.expectations = [
        ExpectationResult("handshake_p99<1ms", None, held=False),
        ExpectationResult("bytes_sent>=1", 2_500_000, held=True),
    ]

    text = text_report(summary, "a-run")

    assert "agent      " not in text
    assert "not measured" in text
    assert "it was 2,500,000" in text


def test_connections_that_the_session_accepted_are_shown():
    _, summary = finished()

    text = text_report(replace(summary, accepted=40), "a-run")

    assert "accepted by the session: 40 of 42 opened" in text


def test_an_export_says_what_its_receiver_does_not_have():
    text = text_report(
        summaries.summary(
            exports=[
                ExportSummary("http://a/write", 1200, 0),
                ExportSummary("http://b/write", 1, 1199, "can't be reached (refused)"),
            ]
        )
    )

    assert text.endswith(
        "\n\nexported to http://a/write: 1,200 seconds\n"
        "exported to http://b/write: 1 seconds; 1,199 are MISSING there: it can't be reached"
        " (refused)"
    )


def test_checks_and_http_requests_are_shown_with_their_samples():
    text = text_report(
        summaries.summary(
            checks={"token": CheckCounts(passed=1, failed=3)},
            http_requests=9,
            http_errors=2,
            http_replies={"200": 4, "503": 2},
            http_failed={"timeout": 1},
            tracebacks={
                "check.token": "errors/check.token.txt",
                "http_replies.503": "errors/http_replies.503.txt",
            },
        )
    )

    assert "token       1       3          25 %" in text
    assert "sample of token: errors/check.token.txt" in text
    assert (
        "HTTP: 9 requests = 2 in flight + 6 answered (2 with status 400 or above) + 1 failed"
    ) in text
    assert "samples: errors/http_replies.503.txt" in text


def test_shares_of_checks_stand_side_by_side():
    runs = [
        ("a", summaries.summary(checks={"token": CheckCounts(3, 1)})),
        ("b", summaries.summary()),
    ]

    rows = [row.split() for row in comparison(runs).splitlines()]
    assert ["check.token", "75", "%", "–"] in rows


def test_a_comparison_has_the_reach_of_publications_where_a_run_has_any():
    _, plain = finished()
    published = replace(plain, publications=PublicationsSummary(sent=5), reach=99.995)

    lines = comparison([("plain", plain), ("published", published)]).splitlines()

    assert ["reach", "–", "99.995", "%"] in [line.split() for line in lines]


def test_the_first_line_says_that_the_teardown_failed():
    _, summary = finished()

    assert "; teardown failed" in text_report(replace(summary, teardown_failed=1)).split("\n")[0]
    assert "teardown" not in text_report(summary)
