"""Methods whose calls are recorded."""

import pytest

from coordinator.run.recorded import Recorded, argument_types, checked_by, recorded


class Counter(Recorded):
    def __init__(self) -> None:
        self.total = 0

    @recorded
    def add(self, number: int, label: str) -> int:
        """Adds a number; raises ValueError below 0."""
        if number < 0:
            raise ValueError(label)
        self.total += number
        return self.total

    def _check_take(self, number: int) -> None:
        if number > self.total:
            raise ValueError("too much")

    @checked_by(_check_take)
    @recorded
    def take(self, number: int) -> int:
        """Takes a number; raises ValueError when there is less."""
        self.total -= number
        return self.total

    def double(self) -> None:
        self.total *= 2


def test_a_call_is_recorded_before_it_takes_effect():
    counter = Counter()
    recorded_calls = []
    counter.record = lambda name, arguments: recorded_calls.append((name, arguments, counter.total))

    assert counter.add(3, "three") == 3
    counter.double()
    with pytest.raises(ValueError, match="minus"):
        counter.add(-1, "minus")

    assert recorded_calls == [("add", (3, "three"), 0), ("add", (-1, "minus"), 6)]


def test_a_call_that_is_refused_is_neither_recorded_nor_made():
    counter = Counter()
    counter.total = 5
    recorded_calls = []
    counter.record = lambda name, arguments: recorded_calls.append((name, arguments, counter.total))

    with pytest.raises(ValueError, match="too much"):
        counter.take(6)
    assert counter.take(2) == 3

    assert recorded_calls == [("take", (2,), 5)]
    assert counter.total == 3


def test_without_a_recorder_a_call_takes_effect_alone():
    assert Counter().add(3, "three") == 3


def test_arguments_are_given_by_position():
    with pytest.raises(AssertionError):
        Counter().add(number=3, label="three")


def test_the_recorded_methods_are_known_with_the_types_of_their_arguments():
    assert argument_types(Counter) == {"add": (int, str), "take": (int,)}
    assert Counter.add.__doc__ == "Adds a number; raises ValueError below 0."
