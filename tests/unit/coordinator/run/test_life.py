"""The seconds that held the peak, and the living in them."""

from math import inf

import pytest

from coordinator.run.life import hold_of, lowest_alive, plateau_seconds

OPEN = {0: 500, 1: 1000, 2: 990, 3: 989, 4: 1000, 5: 10}


@pytest.mark.parametrize(
    ("alive", "seconds"),
    [
        ({}, 3),
        (dict.fromkeys(OPEN), 3),
        ({1: 1000, 2: 990, 3: 989, 4: 989}, 2),
        ({1: 0, 2: None, 4: 0}, 1),
    ],
)
def test_the_plateau_has_the_seconds_in_which_nearly_all_were_open_and_alive(alive, seconds):
    assert plateau_seconds(OPEN, alive, 1000) == seconds


def test_without_a_connection_there_is_no_plateau():
    assert plateau_seconds({0: 0, 1: 0}, {}, 0) == 0
    assert list(hold_of({0: 0, 1: 0}, 0, inf)) == []
    assert list(hold_of({}, 0, inf)) == []


@pytest.mark.parametrize(("drained_at", "last"), [(5.0, 4), (5.9, 4), (3.2, 2), (inf, 4)])
def test_the_hold_begins_with_the_peak_and_lasts_until_the_drain(drained_at, last):
    assert list(hold_of(OPEN, 1000, drained_at)) == list(range(1, last + 1))


def test_the_lowest_second_of_the_hold_counts():
    alive = {0: 3, 1: 1000, 2: None, 3: 900, 4: 950, 5: 0}

    assert lowest_alive(alive, range(1, 5)) == 900
    assert lowest_alive(alive, range(1, 2)) == 1000
    assert lowest_alive(alive, range(2, 3)) is None
    assert lowest_alive({}, range(5)) is None
