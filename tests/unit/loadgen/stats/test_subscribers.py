"""The subscribers that had to receive a publication."""

from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.loadgen.stats.receipts import (
    Subscriber,
    joined,
    made,
    payload_of,
    reported,
    sent_at,
)


def test_departures_and_openings_are_forgotten_after_a_while():
    deliveries = made()
    subscribers = joined(deliveries, 3)
    deliveries.leave(subscribers[0], 1.0)
    reported(deliveries, 100.0)
    deliveries.announce(sent_at(101.0), 101.0)

    delivered = reported(deliveries, 106.0)[0].delivered

    assert [one.expected for one in delivered.values()] == [2]


@st.composite
def lives(draw):
    """A connection: when it opens, when it leaves, and when it receives, if at all."""
    opens = draw(st.integers(0, 20))
    leaves = draw(st.integers(opens, 40) | st.none())
    receives = draw(st.integers(10, 30) | st.none())
    if receives is not None and not opens <= receives < (40 if leaves is None else leaves):
        receives = None
    return opens, leaves, receives


@example([(0, 5, None), (0, 12, 11), (12, 13, None), (12, 14, 13), (0, None, 11), (0, 12, None)])
@given(st.lists(lives(), max_size=8))
def test_reach_is_what_single_receipts_say(lives):
    """The publication is sent at 10, and its grace is over at 15."""
    deliveries = made()
    subscribers = [Subscriber(number) for number in range(len(lives))]
    published = sent_at(10.0)
    events = []
    for subscriber, (opens, leaves, receives) in zip(subscribers, lives, strict=True):
        events.append((opens, 0, lambda now, one=subscriber: deliveries.join(one, "", now)))
        if leaves is not None:
            events.append((leaves, 2, lambda now, one=subscriber: deliveries.leave(one, now)))
        if receives is not None:
            events.append(
                (
                    receives,
                    1,
                    lambda now, one=subscriber: deliveries.receive(one, payload_of(published), now),
                )
            )
    events.append((12, 1, lambda now: deliveries.announce(published, now)))
    for at, _, happens in sorted(events, key=lambda event: event[:2]):
        happens(float(at))

    news, tally = reported(deliveries, 45.0 if any(lives) else 16.0, subscribers)

    received = [
        (opens, leaves, receives)
        for opens, leaves, receives in lives
        if opens <= 10 and receives is not None and receives <= 15
    ]
    expected = [
        (opens, leaves, receives)
        for opens, leaves, receives in lives
        if opens <= 10
        and (leaves is None or leaves > 10)
        and (leaves is None or leaves >= 15 or (receives is not None and receives <= 15))
    ]
    delivered = news.delivered[published.key]
    assert (delivered.expected, delivered.received) == (len(expected), len(received))
    assert tally.delivery_late == sum(
        opens <= 10 and receives is not None and receives > 15 for opens, _, receives in lives
    )
