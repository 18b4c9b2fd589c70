"""Faults are parsed from the words of the command line."""

import pytest

from loadgen.errors import OperatorError
from loadgen.target.settings import LEGAL, Faults


def test_no_fault_by_default():
    assert Faults.parse([]) == Faults()


@pytest.mark.parametrize(
    ("words", "faults"),
    [
        (["refuse", "no-pong", "no-pong"], Faults(refuse=True, no_pong=True)),
        (["stall"], Faults(stall=True)),
        (["wrong-key", "split-frames"], Faults(wrong_key=True, split_frames=True)),
        (["slow-accept"], Faults(slow_accept=1.0)),
        (["slow-accept=0.25", "reset=2m"], Faults(slow_accept=0.25, reset=120.0)),
        (["close", "close=100ms"], Faults(close=0.1)),
        (["reset=0"], Faults(reset=0.0)),
        (["lose-deliveries", "swap-deliveries=7"], Faults(lose_deliveries=10, swap_deliveries=7)),
        (["delay-deliveries=5ms"], Faults(delay_deliveries=0.005)),
    ],
)
def test_words_become_faults(words, faults):
    assert Faults.parse(words) == faults


@pytest.mark.parametrize("word", ["", "sloth", "no_pong", "=1"])
def test_an_unknown_name_is_answered_with_the_legal_ones(word):
    with pytest.raises(OperatorError) as mistake:
        Faults.parse([word])

    assert all(name in str(mistake.value) for name in LEGAL)


@pytest.mark.parametrize("word", ["refuse=1", "stall=", "no-pong=0"])
def test_a_value_is_refused_where_a_fault_takes_none(word):
    with pytest.raises(OperatorError, match="takes no value"):
        Faults.parse([word])


@pytest.mark.parametrize("word", ["reset=", "reset=soon", "close=-1"])
def test_a_bad_time(word):
    with pytest.raises(OperatorError, match="duration"):
        Faults.parse([word])


@pytest.mark.parametrize("word", ["lose-deliveries=0", "swap-deliveries=", "lose-deliveries=1s"])
def test_a_bad_number(word):
    with pytest.raises(OperatorError, match="whole number from 1 on"):
        Faults.parse([word])


def test_faults_of_deliveries_are_told_apart():
    assert not Faults(refuse=True).deliveries
    assert Faults(double_deliveries=3).deliveries
    assert Faults(delay_deliveries=0.0).deliveries
