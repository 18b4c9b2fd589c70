"""What a run may be said to prove."""

from coordinator.report.claims import SteadySpan, claims_of, longest, plateau
from coordinator.report.samples import Sample
from loadgen.plan.plan import Plan

SUMMARY = {
    "verdict": "pass",
    "planned": 1000,
    "launched": 1000,
    "failed": {},
    "lost": 0,
    "late": 0,
    "open_peak": 1000,
    "rate_achieved": 200.0,
    "histograms": {"handshake": {"p99": 3.0}, "ping_rtt": {"p99": 4.0}},
    "invalid_seconds": [],
}
PLAN = Plan(target="ws://10.0.0.1:9505/", think=30.0)


def samples(open_, verified=None, invalid=()):
    verified = verified or [None] * len(open_)
    return [
        Sample(
            second, {"open": count, "verified": alive}, {}, {}, ["why"] if second in invalid else []
        )
        for second, (count, alive) in enumerate(zip(open_, verified, strict=True))
    ]


def test_the_claim_is_what_was_verified_in_valid_seconds_on_end():
    seconds = samples([500] + [1000] * 10, [0] + [1000] * 10, invalid={4})

    proof = claims_of(SUMMARY, seconds, PLAN)

    assert (
        proof.proves
        == "1,000 connections verified open for 6 s: each answered a ping within 30 s; none failed;"
        " none lost; 200 arrivals a second; 99 % of the handshakes within 3.0 ms; 99 % of the"
        " pings within 4.0 ms."
    )
    assert proof.does_not == []


def test_without_pings_only_the_generators_own_count_is_claimed():
    proof = claims_of(SUMMARY, samples([1000] * 5), Plan(target=PLAN.target, ping="none"))

    assert proof.proves.startswith("1,000 connections open for 5 s, by the generator's own count;")
    assert proof.does_not == [
        "that the open connections were alive at the server: its sessions need not ping"
    ]


def test_few_more_connections_are_worth_more_than_a_few_seconds():
    seconds = samples([991, *[1000] * 9, 995])

    assert longest(seconds, "open", 990) == SteadySpan(11, 991)
    assert plateau(seconds, "open", 1000) == SteadySpan(9, 1000)


def test_a_gap_ends_a_stretch():
    seconds = [sample for sample in samples([1000] * 7) if sample.second != 3]

    assert longest(seconds, "open", 1000) == SteadySpan(3, 1000)


def test_what_went_wrong_is_not_proved():
    summary = SUMMARY | {
        "verdict": "stopped",
        "planned": 2500,
        "relaunched": 500,
        "failed": {"refused": 3},
        "late": 7,
        "invalid_seconds": [
            {"second": number, "why": [f"a stalled for {number} ms"]} for number in (3, 4, 5, 9)
        ],
    }

    proof = claims_of(summary, samples([1000] * 5, [1000] * 5), Plan(target="ws://127.0.0.1:1/"))

    assert proof.does_not == [
        "that the plan can be carried out to its end: it was stopped by hand",
        "that 2,000 connections can be open at once: 1,000 were",
        "that every connection opens: refused 3",
        "that arrivals kept to the plan: 7 were launched more than 100 ms late",
        "anything in seconds 3 to 5: a stalled for 3 ms (and the like)",
        "anything in second 9: a stalled for 9 ms",
        "anything about a network: agents and server shared one machine, and its CPU",
    ]


def test_a_run_in_which_nothing_opened_proves_nothing():
    proof = claims_of(SUMMARY | {"open_peak": 0}, [], PLAN)

    assert proof.proves.startswith("Nothing")
