"""The claims of a run, and those that it does not prove."""

import pytest
from msgspec.structs import replace

from coordinator.report.claims import SteadySpan, claims_of, longest_span, plateau
from coordinator.report.samples import Sample
from coordinator.run.steering import AskedChange
from coordinator.run.summary import EarlyEnd, ExpectationResult, InvalidSecond
from loadgen.plan.plan import Plan, Target
from loadgen.plan.steer import PlanChange
from tests.unit.coordinator.report.summaries import percentiles, summary

SUMMARY = summary(
    alive_within_s=31,
    pings=20_000,
    pongs=20_000,
    planned=1000,
    launched=1000,
    open_peak=1000,
    rate_achieved=200.0,
    histograms={"handshake": percentiles(p99=3.0), "ping_rtt": percentiles(p99=4.0)},
)
PLAN = Plan(target="ws://10.0.0.1:9505/", think=30.0)
ONE_MACHINE = "agents and server shared one machine, and its CPU"


def samples(open_, alive=None, invalid=()):
    alive = alive or [None] * len(open_)
    return [
        Sample(second, {"open": count, "alive": life}, {}, {}, ["why"] if second in invalid else [])
        for second, (count, life) in enumerate(zip(open_, alive, strict=True))
    ]


def test_the_claim_is_what_was_verified_in_consecutive_valid_seconds():
    seconds = samples([500] + [1000] * 10, [0] + [1000] * 10, invalid={4})

    claims = claims_of(SUMMARY, seconds, PLAN)

    assert (
        claims.proves
        == "1,000 connections verified open for 6 s: each answered its upgrade or a ping within 31"
        " s; none failed; none lost; 200 arrivals a second; 99 % of the handshakes within 3.0 ms;"
        " 99 % of the pings within 4.0 ms."
    )
    assert claims.does_not == []


def test_a_peak_within_a_second_is_claimed_for_less_than_one():
    seconds = samples([0, 0])
    said = "1,000 connections open at once, for less than a second; none failed"
    assert claims_of(SUMMARY, seconds, PLAN).proves.startswith(said)
    claims = claims_of(replace(SUMMARY, open_peak=900, open_peak_most=1000), seconds, PLAN)
    assert claims.proves.startswith(f"at least {said.replace('1,000', '900')}")
    assert "that 1,000 connections can be open at once: at least 900 were" in claims.does_not

    claims = claims_of(SUMMARY, samples([0, 0], invalid={0}), PLAN)
    assert claims.proves == "Nothing: in no valid second were 990 connections open."
    assert claims_of(replace(SUMMARY, open_peak=0), [], PLAN).proves.startswith("Nothing: no conn")


def test_servers_whose_certificates_were_not_verified_may_be_others():
    claims = claims_of(replace(SUMMARY, insecure=True), samples([1000] * 5), PLAN)

    said = "that the servers are the ones that the URLs name: their certificates were not verified"
    assert [text for text in claims.does_not if text.startswith(said)]


def test_a_latency_that_was_not_measured_is_not_claimed():
    claims = claims_of(replace(SUMMARY, histograms={}), samples([1000] * 5), PLAN)

    assert claims.proves.endswith("200 arrivals a second.")


def not_verified(**changes):
    """The claim about life, and what is not proved, of a run that did not verify it."""
    figures = replace(SUMMARY, alive_within_s=None, **changes.pop("figures", {}))
    claims = claims_of(figures, samples([1000] * 5), Plan(target=PLAN.target, **changes))
    return claims.proves.split(";")[0], claims.does_not


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ping": "none", "figures": {"pings": 0}}, "no session of the plan can ping"),
        ({"figures": {"pings": 0}}, "no ping was sent"),
        ({}, "its run directory does not say which connections answered"),
    ],
)
def test_a_run_that_did_not_verify_life_says_so_first(changes, why):
    claim, does_not = not_verified(**changes)

    assert claim == (
        "1,000 connections open for 5 s by the generator's own count, not verified to be alive:"
        f" {why}"
    )
    assert does_not == [f"that the open connections were alive at the server: {why}"]


def test_unanswered_pings_and_closes_are_not_proved():
    figures = replace(SUMMARY, pongs=500, pongs_missing=19_400, pings_cut=100, drained_unanswered=9)

    claims = claims_of(figures, samples([1000] * 5, [1000] * 5), PLAN)

    assert claims.proves.endswith("; p99 of 20,000 pings at least 4.0 ms, 19,500 unanswered.")
    assert claims.does_not == [
        "that the server answers every ping: 19,400 of 20,000 had no answer when their connection"
        " ended",
        "that connections close in good order: the server did not answer the CLOSE of 9",
    ]


def test_more_connections_are_worth_more_than_a_few_seconds():
    seconds = samples([991, *[1000] * 9, 995])

    assert longest_span(seconds, "open", 990) == SteadySpan(11, 991)
    assert plateau(seconds, "open", 1000) == SteadySpan(9, 1000)


def test_a_missing_second_ends_a_span():
    seconds = [sample for sample in samples([1000] * 7) if sample.second != 3]

    assert longest_span(seconds, "open", 1000) == SteadySpan(3, 1000)


DROPPED = replace(SUMMARY, opened=1000, closed={"server_1001": 200, "drained": 800})


def test_a_run_with_unexpected_ends_is_no_proof_unless_something_was_expected_of_it():
    claims = claims_of(DROPPED, samples([1000] * 5, [1000] * 5), PLAN)

    assert claims.proves.startswith(
        "No proof, since nothing was expected and 200 of 1,000 ended unexpectedly. 1,000"
        " connections verified open for 5 s"
    )
    assert "; none failed, 200 dropped by the server (server_1001); none lost;" in claims.proves
    assert "that open connections stay open: 200 dropped by the server (server_1001)" in (
        claims.does_not
    )

    held = replace(DROPPED, expectations=[ExpectationResult("unexpected<=20%", 20, held=True)])
    assert claims_of(held, samples([1000] * 5), PLAN).proves.startswith("1,000 connections open")


def test_a_run_whose_sessions_failed_is_no_proof_unless_something_was_expected_of_it():
    crashed = replace(
        SUMMARY,
        sessions_started=100,
        sessions_failed=12,
        closed={"error_ValueError": 12, "done": 88},
    )
    failed = "12 of 100 sessions failed (error_ValueError)"

    claims = claims_of(crashed, samples([1000] * 5), PLAN)
    assert f" and {failed}. 1,000 connections open for 5 s" in claims.proves
    assert claims.proves.startswith("No proof, since nothing was expected and ")
    assert f"; {failed}; none lost;" in claims.proves
    assert f"that every session comes to its end: {failed}" in claims.does_not

    held = replace(crashed, expectations=[ExpectationResult("sessions_failed<=20%", 12, held=True)])
    assert claims_of(held, samples([1000] * 5), PLAN).proves.startswith("1,000 connections open")


def test_messages_that_the_kernel_did_not_take_are_not_proved():
    queued = replace(SUMMARY, messages_sent=2, messages_unsent=1200)

    assert (
        "that the server takes every message: the kernel had no room for 1,200 of 1,202"
        in claims_of(queued, samples([1000] * 5), PLAN).does_not
    )


def test_a_run_with_pings_unanswered_is_no_proof_unless_something_was_expected_of_it():
    mute = replace(SUMMARY, pings=10_099, pongs_missing=9480)

    assert claims_of(mute, samples([1000] * 5), PLAN).proves.startswith(
        "No proof, since nothing was expected and 9,480 of 10,099 pings had no answer. "
    )


def test_a_run_with_invalid_seconds_is_no_proof_unless_something_was_expected_of_it():
    marked = replace(DROPPED, invalid_seconds=[InvalidSecond(3, ["why"])])

    assert claims_of(marked, samples([1000] * 9, invalid={3}), PLAN).proves.startswith(
        "No proof, since nothing was expected and 200 of 1,000 ended unexpectedly and 1 second"
        " is invalid. "
    )
    assert claims_of(
        replace(marked, verdict="fail"), samples([1000] * 9, invalid={3}), PLAN
    ).proves.startswith("1,000 connections open")


def test_whatever_went_wrong_is_not_proved():
    figures = replace(
        SUMMARY,
        verdict="stopped",
        aborted=EarlyEnd("failed>1%", 12.3),
        planned=2500,
        relaunched=500,
        failed={"refused": 3},
        late=7,
        invalid_seconds=[
            InvalidSecond(number, [f"a stalled for {number} ms"]) for number in (3, 4, 5, 9)
        ],
        saturated_seconds=[InvalidSecond(number, ["no core was idle"]) for number in (1, 2)],
    )

    claims = claims_of(figures, samples([1000] * 5, [1000] * 5), Plan(target="ws://127.0.0.1:1/"))

    assert claims.does_not == [
        "that the plan can be carried out to its end: it was aborted after 12 s, failed>1%",
        "that the plan can be carried out to its end: it was stopped by hand",
        "that 2,000 connections can be open at once: 1,000 were",
        "that every connection opens: refused 3",
        "that arrivals kept to the plan: 7 were launched more than 100 ms late",
        "anything in seconds 3 to 5: a stalled for 3 ms (and similar)",
        "anything in second 9: a stalled for 9 ms",
        "anything about latency in seconds 1 to 2: no core was idle",
        f"anything about a network: {ONE_MACHINE}",
    ]


def unproved(*urls):
    """Returns the claims that a run against these targets does not prove.

    A plan without targets has one on loopback.
    """
    plan = Plan(targets=tuple(Target(url=url) for url in urls), think=30.0)
    return claims_of(SUMMARY, samples([1000] * 5, [1000] * 5), plan).does_not


def test_a_plan_with_targets_is_judged_by_them_and_not_by_the_default_target():
    assert unproved("ws://10.213.7.2:21130/hold", "ws://10.213.7.2:21130/echo") == []


def test_only_targets_on_loopback_share_a_machine_with_the_agents():
    local = ("ws://127.0.0.1:1/", "ws://localhost/", "ws://[::1]:1/", "ws+unix:///run/a.sock:/")

    assert unproved(*local) == [f"anything about a network: {ONE_MACHINE}"]
    assert unproved("ws://localhost.example.com/", *local[:2]) == [
        f"anything about the network to {local[0]}, {local[1]}: {ONE_MACHINE}"
    ]


def test_a_pause_by_hand_is_no_plan():
    figures = replace(SUMMARY, pauses=[(1.0, 3.0), (7.0, None)])

    claims = claims_of(figures, samples([1000] * 5, [1000] * 5), PLAN)

    paused = "that arrivals kept to the plan: they were paused by hand"
    assert claims.does_not == [
        f"{paused} from second 1 to second 3",
        f"{paused} from second 7 to its end",
    ]


def test_a_run_in_which_nothing_opened_proves_nothing():
    claims = claims_of(replace(SUMMARY, open_peak=0), [], PLAN)

    assert claims.proves.startswith("Nothing")


def test_seconds_that_never_held_the_peak_prove_nothing():
    claims = claims_of(SUMMARY, samples([1000, 400, 300], invalid={0}), PLAN)

    assert claims.proves == "Nothing: in no valid second were 990 connections open."


def test_a_run_that_is_stopped_or_lost_does_not_prove_its_end():
    stopped = claims_of(replace(SUMMARY, verdict="stopped"), samples([1000]), PLAN).does_not
    lost = claims_of(replace(SUMMARY, verdict="lost"), samples([1000]), PLAN).does_not

    assert "it was stopped by hand" in stopped[0]
    assert "the fleet or the coordinator was lost" in lost[0]


def test_too_few_answers_to_pings_do_not_prove_that_connections_were_alive():
    claims = claims_of(SUMMARY, samples([1000] * 5, [10] * 5), PLAN)

    assert "too few answered within 31 s" in claims.does_not[0]
    assert "open for 5 s by the generator's own count, not verified to be alive" in claims.proves


def test_a_run_that_can_not_be_true_or_was_not_launched_whole_is_no_proof():
    wrong = replace(SUMMARY, breaches=["open is -1"], not_launched=300)

    said = "; ".join(claims_of(wrong, samples([1000] * 5), PLAN).does_not)

    assert "any count: the ledger does not add up, open is -1" in said
    assert "300 of 1,000 were never launched" in said


def test_a_change_by_hand_is_no_plan():
    change = AskedChange("rate 500/s", 12.0, 1000, PlanChange(12.0, 600, rate=500.0))

    claims = claims_of(replace(SUMMARY, changes=[change]), samples([1000] * 5, [1000] * 5), PLAN)

    assert claims.does_not == [
        "that arrivals kept to the plan: changed by hand, rate 500/s from second 12, 1,000 planned"
    ]
