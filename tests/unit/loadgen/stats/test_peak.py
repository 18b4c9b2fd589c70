"""The most connections that were open at once, of one worker and of several."""

from loadgen.stats.peak import FOREVER, Peak, PeakMeter


def ended(meter, now):
    """Ends a connection, as connections do."""
    if meter.holds:
        meter.until = now
    meter.open -= 1


def test_a_worker_knows_its_peak_and_from_when_to_when_it_lasted():
    meter = PeakMeter()
    for now in (100.1, 100.2, 100.3):
        meter.opened(now)
    ended(meter, 100.5)
    ended(meter, 100.6)
    meter.opened(100.7)

    assert meter.take(101.0, start=100.0) == Peak(3, since=0.3, until=0.5)
    assert meter.open == 2


def test_a_peak_that_is_reached_again_lasts_from_the_first_time_on():
    meter = PeakMeter()
    meter.opened(100.1)
    ended(meter, 100.2)
    meter.opened(100.3)
    ended(meter, 100.4)

    assert meter.take(101.0, start=100.0) == Peak(1, since=0.1, until=0.2)


def test_a_second_begins_with_what_is_open():
    meter = PeakMeter()
    assert meter.take(101.0, start=100.0) == Peak(0, since=0.0, until=1.0)
    meter.opened(101.5)
    assert meter.take(102.0, start=100.0) == Peak(1, since=1.5, until=2.0)
    assert meter.take(103.0, start=100.0) == Peak(1, since=2.0, until=3.0)
    ended(meter, 103.25)
    assert meter.take(104.0, start=100.0) == Peak(1, since=3.0, until=3.25)
    assert meter.take(105.0, start=100.0) == Peak(0, since=4.0, until=5.0)


def test_the_peaks_of_several_workers_add_up_where_they_had_them_at_the_same_time():
    fleet = Peak()
    for one in (Peak(3, 0.2, 0.6), Peak(5, 0.4, 0.9)):
        fleet.merge(one)

    assert fleet == Peak(8, 0.4, 0.6)
    assert fleet.at_once()
    assert fleet.at_once(apart=0.1)
    assert not fleet.at_once(apart=0.5)


def test_the_order_and_the_grouping_of_merges_do_not_matter():
    parts = [Peak(3, 0.2, 0.3), Peak(5, 0.4, 0.9), Peak(1, 0.1, 0.8)]
    pair = Peak()
    for one in parts[1:]:
        pair.merge(one)
    whole = Peak(known=True)
    for one in (pair, parts[0]):
        whole.merge(one)

    assert whole == Peak(9, 0.4, 0.3)
    assert not whole.at_once()  # a bound alone


def test_where_one_peak_is_unknown_so_is_that_of_all():
    fleet = Peak(4, 0.0, 1.0)
    fleet.merge(Peak(known=False))

    assert fleet == Peak(4, 0.0, 1.0, known=False)
    assert not fleet.at_once()
    assert Peak() == Peak(0, 0.0, FOREVER)
