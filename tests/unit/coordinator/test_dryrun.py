"""The text of --dry-run."""

import pytest

from coordinator.dryrun import describe_plan, dry_run, expected_shares, session_parts
from coordinator.run.calibration import Ability, Calibration, Figure, Member
from coordinator.settings import RunSettings
from coordinator.storage.calibrations import keep_calibration
from loadgen.errors import PlanError
from loadgen.machine.facts import facts, read_machine
from loadgen.plan.clients import AgentSpec
from loadgen.plan.credentials import NO_CREDENTIALS, Credentials
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan, Target
from loadgen.plan.sessions import Loop
from loadgen.plan.transport import Transport
from loadgen.values import Endpoint

USERS, GUESTS = Loop(name="users", weight=3.0), Loop(name="guests")


def described(plan):
    return "\n\n".join(describe_plan(plan)).splitlines()


def test_a_plan_without_phases_is_one_row_and_its_end():
    assert described(Plan(rate=100.0, max=1001, hold=60.0)) == [
        "phase     from    to  arrivals   rate  besides",
        "arrivals   0 s  10 s     1,001  100/s",
        "",
        "last arrival after 10 s, drained after 1:10 min",
    ]
    assert (
        described(Plan(max=1, hold="sessions"))[-1]
        == "last arrival after 0 s, over with the last session"
    )


def test_phases_sessions_and_targets_are_tables():
    plan = Plan(
        phases=(
            Phase(name="ramp", rate=0, rate_to=50, duration=90.0, wait=True),
            Phase(name="mixed", rate=100, max=750, keep=True, sessions={"guests": 1.0}),
            Phase(duration=20.0, storm=0.25, jitter=0.5, churn=7.5),
        ),
        sessions=(USERS, GUESTS),
        targets=(Target(url="ws://a/"), Target(url="ws://b/", weight=3.0)),
        hold=5.0,
    )

    assert [" ".join(line.split()) for line in described(plan)] == [
        "phase from to arrivals rate besides",
        "ramp 0 s 1:30 min 2,250 0/s to 50/s waits for all sessions",
        "mixed gate 1 + 0 s gate 1 + 8 s 750 100/s sessions guests 1; ended users come back",
        (
            "phase 3 gate 1 + 8 s gate 1 + 28 s 0 – 7.5/s are replaced; 25 % are cut and back"
            " within 0.5 s"
        ),
        "",
        "session users",
        "users 56.25%",
        "guests 43.75%",
        "",
        "target users",
        "ws://a/ 25.00%",
        "ws://b/ 75.00%",
        "",
        "last phase over at gate 1 + 28 s, drained 5 s later",
    ]


def test_the_session_parts_are_those_of_the_plan_where_a_phase_has_no_mix():
    assert session_parts(Plan(sessions=(USERS, GUESTS))) == {"users": 0.75, "guests": 0.25}
    plan = Plan(
        phases=(Phase(rate=1, max=10), Phase(rate=1, max=30, sessions={"users": 9.0})),
        sessions=(USERS, GUESTS),
    )
    assert session_parts(plan) == pytest.approx({"users": 0.9375, "guests": 0.0625})


def test_shares_add_up():
    assert sum(share for _, share in expected_shares(Plan(max=1_000_003), 16)) == 1_000_003


def test_clients_get_shares_by_their_weights_and_others_by_a_weight_of_one():
    plan = Plan(
        max=1000, clients=(AgentSpec(name="big", weight=2.0), AgentSpec(name="small", weight=0.5))
    )

    assert expected_shares(plan, 3) == [("big", 571), ("small", 143), ("agent 3", 286)]
    assert expected_shares(plan, 1) == [("big", 1000)]
    assert [name for name, _ in expected_shares(plan, 3, local=2)] == ["local-1", "local-2", "big"]


def test_an_agent_whose_share_would_be_empty_is_named():
    plan = Plan(max=9, clients=(AgentSpec(name="big", weight=100.0), AgentSpec(name="small")))

    with pytest.raises(
        PlanError,
        match=r"--max 9 over 2 agents leaves nothing for small: .* its weight in the plan",
    ):
        expected_shares(plan, 2)


def test_the_text_has_plan_schedule_shares_and_preflight():
    plan = Plan(max=1001, rate=100.0, hold=60.0)

    text = dry_run(RunSettings(plan=plan, agents=2, local=2, listen=Endpoint("127.0.0.1", 0)))

    assert "max = 1001" in text
    assert "last arrival after 10 s, drained after 1:10 min" in text
    assert "agent 1          501" in text
    assert "preflight: this machine holds a local agent's share of 501" in text


def test_a_plan_beyond_what_local_agents_generate_is_told_and_of_others_nothing_is_known(tmp_path):
    figures = dict.fromkeys(("local-1", "local-2"), Ability(Figure(60.0)))
    members = tuple(Member.of(name, facts(read_machine())) for name in figures)
    known = Calibration(members, "2026-11-28", "ws://a/", Ability(), figures)
    keep_calibration(tmp_path, known)

    def text(local):
        options = {"agents": 2, "local": local, "out": tmp_path, "listen": Endpoint("127.0.0.1", 0)}
        return dry_run(RunSettings(plan=Plan(max=1000, rate=108.0, think=1000.0), **options))

    line = "the plan asks for 108 arrivals/s, this fleet was calibrated at 120/s on 2026-11-28"
    assert f"{line}: 90 %" in text(local=2)
    assert line not in text(local=1)


def test_a_target_that_only_agents_elsewhere_can_resolve_is_told():
    plan, listen = Plan(target="ws://rt.nowhere.invalid/"), Endpoint("127.0.0.1", 0)

    text = dry_run(RunSettings(plan=plan, agents=2, listen=listen))
    assert "target rt.nowhere.invalid is resolved by the agents, port 80\n" in text
    assert "on this machine, target host 'rt.nowhere.invalid' does not resolve" in text
    with pytest.raises(PlanError, match="does not resolve"):
        dry_run(RunSettings(plan=plan, agents=2, local=2, listen=listen))


@pytest.mark.parametrize(
    ("target", "transport", "credentials", "said"),
    [
        ("ws://127.0.0.1/", {}, NO_CREDENTIALS, None),
        (
            "wss://127.0.0.1/",
            {},
            NO_CREDENTIALS,
            "TLS trusts the system's authorities, and shows no certificate",
        ),
        (
            "wss://127.0.0.1/",
            {"tls_ca": "/ca.pem", "tls_cert": "/c.pem"},
            Credentials("ca", ("a",)),
            "TLS trusts the authorities in /ca.pem, and shows one certificate",
        ),
        (
            "wss://127.0.0.1/",
            {"tls_verify": False, "tls_cert": "/c.pem"},
            Credentials("", ("a", "b")),
            "TLS trusts ANY CERTIFICATE, so any server may answer (--insecure, tls_verify = false),"
            " and shows 2 certificates, one a user",
        ),
    ],
)
def test_what_tls_trusts_and_shows_is_told(target, transport, credentials, said):
    plan = Plan(target=target, max=1, transport=Transport(**transport))
    settings = RunSettings(
        plan=plan, agents=1, listen=Endpoint("127.0.0.1", 0), credentials=credentials
    )

    lines = [line for line in dry_run(settings).split("\n") if line.startswith("TLS ")]

    assert lines == ([said] if said else [])
