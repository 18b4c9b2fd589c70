"""The tables of a report."""

from coordinator.report.tables import (
    MAX_ASKED,
    accepted_text,
    address_table,
    agent_table,
    asked_text,
    check_table,
    compression_text,
    counter_table,
    end_table,
    expectation_table,
    failed_sessions,
    held_text,
    host_table,
    http_table,
    invalid_table,
    laws,
    ledger_table,
    machine_table,
    part_table,
    peak_text,
    percentile_table,
    phase_table,
    resumed_text,
    sample_of,
    saturated_table,
    slice_table,
    unexpected_ends,
)
from coordinator.run.hosts import HostSummary
from coordinator.run.progress import PhaseProgress
from coordinator.run.steering import AskedChange
from coordinator.run.summary import ExpectationResult, InvalidSecond
from coordinator.storage.reader import AgentFacts, RunFacts
from loadgen.plan.steer import PlanChange
from loadgen.stats.tally import CheckCounts
from tests.unit.coordinator.report.summaries import agent, part, percentiles, summary

FIGURES = summary(
    planned=2000,
    launched=1500,
    opened=1400,
    open_end=1300,
    failed={"refused": 10, "timeout": 60},
    closed={"done": 97},
    lost=3,
)


def test_resumed_tls_handshakes_are_a_share_of_all():
    some = summary(tls_handshakes=4000, tls_resumed=1000)

    assert resumed_text(some) == "4,000 handshakes, 1,000 of them resumed (25.0 %)"
    assert resumed_text(summary()) == "0 handshakes, 0 of them resumed (0.0 %)"


def test_what_the_server_said_yes_to_is_told_where_it_may_say_so():
    assert accepted_text(summary(opened=40)) == ""
    assert accepted_text(summary(opened=40, appwrite=True)) == "0 of 40 opened"
    assert accepted_text(summary(opened=40, accepted=2)) == "2 of 40 opened"


def test_what_was_asked_for_meanwhile_is_told_in_its_order_up_to_a_number():
    changes = [
        AskedChange(f"max {number}", number, number, PlanChange(number, 0, max=number))
        for number in range(1, MAX_ASKED + 3)
    ]

    assert asked_text(summary()) == ""
    assert asked_text(summary(changes=changes[:2])) == (
        "max 1 from second 1, 1 planned; max 2 from second 2, 2 planned"
    )
    assert asked_text(summary(changes=changes)).endswith("; and 2 more in summary.json")


def test_a_peak_that_may_be_higher_is_told_as_the_least():
    assert peak_text(summary(open_peak=4000)) == "4,000"
    for most in (None, 4001):
        assert peak_text(summary(open_peak=4000, open_peak_most=most)) == "at least 4,000"


def test_a_peak_is_held_for_less_than_a_second_if_it_is_at_the_end_of_none():
    for ends, told in ((1000, "5 s"), (991, "5 s"), (989, "less than a second")):
        parts = {"run": part(open_peak=ends)}
        assert held_text(summary(open_peak=1000, plateau_s=5, parts=parts)) == told
    assert held_text(summary(open_peak=1000, plateau_s=5)) == "5 s"


def test_each_law_is_a_number_and_its_parts():
    assert laws(FIGURES) == [
        ("planned", 2000, [("not started", 500), ("launched", 1500)]),
        ("launched", 1500, [("connecting", 30), ("failed", 70), ("opened", 1400)]),
        ("opened", 1400, [("open", 1300), ("closed", 97), ("lost", 3)]),
    ]
    assert ledger_table(FIGURES, "ledger")[:2] == [
        ["ledger", "connections", "of which"],
        ["planned", "2,000", "500 not started + 1,500 launched"],
    ]


def test_the_most_frequent_reason_of_each_kind_comes_first():
    assert end_table(FIGURES)[1:] == [
        ["timeout", "failed", "60", "no", "network"],
        ["refused", "failed", "10", "no", "server"],
        ["done", "closed", "97", "yes", "nobody"],
        ["agent or worker died", "lost", "3", "no", "generator"],
    ]
    assert len(end_table(summary())) == 1
    assert end_table(summary(closed={"server_1001": 1}))[1][3] == "no"
    assert end_table(summary(closed={"bye": 1}))[1][3] == "yes"


def test_failed_sessions_are_told_with_their_errors():
    figures = {"sessions_started": 1200, "sessions_failed": 1100}
    ends = {"failed": {"error_KeyError": 2, "refused": 1}, "closed": {"error_ValueError": 9}}

    assert failed_sessions(summary(sessions_started=5)) == []
    assert failed_sessions(summary(**figures)) == ["1,100 of 1,200 sessions failed"]
    assert failed_sessions(summary(**figures, **ends)) == [
        "1,100 of 1,200 sessions failed (error_KeyError, error_ValueError)"
    ]


def test_unexpected_ends_are_told_by_who_ended_the_connection():
    ends = {"server_1001": 70, "reset": 4, "ping_timeout": 90, "error_KeyError": 2, "done": 500}

    assert unexpected_ends(summary(closed=ends)) == [
        "90 given up by loadgen for the server's fault (ping_timeout)",
        "74 dropped by the server (server_1001 70, reset 4)",
        "2 ended by errors of their sessions (error_KeyError)",
    ]
    assert unexpected_ends(summary(closed={"done": 500, "bye": 1})) == []


def test_a_part_has_its_seconds_its_ends_and_its_latencies_with_their_number():
    pings = percentiles(count=1500, p99=12.0)
    plateau = part(begin=5, end=64, open_min=900, open_peak=1000, unexpected=100, failed={"dns": 3})
    plateau.histograms["ping_rtt"] = pings

    assert part_table(summary(parts={"plateau": plateau}))[1:] == [
        ["plateau", "5 s", "1:05 min", "0", "900", "1,000", "3", "100", "–", "–", "12.0", "1,500"]
    ]


def test_an_expectation_is_held_or_failed():
    figures = summary(
        expectations=[
            ExpectationResult("opened>1", 1400, held=True),
            ExpectationResult("lag_p99>1", 2.0, held=True, samples=1400),
            ExpectationResult("ping_rtt_p99<1s", None, held=False),
        ]
    )

    assert expectation_table(figures)[1:] == [
        ["opened>1", "1,400", "–", "held"],
        ["lag_p99>1", "2 ms", "1,400", "held"],
        ["ping_rtt_p99<1s", "not measured", "–", "FAILED"],
    ]


def test_a_phase_that_has_not_begun_has_no_times():
    figures = summary(
        phases=[PhaseProgress("in", 0.0, 75.0, 40, 20), PhaseProgress("out", None, None, 2)]
    )

    assert phase_table(figures)[1:] == [
        ["in", "0 s", "1:15 min", "40", "20"],
        ["out", "–", "–", "2", "0"],
    ]


def test_percentiles_are_in_milliseconds():
    one = percentiles(count=1000, p50=0.5, p90=1.0, p95=1.5, p99=2.0, p999=3.0, max=1234.0)

    assert percentile_table("ms", {"lag": one}) == [
        ["ms", "count", "p50", "p90", "p95", "p99", "p99.9", "max"],
        ["lag", "1,000", "0.50", "1.0", "1.5", "2.0", "3.0", "1,234"],
    ]


def test_consecutive_saturated_seconds_are_one_row():
    marked = [
        InvalidSecond(3, ["2 were late"]),
        InvalidSecond(4, ["9 were late"]),
        InvalidSecond(6, ["9 were late"]),
        InvalidSecond(7, ["no core was idle", "an accept queue overflowed"]),
    ]

    assert saturated_table(summary(saturated_seconds=marked))[1:] == [
        ["seconds 3 to 4", "2 were late (and similar)"],
        ["second 6", "9 were late"],
        ["second 7", "no core was idle; an accept queue overflowed"],
    ]


def test_a_host_is_a_row_and_what_it_does_not_say_is_absent():
    head, row = host_table(
        summary(hosts=[HostSummary(agents=["a", "b"], cores=2, busy=98, switches=12_000)])
    )

    assert dict(zip(head, row, strict=True)) == {
        "host of": "a and 1 more",
        "cores": "2",
        "busy %": "98",
        "idlest core %": "–",
        "softirq %": "–",
        "steal %": "–",
        "runnable": "–",
        "switches/s": "12,000",
        "retransmits/s": "–",
        "of SYNs": "–",
        "accept overflows/s": "–",
    }


def test_an_older_run_directory_has_no_p95():
    assert percentile_table("ms", {"lag": percentiles(p95=None)})[1][4] == "–"


def test_counters_agents_invalid_seconds_and_settings_are_rows():
    figures = summary(counters={"logins": 1200}, invalid_seconds=[InvalidSecond(3, ["a", "b"])])
    agents = agent_table([agent("local-1")])

    assert counter_table(figures)[1:] == [["logins", "1,200"]]
    assert invalid_table(figures)[1:] == [["3", "a; b"]]
    assert len(agents[0]) == len(agents[1])
    assert agents[1][:3] == ["local-1", "finished", "1"]
    assert machine_table({"cpus": 2})[1:] == [["cpus", "2"]]
    facts = RunFacts(agents=[AgentFacts(name, {}, {"ws://t/": ("::1",)}) for name in "abc"])
    assert address_table(facts)[1:] == [["ws://t/", "::1", "a and 2 more"]]


def test_the_check_that_failed_most_comes_first_and_100_percent_is_all():
    figures = summary(
        checks={
            "good": CheckCounts(passed=2),
            "rare": CheckCounts(passed=9_999_999, failed=1),
            "bad": CheckCounts(passed=1, failed=3),
        },
        tracebacks={"check.bad": "errors/check.bad.txt"},
    )

    assert check_table(figures)[1:] == [
        ["bad", "1", "3", "25 %"],
        ["rare", "9,999,999", "1", "99.9999 %"],
        ["good", "2", "0", "100 %"],
    ]
    assert sample_of(figures, "check", "bad") == "errors/check.bad.txt"
    assert sample_of(figures, "check", "good") == ""


def test_http_requests_are_rows_by_status_and_by_reason():
    figures = summary(http_replies={"503": 2, "200": 7}, http_failed={"cancelled": 1, "timeout": 3})

    assert http_table(figures)[1:] == [
        ["200", "reply", "7", "nobody"],
        ["503", "reply", "2", "server"],
        ["timeout", "failed", "3", "network"],
        ["cancelled", "failed", "1", "nobody"],
    ]


def test_what_was_compressed_is_told_with_what_the_server_chose():
    chosen = {"permessage-deflate; server_no_context_takeover": 20}
    some = summary(compress=True, compression=chosen, messages_received=40, messages_compressed=10)

    assert compression_text(some) == (
        "20 connections with permessage-deflate, server_no_context_takeover; 10 of 40 messages"
        " received (25.0 %)"
    )
    assert compression_text(summary(compress=True)).startswith("no connection opened; 0 of 0")
    assert compression_text(summary()).startswith("none was offered")


def test_sessions_and_targets_have_tables_of_their_own():
    chatter = part(launched=200, opened=190, open_peak=180, unexpected=2, sessions_failed=4)
    chatter.failed = {"refused": 10}
    chatter.histograms["handshake"] = percentiles(p95=8.0, p99=12.0)
    figures = summary(
        parts={
            "run": part(),
            "session.chatter": chatter,
            "session.watcher": part(launched=100, opened=100, open_peak=100),
            "target.ws://a/": part(launched=300),
        }
    )

    sessions = slice_table(figures, "session")

    assert sessions[0][:3] == ["session", "launched", "opened"]
    assert sessions[1:] == [
        ["chatter", "200", "190", "10 (5 %)", "2", "180", "4", "8.0", "12.0", "–", "–"],
        ["watcher", "100", "100", "0", "0", "100", "0", "–", "–", "–", "–"],
    ]
    assert [row[0] for row in slice_table(figures, "target")] == ["target", "ws://a/"]
    assert [row[0] for row in part_table(figures)[1:]] == ["run"]
    assert len(slice_table(summary(), "session")) == 1
    assert end_table(chatter)[1] == ["refused", "failed", "10", "no", "server"]
