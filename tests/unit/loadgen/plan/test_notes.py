"""Rows and texts of a plan show mistakes before its first connection."""

import pytest

from loadgen.errors import PlanError
from loadgen.plan import notes
from loadgen.plan.feeder import Feeder
from loadgen.plan.feeder_file import with_rows
from loadgen.plan.notes import check_rows, notes_on, users_of
from loadgen.plan.plan import Plan, Target
from loadgen.plan.script import Connect, Send, Transaction
from loadgen.plan.sessions import Loop, Script
from loadgen.plan.transport import Transport

ROWS = tuple({"id": f"u{number}", "n": number} for number in range(5))


def feeder(**changes):
    """A feeder with five rows."""
    return with_rows(Feeder(**{"rows": ROWS} | changes), None)


def plan(*feeders, **changes):
    return Plan(**{"max": 20, "feeders": feeders} | changes)


TWO = (Loop(name="a", weight=1), Loop(name="b", weight=3))


def test_users_of_all_sessions_are_the_plans():
    assert users_of(feeder(), plan(max=10**9)) == 10**9


def test_users_of_one_session_are_counted(monkeypatch):
    fed = feeder(sessions=("b",))
    mixed = plan(fed, sessions=TWO, max=1000)
    exact = sum(mixed.session_of(number) for number in range(1000))

    assert users_of(fed, mixed) == exact
    monkeypatch.setattr(notes, "MAX_COUNTED", 100)
    assert users_of(fed, mixed) == 10 * sum(mixed.session_of(number) for number in range(100))


def test_more_users_than_unique_rows_are_refused():
    with pytest.raises(PlanError, match=r"`feeders\[0\]`: 'users' has 5 rows for 20 users"):
        check_rows(plan(feeder()))
    with pytest.raises(PlanError, match="has 1 row for 2 users"):
        check_rows(plan(feeder(rows=ROWS[:1]), max=2))
    check_rows(plan(feeder(), max=5))
    for changes in ({"at_end": "stop"}, {"at_end": "wrap"}, {"mode": "shared"}, {"mode": "random"}):
        check_rows(plan(feeder(**changes)))
    check_rows(plan())


def test_targets_and_headers_read_fields_that_all_users_have():
    shared = feeder(mode="shared")
    check_rows(
        plan(
            shared,
            target="ws://h/?id=%%id%%",
            transport=Transport(headers={"A": "%%n%%", "Host": "h"}),
        )
    )
    with pytest.raises(PlanError, match=r"`transport.headers.A` reads 'no', .* 'loop' .*: id, n"):
        check_rows(plan(shared, transport=Transport(headers={"A": "%%no%%"})))
    with pytest.raises(PlanError, match=r"`targets\[0\].url` reads 'id', .* 'a' .*they have none"):
        check_rows(
            plan(
                feeder(mode="shared", sessions=("b",)),
                sessions=TWO,
                targets=(Target(url="ws://h/?%%id%%"),),
            )
        )
    with pytest.raises(PlanError, match=r"`transport\.headers\.host` reads 'id' from rows"):
        check_rows(plan(shared, transport=Transport(headers={"HOST": "%%id%%"})))


def test_values_that_no_request_may_have_are_refused():
    broken = feeder(rows=(*ROWS, {"id": "a\r\nb", "n": "\n"}), mode="shared")
    with pytest.raises(PlanError, match=r"`feeders\[0\]`: 'id' of row 6 has a control character"):
        check_rows(plan(broken, target="ws://h/?id=%%id%%"))
    check_rows(plan(broken, target="ws://h/"))


def test_what_becomes_of_users_beyond_the_last_row_is_said():
    assert list(notes_on(plan(feeder(at_end="stop")))) == [
        "feeders[0]: 5 rows for 20 users; 15 users end as no_row"
    ]
    assert list(notes_on(plan(feeder(at_end="wrap")))) == [
        "feeders[0]: 5 rows for 20 users; rows repeat after that"
    ]
    assert not list(notes_on(plan(feeder(mode="shared"))))
    assert not list(notes_on(plan(feeder(), max=5)))


def test_variables_that_nothing_fills_are_said():
    script = Script(
        name="s",
        steps=(
            Connect(path="/%%id%%", subst=True),
            Transaction(name="t", steps=(Send(text="%%who%%", subst=True),)),
        ),
    )
    lonely = plan(sessions=(script,), transport=Transport(headers={"A": "%%x%%"}))

    assert list(notes_on(lonely)) == [
        "transport.headers.A: no feeder has 'x'; %%x%% is sent as it stands",
        "sessions[0].steps[0]: 'id' is set nowhere; its text is `undefined`",
        "sessions[0].steps[1].steps[0]: 'who' is set nowhere; its text is `undefined`",
    ]
    assert list(notes_on(plan(feeder(mode="shared"), sessions=(TWO[0], script)))) == [
        "sessions[1].steps[1].steps[0]: 'who' is set nowhere; its text is `undefined`"
    ]


def test_text_that_is_not_ascii_in_a_binary_frame_is_said():
    steps = (
        Connect(),
        Send(text="\u00c0\0", frame="binary"),
        Send(text="\u00c0"),
        Send(text="A", frame="binary"),
        Send(hex="c000"),
    )

    assert list(notes_on(plan(sessions=(Script(name="s", steps=steps),)))) == [
        "sessions[0].steps[1].text: it is sent as UTF-8, 'À' as the bytes c3 80; write other bytes"
        " as `hex` or `base64`"
    ]
