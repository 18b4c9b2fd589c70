"""The histogram, against brute force and against the hdrhistogram library."""

import base64
import zlib
from fractions import Fraction
from math import ceil

import msgspec
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.stats.histogram import HIGHEST, QUANTILES, Histogram, highest_in, lowest_in
from tests.unit.strategies import histogram_of, microseconds

some_values = st.lists(microseconds, min_size=1, max_size=60)
any_values = st.lists(microseconds, max_size=60)
PERCENTS = ("0", "1", "50", "90", "99", "99.9", "100")


def merge_of(*parts: Histogram) -> Histogram:
    whole = Histogram()
    for part in parts:
        whole.merge(part)
    return whole


@given(some_values)
def test_percentiles_are_at_most_one_percent_above_brute_force(values):
    ordered = sorted(values)
    found = histogram_of(values).percentiles(map(float, PERCENTS))

    for percent, value in zip(PERCENTS, found, strict=True):
        exact = ordered[max(1, ceil(Fraction(percent) * len(values) / 100)) - 1]
        assert exact <= value <= exact * 1.01


@given(some_values)
def test_percentiles_ascend_to_the_maximum(values):
    histogram = histogram_of(values)
    found = histogram.percentiles(map(float, PERCENTS))

    assert found == sorted(found)
    assert found[-1] == histogram.percentile(100)
    assert [histogram.percentile(float(percent)) for percent in PERCENTS] == found


def test_a_bucket_holds_its_own_bounds_and_nothing_else():
    """The bounds of every bucket fall into it.

    The next value falls into the next bucket.
    """
    indexes = list(histogram_of([HIGHEST]).counts)

    for index in range(indexes[0]):
        assert histogram_of([lowest_in(index), highest_in(index)]).counts == {index: 2}
        assert highest_in(index) + 1 == lowest_in(index + 1)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255])
def test_small_values_are_exact(value):
    assert histogram_of([value]).percentile(50) == value


def test_values_below_zero_count_as_zero():
    assert histogram_of([-1, -(10**12)]) == histogram_of([0, 0])


def test_values_above_one_hour_count_as_one_hour():
    assert histogram_of([HIGHEST + 1, 10**15]) == histogram_of([HIGHEST, HIGHEST])


def test_an_empty_histogram_is_zero_everywhere():
    empty = Histogram()

    assert empty.percentiles([50.0, 100.0]) == [0, 0]
    assert empty.at_most([10, HIGHEST]) == [0, 0]
    assert empty.summary() == {"count": 0, "mean": 0, **dict.fromkeys(QUANTILES, 0), "max": 0}
    assert (empty.total, empty.sum) == (0, 0)


def test_merging_adds_the_counts_of_each_bucket():
    assert merge_of(histogram_of([1, 2]), histogram_of([2, 3])).counts == {1: 1, 2: 2, 3: 1}


@given(any_values, any_values)
def test_merging_is_recording_everything_into_one(left, right):
    assert merge_of(histogram_of(left), histogram_of(right)) == histogram_of(left + right)


@given(any_values, any_values, any_values)
def test_order_and_grouping_of_merges_do_not_matter(first, second, third):
    a, b, c = map(histogram_of, (first, second, third))

    assert merge_of(a, b) == merge_of(b, a)
    assert merge_of(merge_of(a, b), c) == merge_of(a, merge_of(b, c))


@given(some_values)
def test_merging_leaves_the_other_as_it_was(values):
    other = histogram_of(values)
    whole = merge_of(other)
    whole.record(1)

    assert other == histogram_of(values)


@given(some_values, st.lists(st.integers(-200, 200), min_size=1, max_size=8))
def test_at_most_is_never_too_high_and_misses_only_the_bounds_own_bucket(values, offsets):
    """The bounds are close to the values, where it is hardest."""
    bounds = sorted(max(0, value + offset) for value in values for offset in offsets)
    for bound, count in zip(bounds, histogram_of(values).at_most(bounds), strict=True):
        assert count <= sum(value <= bound for value in values)
        assert count >= sum(value <= bound * 0.99 for value in values)


def test_at_most_counts_a_bucket_that_is_wholly_within_the_bound():
    """1,000 shares a bucket with 1,001 to 1,003."""
    assert histogram_of([100, 200, 200, 1000]).at_most([99, 100, 999, 1002, 1003]) == [
        0,
        1,
        3,
        3,
        4,
    ]


@given(any_values)
def test_the_last_bound_counts_everything(values):
    histogram = histogram_of(values)

    assert histogram.at_most([2 * HIGHEST]) == [histogram.total] == [len(values)]


@given(some_values)
def test_the_sum_is_off_by_half_a_bucket_at_most(values):
    assert histogram_of(values).sum == pytest.approx(sum(values), rel=1 / 256, abs=len(values))


def test_the_summary_is_in_milliseconds():
    summary = histogram_of([*[1000] * 98, 2000, 200_000]).summary()

    assert list(summary) == ["count", "mean", *QUANTILES, "max"]
    assert summary["count"] == 100
    assert summary["mean"] == pytest.approx(3, rel=0.01)
    assert summary["p50"] == pytest.approx(1, rel=0.01)
    assert summary["p99"] == pytest.approx(2, rel=0.01)
    assert summary["max"] == pytest.approx(200, rel=0.01)


def decoded(text):
    """The bytes that an encoded histogram has compressed."""
    return zlib.decompress(base64.b64decode(text)[8:])


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1],
        [0, 0, 1],
        [0, 3],
        [1, 3, 4, 4, 70],
        [1] * 70 + [200] * 9000,
        [255, 256, 258, 100_000, 100_001, 59_999_999],
        [HIGHEST, HIGHEST + 1],
    ],
)
def test_the_encoding_is_that_of_the_library(values):
    library = HdrHistogram(1, HIGHEST, 2)
    for value in values:
        library.record_value(min(max(1, value), HIGHEST))

    assert decoded(histogram_of(values).encoded()) == decoded(library.encode())


@example([0, 1, 250, 3000, 3000, HIGHEST])
@given(some_values)
def test_the_standard_encoding_has_the_percentiles_of_the_library_itself(values):
    direct = HdrHistogram(1, HIGHEST, 2)
    for value in values:
        direct.record_value(max(1, value))
    ours = HdrHistogram.decode(histogram_of(values).encoded())

    percents = [float(percent) for percent in PERCENTS]
    assert ours.get_total_count() == len(values)
    assert ours.get_percentile_to_value_dict(percents) == direct.get_percentile_to_value_dict(
        percents
    )


@given(any_values)
def test_json_gives_back_the_same_histogram(values):
    histogram = histogram_of(values)

    assert msgspec.json.decode(msgspec.json.encode(histogram), type=Histogram) == histogram
