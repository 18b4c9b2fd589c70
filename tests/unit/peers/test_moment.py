import pytest

from tests.peers.moment import (
    Counts,
    Moment,
    cpu_per_event,
    cpu_per_open,
    opening,
    opens_per_second,
    share_at_rest,
)


def moment(at: float, cpu_s: float, opened: int = 0) -> Moment:
    return Moment(at, cpu_s, Counts(opened, opened, 0, 0, 0))


def test_the_cpu_of_an_open_is_counted_from_a_tenth_of_them_on():
    ramp = [moment(0, 5.0, 1), moment(1, 6.0, 100), moment(2, 6.9, 1000)]

    assert cpu_per_open(ramp) == pytest.approx(1000)


@pytest.mark.parametrize("opens", [[0], [7], [7, 7]])
def test_too_few_moments_tell_no_cpu_of_an_open(opens):
    assert cpu_per_open([moment(0, 0, opened) for opened in opens]) is None


def test_half_of_a_core_is_a_share_of_a_half():
    assert share_at_rest(moment(10, 1), moment(14, 3)) == 0.5


def test_the_cpu_of_an_event_leaves_out_what_is_used_at_rest():
    assert cpu_per_event(moment(10, 1), moment(12, 2), 800, rest=0.1) == pytest.approx(1000)


def test_a_peer_that_still_opens_is_not_at_rest():
    assert share_at_rest(moment(10, 1, opened=5), moment(14, 3, opened=6)) is None


@pytest.mark.parametrize(("events", "rest"), [(0, 0.0), (800, None)])
def test_no_event_has_no_cpu_and_none_is_told_without_a_rest(events, rest):
    assert cpu_per_event(moment(10, 1), moment(12, 2), events, rest) is None


def test_opens_a_second_are_those_of_the_middle():
    slow_ends = [0, *range(1000, 1080, 10), 9000]

    assert opens_per_second(slow_ends) == pytest.approx(100)


@pytest.mark.parametrize("opens", [[], [1], [3, 3]])
def test_too_few_opens_have_no_rate(opens):
    assert opens_per_second(opens) is None


def test_turns_are_frames_and_texts():
    assert Counts(opened=9, open=9, pings=3, messages=4, sent=5).turns == 7


def test_an_opening_counts_from_the_first_dial_to_nine_tenths():
    ramp = [moment(12, 1.1, 100), moment(14, 1.9, 900), moment(15, 5.0, 1000)]

    assert opening(moment(10, 1.0), ramp) == pytest.approx((225, 1000))


@pytest.mark.parametrize("ramp", [[], [moment(10, 1.0, 5)], [moment(11, 1.0, 0)]])
def test_an_opening_without_a_ramp_has_no_figures(ramp):
    assert opening(moment(10, 1.0), ramp) is None
