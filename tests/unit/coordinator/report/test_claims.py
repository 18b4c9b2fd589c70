"""What a run proves, and what it does not prove."""

from msgspec.structs import replace

from coordinator.report.claims import SteadySpan, claims_of, longest_span, plateau
from coordinator.report.samples import Sample
from coordinator.run.summary import InvalidSecond
from loadgen.plan.plan import Plan, Target
from tests.unit.coordinator.report.summaries import percentiles, summary

SUMMARY = summary(
    planned=1000,
    launched=1000,
    open_peak=1000,
    rate_achieved=200.0,
    histograms={"handshake": percentiles(p99=3.0), "ping_rtt": percentiles(p99=4.0)},
)
PLAN = Plan(target="ws://10.0.0.1:9505/", think=30.0)
ONE_MACHINE = "agents and server shared one machine, and its CPU"


def samples(open_, verified=None, invalid=()):
    verified = verified or [None] * len(open_)
    return [
        Sample(
            second, {"open": count, "verified": alive}, {}, {}, ["why"] if second in invalid else []
        )
        for second, (count, alive) in enumerate(zip(open_, verified, strict=True))
    ]


def test_the_claim_is_what_was_verified_in_consecutive_valid_seconds():
    seconds = samples([500] + [1000] * 10, [0] + [1000] * 10, invalid={4})

    claims = claims_of(SUMMARY, seconds, PLAN)

    assert (
        claims.proves
        == "1,000 connections verified open for 6 s: each answered a ping within 30 s; none failed;"
        " none lost; 200 arrivals a second; 99 % of the handshakes within 3.0 ms; 99 % of the"
        " pings within 4.0 ms."
    )
    assert claims.does_not == []


def test_a_latency_that_was_not_measured_is_not_claimed():
    claims = claims_of(replace(SUMMARY, histograms={}), samples([1000] * 5), PLAN)

    assert claims.proves.endswith("200 arrivals a second.")


def test_without_pings_only_the_generators_own_count_is_claimed():
    claims = claims_of(SUMMARY, samples([1000] * 5), Plan(target=PLAN.target, ping="none"))

    assert claims.proves.startswith("1,000 connections open for 5 s, by the generator's own count;")
    assert claims.does_not == [
        "that the open connections were alive at the server: its sessions need not ping"
    ]


def test_more_connections_are_worth_more_than_a_few_seconds():
    seconds = samples([991, *[1000] * 9, 995])

    assert longest_span(seconds, "open", 990) == SteadySpan(11, 991)
    assert plateau(seconds, "open", 1000) == SteadySpan(9, 1000)


def test_a_missing_second_ends_a_span():
    seconds = [sample for sample in samples([1000] * 7) if sample.second != 3]

    assert longest_span(seconds, "open", 1000) == SteadySpan(3, 1000)


def test_whatever_went_wrong_is_not_proved():
    figures = replace(
        SUMMARY,
        verdict="stopped",
        planned=2500,
        relaunched=500,
        failed={"refused": 3},
        late=7,
        invalid_seconds=[
            InvalidSecond(number, [f"a stalled for {number} ms"]) for number in (3, 4, 5, 9)
        ],
    )

    claims = claims_of(figures, samples([1000] * 5, [1000] * 5), Plan(target="ws://127.0.0.1:1/"))

    assert claims.does_not == [
        "that the plan can be carried out to its end: it was stopped by hand",
        "that 2,000 connections can be open at once: 1,000 were",
        "that every connection opens: refused 3",
        "that arrivals kept to the plan: 7 were launched more than 100 ms late",
        "anything in seconds 3 to 5: a stalled for 3 ms (and similar)",
        "anything in second 9: a stalled for 9 ms",
        f"anything about a network: {ONE_MACHINE}",
    ]


def unproved(*urls):
    """What a run against these targets does not prove; their default would be loopback."""
    plan = Plan(targets=tuple(Target(url=url) for url in urls), think=30.0)
    return claims_of(SUMMARY, samples([1000] * 5, [1000] * 5), plan).does_not


def test_a_plan_with_targets_is_judged_by_them_and_not_by_the_default_target():
    assert unproved("ws://10.213.7.2:21130/hold", "ws://10.213.7.2:21130/echo") == []


def test_only_targets_on_loopback_share_a_machine_with_the_agents():
    local = ("ws://127.0.0.1:1/", "ws://localhost/", "ws://[::1]:1/")

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

    assert "too few answered a ping within 30 s" in claims.does_not[0]
