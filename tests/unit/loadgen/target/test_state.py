"""The state that the connections of one worker share."""

from loadgen.target.counters import Counters
from loadgen.target.settings import Faults, TargetSettings
from loadgen.target.state import WorkerState
from loadgen.values import Endpoint


class Listener:
    def __init__(self) -> None:
        self.recorded = b""

    def write(self, data: bytes) -> None:
        self.recorded += data


def state(*faults: str) -> WorkerState:
    settings = TargetSettings(Endpoint("127.0.0.1", 0), 2, 7, "appwrite", Faults.parse(faults))
    counters = Counters(3, 7, 100)
    counters.running[0] = 2
    return WorkerState(settings, counters, 1)


def test_a_frame_is_delivered_to_the_subscribers():
    here = state()
    listeners = [Listener() for _ in range(3)]
    for listener in listeners[:2]:
        here.subscribers.add(("files",), listener)
    here.subscribers.add(("teams",), listeners[2])

    assert here.deliver(["files"], b"frame") == 2
    assert [listener.recorded for listener in listeners] == [b"frame", b"frame", b""]
    assert here.stats()["messages_sent"] == 2


def test_stats_have_all_counters_and_the_settings():
    assert state().stats() == {
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


def test_pings_are_answered_without_the_no_pong_fault():
    assert state().pongs
    assert not state("no-pong").pongs
