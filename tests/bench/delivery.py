"""CPU of a worker for a lone message, with and without matching of deliveries.

It is measured in this process, from the bytes that the kernel returned to the tally, on events of
150 bytes as Appwrite sends them. Each figure is the least of many rounds: all else is noise.
"""

from random import Random
from time import monotonic, perf_counter

from loadgen.net.connection import Connection, Terms
from loadgen.net.handshake import Handshake
from loadgen.net.states import OPEN
from loadgen.sessions.receiver import ReceiverConnection
from loadgen.stats.deliveries import Deliveries
from loadgen.stats.recorder import Recorder
from loadgen.timers import Deadlines
from loadgen.worker.stamps import find_stamp
from tests.bench.goal import Goal

CONNECTIONS = 200
ROUNDS = 300
TERMS = Terms(Handshake("target:9505", "/v1/realtime?channels[]=files"), 30.0, Deadlines(5.0))


class User:
    """The owner of all connections."""

    number = 0


def run() -> list[Goal]:
    """Returns the microseconds for a message, and their ratio."""
    plain = message_us(Connection)
    matched = message_us(ReceiverConnection)
    lossy = message_us(ReceiverConnection, lose=7)
    return [
        Goal("a lone message", plain, "µs", None),
        Goal("a lone message, matched", matched, "µs", None),
        Goal("a lone message, matched, a seventh is lost", lossy, "µs", None),
        Goal("matched ÷ not matched", matched / plain, "×", 1.4),
        Goal("matched, a seventh is lost ÷ not matched", lossy / plain, "×", 2.5),
    ]


def message_us(kind: type[Connection], lose: int = 0) -> float:
    """Returns the microseconds that one connection takes for one message.

    With `lose` every nth message does not come, at random, so that each connection has heard
    something else.
    """
    recorder = Recorder(seed=1)
    deliveries = recorder.deliveries = Deliveries(
        find_stamp, lambda resource: ("files",), grace=5.0, clock="here"
    )
    connections = [kind(recorder, TERMS, User()) for _ in range(CONNECTIONS)]  # type: ignore[arg-type]  # the user is never called
    for connection in connections:
        connection.key = None
        connection.state = OPEN
        if isinstance(connection, ReceiverConnection):
            deliveries.join(connection, TERMS.handshake.resource, 0.0)
    least = float("inf")
    count = 0
    lost = Random(1)
    for number in range(ROUNDS):
        data = _event(number)
        receiving = []
        for connection in connections:
            if not lose or lost.random() > 1 / lose:
                receiving.append(connection.data_received)
        count += len(receiving)
        begin = perf_counter()
        for receive in receiving:
            receive(data)
        took = (perf_counter() - begin) / len(receiving)
        if number > ROUNDS / 2:  # by then connections have heard different things
            least = min(least, took)
    assert recorder.tally.messages_received == count
    return least * 1e6


def _event(number: int) -> bytes:
    """Returns a frame with an event that carries a stamp."""
    payload = (
        b'{"type":"event","data":{"events":[],"channels":["files"],"timestamp":'
        b'"2026-11-28T18:00:00.000+00:00","payload":"lg1:here-run-1.0:%d:%d;"}}'
    ) % (number, int(monotonic() * 1e6) - 1)
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload
