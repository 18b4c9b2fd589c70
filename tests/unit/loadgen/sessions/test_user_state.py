"""The table of a user's states.

CheckedUser of tests/unit/loads.py checks users against it.
"""

import pytest

from loadgen.sessions.user_state import TRANSITIONS, Pause, UserState
from tests.unit.loads import CheckedUser, idle_user


def test_every_state_stands_in_the_table_and_may_end():
    assert TRANSITIONS.keys() == set(UserState)
    assert all(UserState.OVER in after for after in TRANSITIONS.values() if after)
    assert not TRANSITIONS[UserState.OVER]


def test_a_user_that_has_not_started_is_over_with_no_session():
    assert idle_user().state is UserState.OVER


async def test_a_transition_that_the_table_does_not_have_is_found():
    async def session(user):
        await user.think(1.0)

    user = CheckedUser(idle_user().scenario, 0, due=0.0)
    user.start(session)
    assert user.state is UserState.THINKING

    with pytest.raises(AssertionError):
        user._waiting = Pause.YIELDED
