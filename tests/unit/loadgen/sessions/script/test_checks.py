"""The checks of a script's replies, played against real servers."""

import pytest

from loadgen.plan.script import Close, Connect, HttpStep, Match, Receive, ReplyCheck, Send
from loadgen.plan.sessions import Script
from loadgen.sessions.script.compile import compile_session
from tests.unit.http_load import http_load
from tests.unit.timing import MS

CONNECT = Connect(path="/ws?token=t")


async def counted(*steps, patience=5.0):
    """Plays a script; returns its tally, ledger and samples."""
    session = compile_session(Script(name="script", steps=steps), {}, patience)
    async with http_load(session) as (running, _):
        ledger = await running.over()
        return running.tally, ledger, running.recorder.samples


def told(text, *checks, **options):
    """The steps that send a text and check the reply, which is `t:` and the text."""
    return CONNECT, Send(text=text, ack=True, check=checks, **options), Close()


@pytest.mark.parametrize(
    ("text", "check", "passed"),
    [
        ("x", {"pattern": "^t:x$"}, True),
        ("x", {"pattern": "y"}, False),
        ("x", {"not_pattern": "y"}, True),
        ("x", {"pattern": "x", "not_pattern": ":"}, False),
        ("x", {"pattern": "%%_tsung_userid%%"}, False),
        ("1", {"pattern": ":%%_tsung_userid%%$"}, True),
        ("x", {"jsonpath": "a"}, False),
    ],
)
async def test_a_check_looks_at_the_text_of_a_message(text, check, passed):
    tally, ledger, _ = await counted(*told(text, ReplyCheck(name="c", **check), subst=True))

    assert (tally.checks_passed, tally.checks_failed) == (passed, not passed)
    assert ledger.closed == {"done": 1}


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        ({"status": 200}, True),
        ({"status": (201, 204)}, False),
        ({"jsonpath": "token"}, True),
        ({"jsonpath": "nothing"}, False),
        ({"jsonpath": "items", "equals": 3}, True),
        ({"jsonpath": "items", "equals": 3.0}, True),
        ({"jsonpath": "items", "equals": "3"}, True),
        ({"jsonpath": "items", "equals": 4}, False),
        ({"jsonpath": "admin", "equals": False}, True),
        ({"jsonpath": "admin", "equals": 0}, False),
        ({"jsonpath": "token", "equals": "t-u1"}, True),
        ({"jsonpath": "token", "equals": "t-u%%_tsung_userid%%"}, True),
        ({"status": 200, "jsonpath": "token", "equals": "mine"}, False),
    ],
)
async def test_a_check_looks_at_status_and_values_of_an_http_reply(check, passed):
    step = HttpStep(
        method="post",
        url="/login",
        json={"user": "u1"},
        subst=True,
        check=(ReplyCheck(name="c", **check),),
    )
    tally, _, samples = await counted(step, CONNECT)

    assert (tally.checks["c"].passed, tally.checks["c"].failed) == (passed, not passed)
    assert passed or "t-u1" in samples["check.c"]


async def test_a_fatal_check_ends_the_session():
    checks = (
        ReplyCheck(name="first", pattern="no", fatal=True),
        ReplyCheck(name="next", pattern="x"),
    )
    tally, ledger, samples = await counted(*told("x", *checks))

    assert {name: one.failed for name, one in tally.checks.items()} == {"first": 1}
    assert (ledger.closed, tally.sessions_failed) == ({"error_check": 1}, 1)
    assert "t:x" in samples["check.first"]


async def test_a_reply_that_never_comes_fails_its_checks():
    check = ReplyCheck(name="c", pattern="x")
    tally, ledger, samples = await counted(CONNECT, Receive(check=(check,)), patience=20 * MS)

    assert (tally.checks["c"].failed, ledger.closed) == (1, {"error_timeout": 1})
    assert "no reply came: error_timeout" in samples["check.c"]
    tally, _, _ = await counted(HttpStep(url="/cut", check=(check,)), CONNECT)
    assert (tally.checks["c"].failed, tally.counters["error_http"]) == (1, 1)


async def test_checks_are_counted_before_a_match_ends_the_session():
    match = Match(pattern="x", do="abort")
    tally, _, _ = await counted(*told("x", ReplyCheck(name="c", pattern="x"), match=(match,)))

    assert tally.checks["c"].passed == 1
