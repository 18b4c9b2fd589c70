"""Hypothesis strategies for seconds, tallies and histograms."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from hypothesis import strategies as st

from loadgen.stats.fanin import Second, Slice
from loadgen.stats.histogram import HIGHEST, Histogram
from loadgen.stats.ledger import Held
from loadgen.stats.tally import COUNTS, HISTOGRAMS, CheckCounts, Tally

microseconds = st.integers(0, 1000) | st.integers(0, HIGHEST)
cuts = st.lists(st.integers(0, 100_000), max_size=12)
"""Places at which `pieces` cuts a stream of bytes."""


def histogram_of(values: Iterable[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def merged(tallies: Iterable[Tally]) -> Tally:
    whole = Tally()
    for tally in tallies:
        whole.merge(tally)
    return whole


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Returns the bytes in parts that join to the whole, none of them empty."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in pairwise(edges)]


histograms = st.lists(microseconds, max_size=3).map(histogram_of)
_counts = st.integers(0, 2**40)
_reasons = st.dictionaries(
    st.sampled_from(("refused", "http_503", "done", "server_1001")), st.integers(1, 999), max_size=3
)
_names = st.sampled_from(("logins", "tr_login", "other"))
tallies = st.builds(
    Tally,
    **dict.fromkeys(COUNTS, _counts),
    failed=_reasons,
    closed=_reasons,
    http_replies=_reasons,
    http_failed=_reasons,
    compression=_reasons,
    **dict.fromkeys(HISTOGRAMS, histograms),
    counters=st.dictionaries(_names, st.integers(1, 999), max_size=3),
    timings=st.dictionaries(_names, histograms, max_size=3),
    checks=st.dictionaries(_names, st.builds(CheckCounts, _counts, _counts), max_size=3),
)
_tallies_of_few_fields = st.builds(
    Tally, launched=_counts, bytes_sent=_counts, failed=_reasons, connect=histograms
)
seconds = st.builds(
    Second,
    st.just(0),
    _tallies_of_few_fields,
    st.builds(Held, _counts, _counts),
    cpu_s=st.integers(0, 1000).map(float),
    rss=_counts,
    slices=st.dictionaries(
        st.integers(0, 2),
        st.builds(Slice, _tallies_of_few_fields, st.none() | _counts, _counts),
        max_size=2,
    ),
)
"""Seconds with the number 0, and whole CPU seconds, so that their sum is the same in any order."""
