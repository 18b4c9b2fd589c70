"""Sessions driven by hand: what they await, and how they end."""

import pytest

from loadgen.sessions.trampoline import BaseUser


class Driven(BaseUser):
    """A user that remembers how its session ended."""

    def __init__(self, session) -> None:
        super().__init__(7, 1.5)
        self.ends = []
        self.coroutine = session()

    def session_ended(self, end):
        self.ends.append(type(end))


def test_a_session_is_resumed_with_values_until_it_returns():
    got = []

    def session():
        got.append((yield "first"))
        got.append((yield "second"))

    user = Driven(session)
    assert [user.send(value) for value in (None, 1, 2)] == ["first", "second", None]
    assert got == [1, 2]
    assert user.coroutine is None
    assert user.ends == [StopIteration]
    assert user.send(3) is None
    assert user.throw(LookupError) is None
    assert user.ends == [StopIteration]


def test_an_exception_is_raised_where_the_session_waits():
    caught = []

    def session():
        try:
            yield "first"
        except LookupError as error:
            caught.append(str(error))
        yield "second"

    user = Driven(session)
    user.send(None)
    assert user.throw(LookupError, "why") == "second"
    assert caught == ["why"]
    assert user.throw(TimeoutError) is None
    assert user.ends == [TimeoutError]


@pytest.mark.parametrize("end", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_no_exception_of_a_session_is_raised_by_its_user(end):
    async def session():
        raise end

    user = Driven(session)
    assert user.send(None) is None
    assert user.ends == [end]
