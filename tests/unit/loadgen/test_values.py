"""Durations, endpoints and base URLs as text."""

import pytest

from loadgen.values import (
    Endpoint,
    base_of,
    has_larger,
    nests_deeper,
    number_of,
    seconds_of,
)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("500ms", 0.5), ("5m", 300), ("1h", 3600), (" 1.5 s ", 1.5)]
)
def test_a_duration_is_seconds(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "5 minutes", "1e3", "inf"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.9.8.7", True),
        ("::1", True),
        ("fe80::1%eth0", False),
        ("10.0.0.1", False),
        ("target.example.org", False),
    ],
)
def test_an_endpoint_is_on_this_machine_by_its_name(host, loopback):
    assert Endpoint(host, 1).loopback == loopback


def test_an_address_of_ipv6_stands_in_brackets():
    assert (str(Endpoint("::1", 80)), str(Endpoint("a", 80))) == ("[::1]:80", "a:80")


@pytest.mark.parametrize("url", ["http://a:8091", "https://[::1]/x", "http://a"])
def test_a_base_is_a_url_that_can_be_dialed(url):
    parts = base_of(url)

    assert parts is not None
    assert parts.geturl() == url


@pytest.mark.parametrize(
    "url",
    ["", "a:1", "ws://a", "http://", "http://a:0", "http://a:65536", "http://[::1", "http://a b"],
)
def test_what_can_not_be_dialed_is_no_base(url):
    assert base_of(url) is None


@pytest.mark.parametrize(
    ("value", "depth"), [(1, 1), ([], 1), ([1], 2), ({"a": [{}]}, 3), ([[], {"a": {"b": 1}}], 4)]
)
def test_the_depth_of_json_is_bounded(value, depth):
    assert not nests_deeper(value, depth)
    assert nests_deeper(value, depth - 1)


def test_a_number_beyond_a_bound_is_found_wherever_it_is():
    assert has_larger({"a": [1, {"b": 11}]}, 10)
    assert has_larger([-11], 10)
    assert has_larger({"a": {"b": -1e300}}, 10)
    assert not has_larger({"a": [10, -10.0, "11", None, True]}, 10)


@pytest.mark.parametrize("text", ["1000000", "1_000_000", "1,000,000", "1e6", " 1000000.0 "])
def test_a_number_may_be_written_in_several_ways(text):
    assert number_of(text) == 1_000_000


@pytest.mark.parametrize("text", ["", "10,00", "1,0000", "1,,000", "1k", "one", "1 000"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="is not a number; write 1000000"):
        number_of(text)
