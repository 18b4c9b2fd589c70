"""Received publications against sent ones, with times that are only numbers."""

import gc

import pytest

from loadgen.stats.deliveries import LATEST, MANY, MAX_KNOWN, Deliveries
from loadgen.stats.delivery import MAX_MISSED, Delivered, News, Published, PublisherClock, Stamp
from loadgen.stats.heard import Heard
from loadgen.stats.tally import Tally
from tests.unit.loadgen.stats.receipts import (
    GRACE,
    HERE,
    Subscriber,
    find,
    joined,
    made,
    payload_of,
    reported,
    sent_at,
)

# Reach.


def test_a_publication_that_all_receive_reaches_all():
    deliveries = made()
    subscribers = joined(deliveries, 3)
    published = sent_at(10.0)
    deliveries.announce(published, 10.5)
    for place, subscriber in enumerate(subscribers):
        assert deliveries.receive(subscriber, payload_of(published), 10.0 + (place + 1) / 1000)

    news, tally = reported(deliveries, 11.0)
    assert news == News(), "its grace is not over"
    assert tally.delivery.total == 3

    news, tally = reported(deliveries, 15.0)
    delivered = news.delivered[published.key]
    assert (delivered.expected, delivered.received, delivered.missed) == (3, 3, [])
    assert delivered.times.summary()["max"] == pytest.approx(3.0, rel=0.01)
    assert (tally.delivery_expected, tally.delivery_received, tally.delivery_lost) == (3, 3, 0)
    assert reported(deliveries, 16.0)[0] == News(), "it is reported once"


def test_a_publication_that_some_do_not_receive_is_lost_to_them():
    deliveries = made()
    subscribers = joined(deliveries, 10)
    published = sent_at(10.0)
    deliveries.receive(subscribers[4], payload_of(published), 10.1)
    deliveries.announce(published, 10.5)

    news, tally = reported(deliveries, 15.0, subscribers)

    delivered = news.delivered[published.key]
    assert (delivered.expected, delivered.received) == (10, 1)
    assert delivered.missed == [0, 1, 2, 3, 5]
    assert tally.delivery_lost == 9


def test_connections_that_heard_different_things_keep_only_what_they_heard_last(monkeypatch):
    """Each subscriber hears another part of nine publications; all hear the tenth."""
    monkeypatch.setattr("loadgen.stats.deliveries.MAX_STEPS", 4)
    deliveries = made(window=64)
    subscribers = joined(deliveries, 2**9)
    for number in range(10):
        published = sent_at(10.0, number)
        deliveries.announce(published, 10.0)
        for place, subscriber in enumerate(subscribers):
            if number == 9 or place >> number & 1:
                deliveries.receive(subscriber, payload_of(published), 10.1)
    heard = {subscriber.receipts for subscriber in subscribers}
    gc.collect()

    assert len(heard) == 2**9
    kept = sum(isinstance(thing, Heard) for thing in gc.get_objects())
    assert kept < 2**9 + 100
    _, tally = reported(deliveries, 15.0)
    assert (tally.delivery_received, tally.delivery_lost) == (2**9 + 9 * 2**8, 9 * 2**8)


def test_a_publication_that_nobody_receives_is_lost_to_all():
    deliveries = made()
    joined(deliveries, 2)
    deliveries.announce(sent_at(10.0), 11.0)

    assert reported(deliveries, 15.0)[1].delivery_lost == 2


def test_samples_of_the_missed_are_bounded():
    deliveries = made()
    subscribers = joined(deliveries, 5)
    missed = []
    for number in range(MAX_MISSED):
        deliveries.announce(sent_at(10.0, number), 10.0)
    for delivered in reported(deliveries, 15.0, subscribers)[0].delivered.values():
        missed += delivered.missed

    assert len(missed) == MAX_MISSED


def test_the_missed_are_those_that_had_to_receive_it():
    deliveries = made()
    (early,) = joined(deliveries, 1, at=9.0, resource="files")
    (other,) = joined(deliveries, 1, at=9.0, resource="docs")
    (late,) = joined(deliveries, 1, at=11.0, resource="files")
    early.number, other.number, late.number = 7, 8, 9
    deliveries.announce(sent_at(10.0, channel="files"), 10.5)

    news, _ = reported(deliveries, 15.0, [late, other, early])

    assert [one.missed for one in news.delivered.values()] == [[7]]


def test_what_left_before_it_received_is_not_expected():
    deliveries = made()
    one, other = joined(deliveries, 2)
    published = sent_at(10.0)
    deliveries.receive(one, payload_of(published), 10.1)
    deliveries.leave(one, 10.2)
    deliveries.leave(other, 10.2)
    deliveries.leave(other, 10.3)  # harmless
    deliveries.announce(published, 10.5)

    delivered = reported(deliveries, 15.0)[0].delivered[published.key]

    assert (delivered.expected, delivered.received) == (1, 1)


def test_what_a_connection_receives_after_it_left_or_that_was_sent_before_it_opened_is_extra():
    deliveries = made()
    (gone,) = joined(deliveries)
    (young,) = joined(deliveries, at=10.05)
    published = sent_at(10.0)
    deliveries.leave(gone, 10.01)
    for subscriber in (gone, young):
        assert deliveries.receive(subscriber, payload_of(published), 10.1)
    deliveries.announce(published, 10.5)

    news, tally = reported(deliveries, 15.0)

    assert news.delivered[published.key] == Delivered()
    assert tally.delivery.total == 0


def test_only_the_subscribers_of_its_channel_are_expected():
    deliveries = made()
    files = joined(deliveries, 2, resource="files")
    docs = joined(deliveries, 3, resource="docs,files")
    others = joined(deliveries, 4, resource="other")
    published = sent_at(10.0, channel="files")
    deliveries.announce(published, 10.0)
    for subscriber in files + docs + others[:1]:
        deliveries.receive(subscriber, payload_of(published), 10.1)

    news, tally = reported(deliveries, 15.0)

    delivered = news.delivered[published.key]
    assert (delivered.expected, delivered.received) == (5, 5)
    assert tally.delivery_unregistered == 1, "one of another channel got it"


def test_many_resources_of_the_same_channels_are_one_group():
    deliveries = Deliveries(find, lambda resource: ("files",), grace=GRACE)
    for number in range(MAX_KNOWN + 5):
        deliveries.join(Subscriber(), f"/?user={number}", 0.0)

    assert len(deliveries.groups) == 1


# Duplicates, order, lateness.


def test_duplicates_and_reorderings_are_counted():
    deliveries = made()
    (subscriber,) = joined(deliveries)
    first, second = sent_at(10.0, 0), sent_at(10.2, 1)
    for published in (first, second):
        deliveries.announce(published, 10.3)
    for published in (second, first, first, second):
        deliveries.receive(subscriber, payload_of(published), 10.4)

    news, tally = reported(deliveries, 16.0)

    assert (tally.delivery_duplicates, tally.delivery_reordered) == (2, 1)
    assert (tally.delivery_received, tally.delivery_lost) == (2, 0)
    assert news.delivered[first.key].reordered == news.delivered[first.key].duplicates == 1


def test_a_repeat_from_beyond_the_window_never_makes_more_of_them_than_were_expected():
    deliveries = made(window=1)
    (subscriber,) = joined(deliveries)
    both = [sent_at(10.0, number) for number in range(2)]
    for published in both:
        deliveries.announce(published, 10.0)
    for published in (*both, both[0]):
        deliveries.receive(subscriber, payload_of(published), 10.1)

    assert reported(deliveries, 15.0)[1].delivery_received == 2


def test_without_an_order_nothing_is_reordered():
    deliveries = made(ordered=False)
    (subscriber,) = joined(deliveries)
    for number in (1, 0):
        deliveries.receive(subscriber, payload_of(sent_at(10.0, number)), 10.1)

    assert reported(deliveries, 11.0)[1].delivery_reordered == 0


def test_what_comes_after_the_grace_is_lost_and_late():
    deliveries = made()
    (subscriber,) = joined(deliveries)
    published = sent_at(10.0)
    deliveries.announce(published, 10.0)
    assert reported(deliveries, 15.0)[1].delivery_lost == 1

    deliveries.receive(subscriber, payload_of(published), 16.0)
    deliveries.receive(subscriber, payload_of(published), 17.0)
    _, tally = reported(deliveries, 18.0)

    assert (tally.delivery_late, tally.delivery_duplicates, tally.delivery_received) == (1, 1, 0)
    assert tally.delivery.total == 1, "its time stands in the distribution"


def test_a_publication_that_was_not_announced_is_expected_of_nobody():
    deliveries = made()
    (subscriber,) = joined(deliveries)
    deliveries.receive(subscriber, payload_of(sent_at(10.0)), 10.1)

    assert reported(deliveries, 16.0)[0] == News()
    news, tally = reported(deliveries, 15.0 + LATEST)
    assert news == News()
    assert (tally.delivery_unregistered, tally.delivery_expected) == (1, 0)


def test_closed_books_are_forgotten_and_not_counted_again():
    deliveries = made()
    (subscriber,) = joined(deliveries)
    deliveries.announce(sent_at(10.0), 10.0)
    deliveries.receive(subscriber, payload_of(sent_at(10.0)), 10.1)
    reported(deliveries, 15.0)

    assert reported(deliveries, 15.0 + LATEST)[1] == Tally()


def test_the_last_report_closes_every_book():
    deliveries = made()
    (subscriber,) = joined(deliveries)
    announced, other = sent_at(10.0, 0), sent_at(10.0, 1)
    deliveries.announce(announced, 10.0)
    for published in (announced, other):
        deliveries.receive(subscriber, payload_of(published), 10.1)
    deliveries.leave(subscriber, 10.5)

    news, tally = reported(deliveries, 11.0, final=True)

    assert list(news.delivered) == [announced.key]
    assert (tally.delivery_received, tally.delivery_unregistered) == (1, 1)


# Clocks.


def test_a_stamp_of_another_host_is_translated():
    deliveries = made()
    deliveries.compare({"there": PublisherClock(100.0, 0.5), HERE: PublisherClock(1.0, 1.0)})
    (subscriber,) = joined(deliveries, at=100.0)
    published = sent_at(10.0, stream="there-x")
    deliveries.receive(subscriber, payload_of(published), 110.25)
    deliveries.announce(published, 111.0)

    news, tally = reported(deliveries, 115.0)

    assert tally.delivery.summary()["max"] == pytest.approx(250.0, rel=0.01)
    assert news.delivered[published.key].bound == 500_000


@pytest.mark.parametrize(("at", "negative"), [(109.6, 0), (109.4, 1)])
def test_a_receipt_before_the_sending_may_be_the_clocks_within_their_bound(at, negative):
    deliveries = made()
    deliveries.compare({"there": PublisherClock(100.0, 0.5)})
    (subscriber,) = joined(deliveries, at=100.0)
    deliveries.receive(subscriber, payload_of(sent_at(10.0, stream="there-x")), at)

    _, tally = reported(deliveries, 111.0)

    assert (tally.delivery_negative, tally.delivery.total) == (negative, 1 - negative)


@pytest.mark.parametrize(
    "published", [sent_at(10.0, stream="elsewhere-x"), Published(f"{HERE}-x", 0)]
)
def test_without_a_known_clock_receipts_count_and_are_not_timed(published):
    deliveries = made()
    (subscriber,) = joined(deliveries, at=100.0)
    deliveries.receive(subscriber, payload_of(published), 110.0)
    deliveries.announce(published, 111.0)

    news, tally = reported(deliveries, 115.0)

    assert (tally.delivery_untimed, tally.delivery.total) == (1, 0)
    assert news.delivered[published.key].received == 1


def test_a_receipt_before_the_sending_is_counted_apart_and_never_0():
    deliveries = made()
    (subscriber,) = joined(deliveries)
    published = sent_at(10.0)
    deliveries.receive(subscriber, payload_of(published), 6.3)
    deliveries.announce(published, 10.0)

    news, tally = reported(deliveries, 15.0)

    assert (tally.delivery_negative, tally.delivery.total) == (1, 0)
    assert news.delivered[published.key].received == 1


# Messages without a stamp.


@pytest.mark.parametrize("plain", [b"plain", b'{"stamp":"lg1:nothing;"}'])
def test_messages_without_a_stamp_are_counted_and_reported_once(plain):
    deliveries = made()
    (subscriber,) = joined(deliveries)
    for count in (MANY - 1, 1, MANY):
        for _ in range(count):
            assert not deliveries.receive(subscriber, plain, 1.0)
        news, tally = reported(deliveries, 2.0)
        assert tally.delivery_unstamped == count
        assert bool(news.unstamped) == (count == 1)


def test_messages_beside_stamped_ones_are_no_complaint():
    deliveries = made()
    (subscriber,) = joined(deliveries)
    deliveries.receive(subscriber, payload_of(sent_at(1.0)), 1.0)
    for _ in range(MANY):
        deliveries.receive(subscriber, b"plain", 1.0)

    assert reported(deliveries, 2.0)[0] == News()


def test_the_servers_own_messages_need_no_stamp():
    deliveries = made()
    (subscriber,) = joined(deliveries)
    deliveries.receive(subscriber, b'{"type":"connected","data":{}}', 1.0)

    assert reported(deliveries, 2.0)[1] == Tally()


# Publishers that are not the coordinator.


def test_sessions_publish_in_one_stream_for_each_channel():
    deliveries = made(publisher=f"{HERE}-run-0-77")
    stamps = [deliveries.publish(channel, 2.5) for channel in ("a", "b", "a")]

    news, _ = reported(deliveries, 3.0)

    assert stamps == [
        f"lg1:{HERE}-run-0-77.{stream}:{number}:2500000;"
        for stream, number in ((0, 0), (1, 0), (0, 1))
    ]
    assert [(one.key, one.channel) for one in news.published.values()] == [
        (f"{HERE}-run-0-77.0:0", "a"),
        (f"{HERE}-run-0-77.1:0", "b"),
        (f"{HERE}-run-0-77.0:1", "a"),
    ]


def test_what_an_external_publisher_sends_is_reported_when_it_is_first_received():
    deliveries = made(external=True)
    subscribers = joined(deliveries, 2)
    stamp = Stamp(f"{HERE}-mine", 4, 10_000_000)
    for subscriber in subscribers:
        deliveries.receive(subscriber, stamp.text.encode(), 10.1)

    news, _ = reported(deliveries, 10.5)

    assert news == News(published={f"{HERE}-mine:4": Published(*stamp)})
