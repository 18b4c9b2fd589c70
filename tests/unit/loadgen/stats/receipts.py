"""Subscribers and publications, with times that are only numbers."""

from dataclasses import dataclass
from math import inf
from types import SimpleNamespace

from loadgen.stats.deliveries import Deliveries
from loadgen.stats.delivery import News, Published
from loadgen.stats.heard import Heard
from loadgen.stats.tally import Tally

GRACE = 5.0
HERE = "here"


@dataclass
class Subscriber:
    """A connection: the four attributes that matter here."""

    number: int = 0
    receipts: Heard | None = None
    opened_at: float = inf
    group: int = 0

    @property
    def owner(self):
        """The user."""
        return SimpleNamespace(number=self.number)


def find(payload):
    begin = payload.find(b"lg1:")
    return payload[begin : payload.index(b";") + 1] if begin >= 0 else None


def channels_of(resource):
    return tuple(filter(None, resource.split(",")))


def made(**options):
    return Deliveries(
        find,
        channels_of,
        **({"grace": GRACE, "window": 4, "clock": HERE} | options),
    )


def sent_at(seconds, number=0, stream=f"{HERE}-run.0", channel=""):
    return Published(stream, number, int(seconds * 1_000_000), channel)


def payload_of(published):
    return f'{{"payload":"{published.stamp.text}"}}'.encode()


def joined(deliveries, count=1, at=0.0, resource=""):
    subscribers = [Subscriber(number) for number in range(count)]
    for subscriber in subscribers:
        deliveries.join(subscriber, resource, at)
    return subscribers


def reported(deliveries, now, subscribers=(), **options):
    tally = Tally()
    news = deliveries.report(tally, subscribers, now, **options)
    return news or News(), tally
