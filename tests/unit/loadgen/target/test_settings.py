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
