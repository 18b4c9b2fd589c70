"""Vices are read from the words of the command line."""

import pytest

from loadgen.errors import OperatorError
from loadgen.target.settings import LEGAL, Vices


def test_none_by_default():
    assert Vices.parse([]) == Vices()


@pytest.mark.parametrize(
    ("words", "vices"),
    [
        (["refuse", "no-pong", "no-pong"], Vices(refuse=True, no_pong=True)),
        (["stall"], Vices(stall=True)),
        (["wrong-key", "split-frames"], Vices(wrong_key=True, split_frames=True)),
        (["slow-accept"], Vices(slow_accept=1.0)),
        (["slow-accept=0.25", "reset=2m"], Vices(slow_accept=0.25, reset=120.0)),
        (["close", "close=100ms"], Vices(close=0.1)),
        (["reset=0"], Vices(reset=0.0)),
    ],
)
def test_reads(words, vices):
    assert Vices.parse(words) == vices


@pytest.mark.parametrize("word", ["", "sloth", "no_pong", "=1"])
def test_a_bad_name_brings_the_legal_ones(word):
    with pytest.raises(OperatorError) as mistake:
        Vices.parse([word])

    assert all(name in str(mistake.value) for name in LEGAL)


@pytest.mark.parametrize("word", ["refuse=1", "stall=", "no-pong=0"])
def test_a_value_where_none_makes_sense(word):
    with pytest.raises(OperatorError, match="takes no value"):
        Vices.parse([word])


@pytest.mark.parametrize("word", ["reset=", "reset=soon", "close=-1"])
def test_a_bad_time(word):
    with pytest.raises(OperatorError, match="duration"):
        Vices.parse([word])
