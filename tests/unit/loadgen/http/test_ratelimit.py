"""The rate limit: one second's tokens at once, and never more than the rate."""

from hypothesis import given
from hypothesis import strategies as st

from loadgen.http.ratelimit import TokenBucket


def test_a_bucket_holds_one_second_and_fills_as_time_passes():
    bucket = TokenBucket(3)

    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.4) for _ in range(2)] == [True, False]
    assert [bucket.take(500.0) for _ in range(4)] == [True, True, True, False]


@given(st.integers(1, 50), st.lists(st.floats(0, 10), max_size=200))
def test_a_bucket_never_gives_more_than_the_rate_and_one_second(rate, gaps):
    bucket = TokenBucket(rate)
    now = 0.0
    taken = 0
    for gap in gaps:
        now += gap
        taken += bucket.take(now)

    assert taken <= rate + rate * now + 1e-6


def test_a_clock_that_goes_back_gives_nothing():
    bucket = TokenBucket(1)

    assert bucket.take(10.0)
    assert not bucket.take(5.0)
