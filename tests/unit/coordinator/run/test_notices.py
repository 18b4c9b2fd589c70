"""Notices wait until they are taken, and never without bound.

A notice is one line, or plain lines.
"""

from coordinator.run.notices import MAX_REFUSED, MAX_SAMPLES, Notice, Notices
from coordinator.run.run import Run
from tests.unit.coordinator.fleet import (
    PLAN,
    hello,
    posted,
    ready,
    started,
)


def test_notices_come_in_their_order_and_once():
    notices = Notices()
    notices.warn("careful")
    notices.note("a", "two\nlines\x1b[2J")

    assert notices.take() == [Notice("careful"), Notice("two lines [2J", "a")]
    assert notices.take() == []


def test_only_the_first_traceback_of_a_reason_is_a_notice():
    notices = Notices()
    notices.sample("a", "error_KeyError", "Traceback:\n  \x1b[2J")
    notices.sample("b", "error_KeyError", "Traceback")
    (notice,) = notices.take()

    assert (notice.agent, notice.reason) == ("a", "error_KeyError")
    assert notice.text == "Traceback:\n  �[2J"
    assert notices.sampled == {"error_KeyError"}


def test_reasons_without_end_are_not_all_kept():
    notices = Notices()
    for number in range(MAX_SAMPLES + 1):
        notices.sample("a", f"error_{number}", "Traceback")

    assert len(notices.take()) == MAX_SAMPLES


def test_a_wall_clock_that_was_set_is_reported_beyond_what_its_bound_allows():
    notices = Notices()

    assert not notices.check_wall("agent a", 0.09)
    assert not notices.check_wall("agent a", -0.5, bound=0.45)
    assert notices.take() == []
    assert notices.check_wall("agent a", -0.5, bound=0.3)
    assert [notice.text for notice in notices.take()] == [
        "the wall clock of agent a was set by -0.5 s; the run goes by the monotonic clock"
    ]


def test_the_retry_after_of_a_refusal_is_kept_by_its_reason():
    notices = Notices()
    notices.sample("a", "http_429", "user 1: the server answered 429 No; Retry-After: 30\n\nhead")
    notices.sample("a", "http_503", "user 1: the server answered 503 No\n\nx; Retry-After: 9")
    notices.sample("a", "error_KeyError", "Traceback; Retry-After: 9")

    assert notices.retry_after == {"http_429": "30"}


def test_a_refused_agent_is_named_once_for_each_address_and_reason():
    notices = Notices()
    for address, why in (
        ("10.0.0.5", "no token;\nstart it with one"),
        ("10.0.0.5", "no token; start it with one"),
        ("10.0.0.6", "no token; start it with one"),
        ("10.0.0.5", "another version; install the same"),
    ):
        notices.refuse(address, why)

    assert [notice.text for notice in notices.take()] == [
        "an agent at 10.0.0.5 was refused: no token; start it with one",
        "an agent at 10.0.0.6 was refused: no token; start it with one",
        "an agent at 10.0.0.5 was refused: another version; install the same",
    ]


def test_refused_agents_without_end_are_not_all_named():
    notices = Notices()
    for number in range(MAX_REFUSED + 2):
        notices.refuse(f"10.0.0.{number}", "no token")
    *named, last = notices.take()

    assert len(named) == MAX_REFUSED
    assert last.text == "further agents were refused; no more of them are named"


def test_the_first_traceback_of_each_reason_is_a_notice_up_to_a_hundred_reasons():
    run = Run(PLAN, 2)
    a, b = started(run)
    posted(run, a, ready(tracebacks={"error_KeyError": "one"}), run.start)
    posted(run, b, ready(tracebacks={"error_KeyError": "two", "error\nOther": "three"}), run.start)

    assert [
        (notice.agent, notice.reason, notice.text) for notice in run.notices.take() if notice.reason
    ] == [
        ("a", "error_KeyError", "one"),
        ("b", "error Other", "three"),
    ]

    posted(run, a, ready(tracebacks={f"error_{number}": "" for number in range(500)}), run.start)
    assert len(run.notices.take()) == 98


def test_a_note_is_a_notice_of_its_agent_once():
    run = Run(PLAN, 1)
    agent = run.join(hello(), 0.0).id
    posted(run, agent, ready(notes=("worker 0\nis gone",)), 0.0)

    assert [(notice.agent, notice.text) for notice in run.notices.take()] == [
        ("host", "worker 0 is gone")
    ]
    assert run.notices.take() == []


def test_tracebacks_and_notes_of_agents_become_notices():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])

    posted(run, agent, ready(notes=("hot",), tracebacks={"error_KeyError": "Traceback"}), 1.0)

    told = [(notice.agent, notice.reason, notice.text) for notice in run.notices.take()]
    assert told == [("a", "", "hot"), ("a", "error_KeyError", "Traceback")]
