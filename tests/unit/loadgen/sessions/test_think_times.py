"""Think times: fixed, and drawn from the user's own random numbers."""

import pytest

from loadgen.plan.seeded import SeededRandom
from loadgen.sessions.think_times import ThinkTimes


class Thoughtful:
    """A user that notes its pauses."""

    def __init__(self):
        self.random = SeededRandom(7, 0)
        self.pauses = []

    def pause(self, seconds):
        self.pauses.append(seconds)
        yield


def pauses_of(ways, times=400):
    """Returns the pauses of a user that thinks in a way, some times."""
    user = Thoughtful()
    think = ThinkTimes(user)
    for _ in range(times):
        list(ways(think))
    return user.pauses


def test_a_time_is_kept_as_it_is():
    assert pauses_of(lambda think: think(30), 1) == [30]


def test_a_uniform_time_is_between_both():
    pauses = pauses_of(lambda think: think.uniform(2, 4))

    assert 2 <= min(pauses) < 2.1
    assert 3.9 < max(pauses) <= 4
    assert sum(pauses) / len(pauses) == pytest.approx(3, rel=0.05)


def test_an_exponential_time_has_its_mean_and_may_be_nothing():
    pauses = pauses_of(lambda think: think.exponential(2))

    assert sum(pauses) / len(pauses) == pytest.approx(2, rel=0.2)
    assert sum(pause > 2 for pause in pauses) / len(pauses) == pytest.approx(0.37, abs=0.08)
    assert pauses_of(lambda think: think.exponential(0), 1) == [0.0]
