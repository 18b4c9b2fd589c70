"""The rate limits: one second's tokens at once, and never more than the rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.http.ratelimit import (
    MAX_NETWORKS,
    Allowance,
    Buckets,
    PortRates,
    TokenBucket,
    network_of,
)


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


def test_a_bucket_says_how_long_it_is_empty():
    bucket = TokenBucket(4)

    assert bucket.wait(0.0) == 0.0
    assert [bucket.take(0.0) for _ in range(4)] == [True] * 4
    assert bucket.wait(0.0) == pytest.approx(0.25)
    assert bucket.wait(0.1) == pytest.approx(0.15)
    assert not bucket.take(0.2)
    assert bucket.take(0.26)


def test_an_address_that_has_used_up_its_own_takes_nothing_from_others():
    allowance = Allowance(PortRates(each=3, together=5))

    assert [allowance.take("10.0.0.1", 0.0) for _ in range(100)] == [True] * 3 + [False] * 97
    assert [allowance.take("10.0.0.2", 0.0) for _ in range(3)] == [True, True, False]


def test_the_buckets_of_any_number_of_addresses_are_bounded():
    buckets = Buckets(1)
    for number in range(3 * MAX_NETWORKS):
        buckets.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
        buckets.take("10.255.0.1", 0.0)

    assert len(buckets) == MAX_NETWORKS
    assert not buckets.take("10.255.0.1", 0.0), "who asks all the time is not forgotten"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_the_addresses_of_one_machine_count_as_one(address, network):
    assert network_of(address) == network
