"""Stamps, and what is known of deliveries."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.stats.delivery import (
    MAX_MISSED,
    Delivered,
    News,
    Published,
    PublisherClock,
    Stamp,
    stamp_of,
)
from loadgen.stats.histogram import Histogram

STREAMS = st.from_regex(r"\A[A-Za-z0-9._-]{1,80}\Z")
COUNTS = st.integers(0, 1000)


@example("host-run.0", 7, 123)
@example("host-run.0", 0, None)
@given(STREAMS, st.integers(0, 10**15 - 1), st.none() | st.integers(0, 10**17 - 1))
def test_a_stamp_is_read_as_it_was_written(stream, number, sent):
    stamp = Stamp(stream, number, sent)

    assert stamp_of(stamp.text.encode()) == stamp
    assert msgspec.json.encode(stamp.text) == f'"{stamp.text}"'.encode(), "JSON escapes nothing"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"lg1:a:0:1",
        b"lg1:a:00:1;",
        b"lg1:a:0:01;",
        b"lg1::0:1;",
        b"lg1:a b:0:1;",
        b"lg1:a:x:1;",
        b"lg2:a:0:1;",
        b" lg1:a:0:1;",
    ],
)
def test_any_other_text_is_no_stamp(text):
    assert stamp_of(text) is None


def test_a_publication_has_a_key_and_a_stamp():
    published = Published("host-run.0", 7, 123, "files")

    assert published.key == "host-run.0:7"
    assert published.stamp.text == "lg1:host-run.0:7:123;"


def test_a_clock_beside_another_is_as_uncertain_as_both():
    assert PublisherClock(5.0, 0.25).beside(PublisherClock(-2.0, 0.5)) == PublisherClock(7.0, 0.75)


@st.composite
def deliveries(draw):
    times = Histogram()
    for value in draw(st.lists(st.integers(0, 10**7), max_size=5)):
        times.record(value)
    counts = [draw(COUNTS) for _ in range(4)]
    missed = draw(st.lists(COUNTS, max_size=MAX_MISSED))
    return Delivered(*counts, times, draw(COUNTS), missed)


@st.composite
def news(draw):
    keys = draw(st.lists(st.integers(0, 5), unique=True, max_size=4))
    published = [Published("host-run.0", key, key, "files") for key in keys]
    delivered = draw(st.dictionaries(st.sampled_from("abc"), deliveries(), max_size=3))
    return News({one.key: one for one in published}, delivered, draw(st.sampled_from(["", "x"])))


def merged(parts):
    whole = News()
    for part in parts:
        whole.merge(part)
    return whole


@given(st.lists(news(), max_size=4), st.randoms(use_true_random=False))
def test_news_are_the_same_in_any_order_and_grouping_of_merges(parts, random):
    shuffled = parts[:]
    random.shuffle(shuffled)
    cut = random.randint(0, len(parts))

    whole = merged(parts)

    assert merged(shuffled) == whole
    assert merged([merged(parts[:cut]), merged(parts[cut:])]) == whole


@given(news())
def test_news_travel_as_json(one):
    data = msgspec.json.encode(one)

    assert msgspec.json.decode(data, type=News) == one


def test_a_merge_leaves_the_other_side_as_it_is():
    other = News(delivered={"a": Delivered(expected=1, missed=[3])})
    whole = merged([other, other])

    assert whole.delivered["a"] == Delivered(expected=2, missed=[3, 3])
    assert other.delivered["a"] == Delivered(expected=1, missed=[3])
