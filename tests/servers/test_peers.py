"""A little of `make peers`: loadgen alone against the neutral server."""

from contextlib import nullcontext

import pytest

from tests.peers.certificate import issued
from tests.peers.measure import Load, run
from tests.peers.tools import own
from tests.processes import eventually

CONNECTIONS = 50
MESSAGES = 3


@pytest.mark.parametrize("certified", [nullcontext, issued], ids=["plain", "tls"])
def test_opens_messages_cpu_and_memory_are_seen_from_outside(certified):
    with (
        certified() as certificate,
        run(own.find(), Load(CONNECTIONS, 500, certificate), 500) as running,
    ):
        running.open_all()
        begin, end = running.receiving(MESSAGES, 0.05)

        assert len(running.opens()) == CONNECTIONS
        assert running.sockets() == (CONNECTIONS, 0)
        assert end.counts.open == CONNECTIONS
        assert end.counts.sent - begin.counts.sent == MESSAGES * CONNECTIONS
        assert 0 < running.start.cpu_s < begin.cpu_s < end.cpu_s
        assert running.start.mib > 0


def test_pings_are_counted_by_the_server():
    with run(own.find(), Load(CONNECTIONS, 500, None), 500, ping_every=0.1) as running:
        running.open_all()
        eventually(lambda: running.moment().counts.pings > CONNECTIONS, "pings of all users")

        assert running.moment().counts.messages == 0
