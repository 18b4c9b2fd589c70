"""Conditions that end a run early."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.report.abort import AbortWatch, parse_abort
from loadgen.errors import PlanError
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import Loop
from tests.unit.coordinator.report.summaries import part, percentiles, summary


def failing(number, launched=1000):
    """The summary of a run in which this number of connections has failed."""
    return summary(launched=launched, failed={"refused": number})


def ends(text, *failures):
    """Returns the first second at whose end the watch ends the run, and why."""
    watch = AbortWatch([parse_abort(text)])
    for second, number in enumerate(failures):
        why = watch.take(second, failing(number))
        if why:
            return second, why
    return None


@pytest.mark.parametrize(
    ("text", "failures", "second"),
    [
        ("failed>10", [0, 11], 1),
        ("failed>10", [10, 10, 10], None),
        ("failed > 1% :for 2s", [0, 11, 12, 13, 14], 3),
        ("failed>1%:for2s", [11, 11, 11, 11], 2),
        ("failed>1%:for 0.05m", [11, 11, 11, 11], 3),
        ("failed>10:for 3", [11, 11, 11, 0, 11, 11, 11, 11], 7),
        ("failed.refused>=1", [0, 0, 1], 2),
        ("failed.dns>=1", [1, 1], None),
        ("counter.bad>1", [1, 1], None),
        ("handshake_p99>1s", [1, 1], None),
    ],
)
def test_a_run_ends_once_a_condition_has_held_for_its_time(text, failures, second):
    end = ends(text, *failures)

    assert (end[0] if end else None) == second


def test_the_reason_says_what_was_measured():
    assert ends("failed>1%:for 2s", 31, 31, 32) == (
        2,
        "--abort-on failed>1% for 2 s (it was 3.2%)",
    )
    assert ends("failed>30", 31) == (0, "--abort-on failed>30 (it was 31)")


def test_each_condition_has_its_own_time():
    watch = AbortWatch([parse_abort("failed>1:for 9s"), parse_abort("launched>=1000:for 1s")])

    assert watch.take(0, failing(5)) == ""
    assert watch.take(1, failing(5)).startswith("--abort-on launched>=1000 for 1 s")
    assert bool(watch)
    assert not AbortWatch([])


def test_a_watch_names_the_parts_that_it_needs():
    watch = AbortWatch([parse_abort("phase.ramp.handshake_p99>1s"), parse_abort("lag_p99>1s")])
    slow = {"handshake": percentiles(p99=2000.0)}

    assert watch.parts == {"phase.ramp", "run"}
    assert watch.take(3, summary(parts={"phase.ramp": part(histograms=slow)}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plateau_s<10", "plateau_s is only known when the run is over"),
        ("open_end>1", "open_end is only known when the run is over"),
        ("plateau.failed>1", r"plateau\.failed is only known when the run is over"),
        ("faild>1", "did you mean 'failed'"),
        ("phase.rmap.failed>1", "the plan has no phase 'rmap'"),
        ("failed>1:for ever", "'ever' is not a duration"),
        ("failed>1:", "is not an expectation"),
        ("failed>1:for", "is not an expectation"),
        ("", "is not an expectation"),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(text, message):
    with pytest.raises(PlanError, match=message) as mistake:
        parse_abort(text, Plan())

    assert str(mistake.value).startswith("--abort-on ")
    assert "\n" not in str(mistake.value)


@given(st.text())
def test_any_text_is_a_condition_or_is_refused(text):
    with contextlib.suppress(PlanError):
        assert parse_abort(text).seconds >= 0


def test_a_session_may_end_the_run():
    sessions = (Loop(name="chatter"), Loop(name="watcher"))
    condition = parse_abort("session.chatter.failed>1%", Plan(sessions=sessions))
    watch = AbortWatch([condition])

    assert watch.parts == {"session.chatter"}
    few, many = (
        summary(parts={"session.chatter": part(launched=100, failed={"refused": number})})
        for number in (1, 2)
    )
    assert watch.take(0, few) == ""
    assert "session.chatter.failed>1% (it was 2%)" in watch.take(1, many)
    with pytest.raises(PlanError, match="no session 'chattr', did you mean 'chatter'"):
        parse_abort("session.chattr.failed>1%", Plan(sessions=sessions))
