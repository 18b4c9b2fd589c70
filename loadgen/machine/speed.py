"""The speed of a core, by a yardstick that costs like the events of a worker.

A loop of Python or of system calls in warm caches says little of a worker: on one machine a round
trip took 14 µs of CPU without a pause, and 60 µs after a sleep of a millisecond.
"""

import select
import socket
from statistics import median
from time import process_time, sleep

PAIRS = 200
"""Connections that the yardstick opens, each with both ends in this process."""
NAP = 0.001
"""Seconds of sleep before each round trip, as between two wakes of a worker."""
ROUNDS = 5
FRAME = b"12345678"


def round_trip_seconds() -> float:
    """Returns the seconds of CPU of a wake and a round trip on loopback.

    It includes both ends, and takes about a second. Raises OSError where no connection can be made.
    """
    pairs = _pairs()
    try:
        poll = select.epoll()
        for pair in pairs:
            for end in pair:
                poll.register(end, select.EPOLLIN)
        return median(_round(pairs, poll) for _ in range(ROUNDS))
    finally:
        poll.close()
        for pair in pairs:
            for end in pair:
                end.close()


def _pairs() -> list[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0), backlog=PAIRS) as listener:
        return [
            (socket.create_connection(listener.getsockname()), listener.accept()[0])
            for _ in range(PAIRS)
        ]


def _round(pairs: list[tuple[socket.socket, socket.socket]], poll: select.epoll) -> float:
    began = process_time()
    for one, other in pairs:
        sleep(NAP)
        for sender, receiver in ((one, other), (other, one)):
            sender.send(FRAME)
            poll.poll()
            receiver.recv(64)
    return (process_time() - began) / len(pairs)
