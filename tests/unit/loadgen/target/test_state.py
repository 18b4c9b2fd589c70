"""What one worker's connections share."""

from loadgen.target.counters import Ledger
from loadgen.target.settings import Settings, Vices
from loadgen.target.state import Host
from loadgen.values import Endpoint


class Listener:
    def __init__(self) -> None:
        self.heard = b""

    def write(self, data: bytes) -> None:
        self.heard += data


def host(*vices: str) -> Host:
    settings = Settings(Endpoint("127.0.0.1", 0), 2, 7, "appwrite", Vices.parse(vices))
    return Host(settings, Ledger(2, 7, 100), 2, 1)


def test_delivers_to_those_who_subscribed():
    here = host()
    listeners = [Listener() for _ in range(3)]
    for listener in listeners[:2]:
        here.subscribers.add(("files",), listener)
    here.subscribers.add(("teams",), listeners[2])

    assert here.deliver(["files"], b"frame") == 2
    assert [listener.heard for listener in listeners] == [b"frame", b"frame", b""]
    assert here.stats()["messages_sent"] == 2


def test_tells_the_whole_ledger_and_what_it_is():
    assert host().stats() == {
        "open": 0,
        "opened": 0,
        "closed": 0,
        "pings": 0,
        "pinged": 0,
        "messages": 0,
        "refused": 0,
        "messages_received": 0,
        "messages_sent": 0,
        "workers": 2,
        "limit": 7,
        "mode": "appwrite",
    }


def test_answers_pings_unless_a_vice_forbids():
    assert host().pongs
    assert not host("no-pong").pongs
