"""The times of a user's run of a script, and messages that it did not ask for."""

import pytest

from loadgen.sessions.script.context import UNASKED, ScriptContext, ScriptEnd, UnaskedInbox
from tests.unit.loads import idle_user


@pytest.fixture
def user():
    """A user that has no connection."""
    return idle_user(41)


def timed(user):
    """Returns the number of timings by name."""
    return {name: timing.total for name, timing in user.recorder.tally.timings.items()}


def test_tsungs_users_are_numbered_from_one(user):
    assert ScriptContext(user).values == {"tsung_userid": 42}


def test_requests_up_to_the_end_of_a_page_are_one_page(user):
    context = ScriptContext(user)
    context.reply_received(context.began, ends_page=False)
    context.request_done(context.began, ends_page=False)
    context.reply_received(context.began, ends_page=True)

    assert timed(user) == {"request": 2, "page": 1}
    assert context.page_began == 0.0


def test_a_transaction_is_timed_once_and_only_after_its_beginning(user):
    context = ScriptContext(user)
    context.end_transaction("never begun")
    context.begin_transaction("outer")
    context.begin_transaction("inner")
    context.end_transaction("outer")
    context.end_transaction("outer")
    assert timed(user) == {"tr_outer": 1}

    context.finish()
    assert timed(user) == {"tr_outer": 1, "tr_inner": 1, "session": 1}


def test_a_user_without_a_connection_ends_its_session(user):
    with pytest.raises(ScriptEnd, match="error_unknown"):
        _ = ScriptContext(user).socket
    assert user.recorder.tally.counters == {"error_unknown": 1}
    assert user.raised


def test_messages_that_were_not_asked_for_are_counted_and_not_kept(user):
    inbox = UnaskedInbox(user)
    assert inbox.keep("news") == inbox.keep(b"news") == 0

    assert len(inbox) == 0
    assert user.recorder.tally.counters == {UNASKED: 2}
