"""The summary of a run: its figures and its verdict."""

import msgspec
import pytest
from msgspec.structs import astuple, replace

from coordinator.report.expect import parse
from coordinator.report.summary import EXIT_CODES, rate_achieved, summary_of
from coordinator.report.text import text_report
from coordinator.run.progress import PhaseProgress, Progress
from coordinator.run.run import Run
from coordinator.run.summary import EarlyEnd
from loadgen.plan.compress import Compress
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.transport import Transport
from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from tests.unit.coordinator.fleet import drained, hello, opened, posted, ready, seconds, started
from tests.unit.coordinator.report.runs import finished, with_session_figures

PLAN = Plan(max=10, rate=10.0, hold=2.0)
KEYS = [
    "schema",
    "verdict",
    "planned",
    "launched",
    "relaunched",
    "opened",
    "accepted",
    "open_peak",
    "open_end",
    "failed",
    "closed",
    "lost",
    "late",
    "unexpected",
    "redirects",
    "pings",
    "pongs",
    "pongs_skipped",
    "pongs_missing",
    "pings_cut",
    "drained_unanswered",
    "messages_sent",
    "messages_unsent",
    "messages_received",
    "messages_compressed",
    "replies",
    "replies_unsent",
    "bytes_sent",
    "bytes_received",
    "ports_skipped",
    "addresses_passed",
    "tls_handshakes",
    "tls_resumed",
    "sessions_started",
    "sessions_done",
    "sessions_failed",
    "checks_passed",
    "checks_failed",
    "http_requests",
    "http_errors",
    "delivery_expected",
    "delivery_received",
    "delivery_lost",
    "delivery_duplicates",
    "delivery_reordered",
    "delivery_late",
    "delivery_negative",
    "delivery_untimed",
    "delivery_unregistered",
    "delivery_unstamped",
    "open_peak_most",
    "appwrite",
    "rate_asked",
    "rate_achieved",
    "duration_s",
    "plateau_s",
    "alive_within_s",
    "alive_min",
    "compress",
    "compression",
    "histograms",
    "counters",
    "timings",
    "checks",
    "http_replies",
    "http_failed",
    "tracebacks",
    "retry_after",
    "phases",
    "insecure",
    "parts",
    "pauses",
    "changes",
    "breaches",
    "not_launched",
    "teardown_failed",
    "aborted",
    "reach",
    "publications",
    "missed",
    "agents",
    "invalid_seconds",
    "saturated_seconds",
    "hosts",
    "expectations",
    "exports",
]
AGENT_KEYS = {"name", "workers", "launched", "opened", "failed", "lost", "cpu_s", "rss_peak_mb"}


def test_a_summary_has_the_keys_of_the_contract_in_their_order():
    _, summary = finished()

    written = msgspec.json.decode(summary.to_json())
    assert list(written) == KEYS
    assert set(written["agents"][0]) >= AGENT_KEYS


def test_the_figures_of_a_whole_run():
    _, summary = finished()

    assert (summary.planned, summary.launched, summary.opened) == (42, 42, 42)
    assert (summary.open_peak, summary.open_end) == (42, 0)
    assert summary.closed == {"drained": 42}
    assert summary.duration_s == 4.0
    assert summary.plateau_s == 1
    assert summary.histograms["ping_rtt"].count == 42
    assert summary.agents[0].cpu_s == 0.75
    assert summary.agents[0].rss_peak_mb == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("compress", "offer"),
    [
        (False, ""),
        (True, "permessage-deflate; client_max_window_bits"),
        (Compress(client_max_window_bits=9), "permessage-deflate; client_max_window_bits=9"),
    ],
)
def test_the_offer_of_compression_and_what_became_of_it(compress, offer):
    run = Run(Plan(transport=Transport(compress=compress)), 1)
    (agent,) = started(run, ["a"])
    second = opened(0, 10)
    second.tally.compression = {"permessage-deflate": 9, "none": 1}
    posted(run, agent, seconds(second), run.start + 1.0)
    run.tick(run.start + 1.0)

    summary = summary_of(run, [], run.start + 1.0)

    assert (summary.compress, summary.compression) == (
        offer,
        {"none": 1, "permessage-deflate": 9},
    )


def held(*alive, plan=PLAN, pings=10):
    """The summary of a run that holds ten connections and drains at second 3."""
    run = Run(plan, 1)
    (agent,) = started(run, ["a"])
    for number, living in enumerate(alive):
        at = run.start + number + 1.0
        second = opened(number, 10 if number == 0 else 0, held=10, alive=living)
        second.tally.pings = pings
        posted(run, agent, seconds(second), at)
        run.tick(at)
    posted(
        run, agent, seconds(drained(len(alive), 10), finished=True), run.start + len(alive) + 1.0
    )
    run.tick(run.start + len(alive) + 1.0)
    return summary_of(run, [parse("alive_min>=9")], run.start + len(alive) + 1.0)


def test_the_fewest_that_were_alive_before_the_drain_count_and_so_does_the_plateau():
    summary = held(10, 9, 10, 2, 1)

    assert (summary.alive_within_s, summary.alive_min) == (31, 9)
    assert summary.plateau_s == 2
    assert summary.expectations[0].held


def test_a_second_in_which_too_few_were_alive_fails_an_expectation():
    summary = held(10, 8, 10)

    assert (summary.alive_min, summary.verdict) == (8, "fail")


@pytest.mark.parametrize(
    ("plan", "alive", "pings"),
    [(replace(PLAN, ping="none"), None, 0), (PLAN, 10, 0)],
)
def test_life_is_unknown_where_no_ping_was_sent(plan, alive, pings):
    summary = held(alive, alive, plan=plan, pings=pings)

    assert (summary.alive_within_s, summary.alive_min, summary.plateau_s) == (None, None, 2)
    assert [(result.value, result.held) for result in summary.expectations] == [(None, False)]


def test_each_phase_has_its_times_and_its_arrivals():
    _, plain = finished()
    assert plain.phases == [PhaseProgress("arrivals", 0.0, 4.1, planned=42, launched=42)]

    phases = (
        Phase(name="in", rate=40, duration=1.0),
        Phase(duration=1.0),
        Phase(name="late", rate=2, max=2),
    )
    _, summary = finished(plan=Plan(phases=phases))
    assert [astuple(phase) for phase in summary.phases] == [
        ("in", 0.0, 1.0, 40, 20),
        ("phase 2", 1.0, 2.0, 0, 20),
        ("late", 2.0, 3.0, 2, 2),
    ]
    assert summary.rate_asked == 14.0


def test_the_last_second_with_arrivals_does_not_lower_the_rate():
    _, summary = finished()

    assert summary.rate_achieved == 20.0


@pytest.mark.parametrize(
    ("launched", "rate"),
    [
        ({}, 0.0),
        ({0: 100}, 200.0),  # all in the half second in which they were asked
        ({0: 60}, 60.0),  # cut off: nobody knows where in the second
        ({0: 60, 1: 40}, 60.0),  # late: the last second is left out
        ({0: 60, 2: 40}, 30.0),
        ({1: 100}, 50.0),
    ],
)
def test_the_rate_is_that_of_the_seconds_in_which_arrivals_were_asked(launched, rate):
    assert rate_achieved(launched, 100, Progress(Plan(max=100, rate=200.0))) == rate


def test_a_rate_before_any_arrival_was_asked_is_what_was_launched():
    waiting = Progress(Plan(phases=(Phase(duration=5.0), Phase(rate=5, duration=2.0))))

    assert rate_achieved({0: 3}, 10, waiting) == 3.0


@pytest.mark.parametrize(
    ("expectations", "verdict"),
    [((), "pass"), (("opened==42",), "pass"), (("opened==42", "opened>42"), "fail")],
)
def test_a_run_passes_when_every_expectation_held(expectations, verdict):
    _, summary = finished(expectations)

    assert summary.verdict == verdict
    assert [result.expr for result in summary.expectations] == list(expectations)


def test_a_run_that_was_aborted_fails_and_says_why_and_when():
    run = Run(Plan(max=10), 1)
    (agent,) = started(run, ["a"])
    run.abort("failed>1%", run.start + 2.0)
    posted(run, agent, seconds(opened(0, 3), finished=True), run.start + 3.0)
    run.tick(run.start + 3.0)

    summary = summary_of(run, [parse("opened==3")], run.start + 3.0, parts={"run"})
    assert (summary.verdict, summary.expectations[0].held) == ("fail", True)
    assert summary.aborted == EarlyEnd("failed>1%", 2.0)
    assert {*summary.parts} == {"run"}


@pytest.mark.parametrize(
    ("last", "verdict", "breaches"),
    [
        (drained(1, 3), "pass", []),
        (opened(1, 0, held=3), "fail", ["agent a ended with 3 open"]),
        (Second(1, Tally(launched=2), Held(2, 3)), "fail", ["agent a ended with 2 connecting"]),
        (drained(1, 4), "fail", ["open is -1"]),
    ],
)
def test_a_run_whose_ledger_does_not_add_up_at_its_end_fails(last, verdict, breaches):
    """An agent that says it is done, with connections left, is wrong or lies."""
    run = Run(Plan(max=5, rate=10.0, hold=0.0), 1)
    (agent,) = started(run, ["a"], holds=3)
    posted(run, agent, seconds(opened(0, 3)), run.start + 1.0)
    run.tick(run.start + 1.5)
    posted(run, agent, seconds(last, finished=True), run.start + 2.0)
    run.tick(run.start + 4.0)

    summary = summary_of(run, [parse("opened==3")], run.start + 4.0)
    assert (summary.verdict, summary.breaches[:1]) == (verdict, breaches)
    assert summary.expectations[0].held


@pytest.mark.parametrize(
    ("holds", "launched", "verdict", "not_launched"),
    [
        (64_000, 10, "pass", 0),
        (64_000, 6, "fail", 4),
        (6, 6, "pass", 0),  # the plan asks for more than the fleet holds
        (6, 5, "fail", 1),
    ],
)
def test_a_run_that_launched_less_than_its_agents_had_places_for_fails(
    holds, launched, verdict, not_launched
):
    run = Run(Plan(max=10, rate=10.0, hold=0.0), 1)
    (agent,) = started(run, ["a"], holds=holds)
    last = seconds(opened(0, launched), drained(1, launched), finished=True)
    posted(run, agent, last, run.start + 2.0)
    run.tick(run.start + 2.0)

    summary = summary_of(run, [], run.start + 2.0)
    assert (summary.verdict, summary.not_launched) == (verdict, not_launched)
    assert ("; 4 never launched; " in text_report(summary)) == (not_launched == 4)


def test_a_run_that_was_stopped_by_hand_launched_what_was_asked():
    run = Run(Plan(max=10, rate=10.0, hold=0.0), 1)
    (agent,) = started(run, ["a"])
    run.drain(run.start + 1.0)
    posted(run, agent, seconds(opened(0, 3), drained(1, 3), finished=True), run.start + 2.0)
    run.tick(run.start + 2.0)

    summary = summary_of(run, [], run.start + 2.0)
    assert (summary.verdict, summary.not_launched) == ("stopped", 0)


def test_counters_timings_and_errors_of_sessions_are_summed_up():
    run, summary = with_session_figures("logouts", "logins")

    assert list(summary.counters.items()) == [("logins", 3), ("logouts", 3)]
    assert list(summary.timings) == ["tr_logins", "tr_logouts"]
    assert summary.timings["tr_logins"].p50 == pytest.approx(20, rel=0.01)
    assert summary.tracebacks == {"error_KeyError": "errors/error_KeyError.txt"}
    assert summary.verdict == "pass"
    assert [news.text for news in run.notices.take() if news.reason] == ["Traceback: 'name'"]


def test_a_connection_that_is_launched_again_is_planned_too_but_is_no_arrival():
    _, summary = with_session_figures()

    assert (summary.planned, summary.launched, summary.relaunched) == (14, 14, 4)
    assert summary.rate_achieved == 10.0
    assert summary.invalid_seconds == []


def test_a_run_that_the_operator_stopped_is_stopped_whatever_it_showed():
    run = Run(Plan(max=10), 1)
    (agent,) = started(run, ["a"])
    run.drain(run.start)
    posted(run, agent, seconds(finished=True), run.start)
    run.tick(run.start)

    assert summary_of(run, [], run.start).verdict == "stopped"


def test_a_run_is_lost_until_it_is_over_and_when_no_agent_is_left():
    run = Run(Plan(max=10), 1)
    (agent,) = started(run, ["a"])
    posted(run, agent, seconds(opened(0, 3)), run.start + 1.0)
    assert summary_of(run, [], run.start + 1.0).verdict == "lost"

    run.lose_agent("a", "died")
    run.tick(run.start + 1.0)

    summary = summary_of(run, [], run.start + 1.0)
    assert run.state == "done"
    assert (summary.verdict, summary.lost) == ("lost", 3)
    assert summary.agents[0].status == "lost"


def test_a_fleet_that_never_gathered_is_summed_up_all_the_same():
    run = Run(Plan(max=10), 2)
    posted(run, run.join(hello(), 0.0).id, ready(), 0.0)
    run.fail_gathering(1.0, 1.0)

    summary = summary_of(run, [parse("failed<1%")], 1.0)

    assert (summary.verdict, summary.launched, summary.duration_s) == ("lost", 0, 0.0)


def test_exit_codes_are_those_of_the_contract():
    assert EXIT_CODES == {"pass": 0, "fail": 1, "lost": 3, "stopped": 130}
