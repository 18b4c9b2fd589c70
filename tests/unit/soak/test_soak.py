import os

import pytest

from tests.soak.growth import Growth, Sample, sample


def growth(*sizes, descriptors=(5,) * 8):
    return Growth.of(
        "one", [Sample(size, count) for size, count in zip(sizes, descriptors, strict=True)]
    )


@pytest.mark.parametrize(
    ("sizes", "flat"),
    [
        ((100,) * 8, True),
        ((100, 100, 900, 1, 900, 1, 102, 102), True),
        ((100, 100, 1, 1, 1, 1, 103, 103), False),
        ((100,) * 6 + (50, 50), True),
    ],
)
def test_the_last_quarter_is_held_against_the_first(sizes, flat):
    assert growth(*sizes).flat == flat


def test_what_it_is_there_to_keep_is_no_growth():
    sizes = [Sample(size, 5) for size in (100, 100, 1, 1, 1, 1, 150, 150)]

    assert Growth.of("one", sizes, kept=50).flat
    assert not Growth.of("one", sizes, kept=40).flat


def test_descriptors_that_leak_are_no_chance():
    assert growth(*[100] * 8, descriptors=(5, 5, 5, 5, 5, 5, 13, 13)).flat
    assert not growth(*[100] * 8, descriptors=(5, 5, 5, 5, 5, 5, 14, 14)).flat


def test_a_process_is_sampled_as_it_stands():
    before = sample(os.getpid())
    with open(os.devnull):
        after = sample(os.getpid())

    assert after.descriptors == before.descriptors + 1
    assert after.rss > 1 << 20
