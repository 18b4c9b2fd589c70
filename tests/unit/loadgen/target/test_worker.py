"""The worker processes of a real target.

They have one socket each, and do not live without their parent.
"""

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.processes import children, eventually, is_gone, serving

LISTENING = "0A"
"""The state TCP_LISTEN in /proc/net/tcp; proc_pid_net(5)."""


@pytest.fixture
def target():
    """A target with two workers."""
    with serving("--workers", "2") as running:
        yield running


def listeners(pid: int, port: int) -> list[str]:
    """Returns the inodes of the sockets on which a process accepts at a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {
        row[9] for row in rows if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port
    }
    held = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # a descriptor of a connection that has just ended
            held.append(os.readlink(path).removeprefix("socket:[").removesuffix("]"))
    return sorted(inodes.intersection(held))


def test_each_worker_accepts_on_a_socket_of_its_own(target):
    """A listener that two processes have open would outlive its worker."""
    workers = children(target.pid)
    held = Counter(
        inode for pid in (target.pid, *workers) for inode in listeners(pid, target.address.port)
    )

    assert len(workers) == 2
    assert sorted(held.values()) == [1, 1]
    assert listeners(target.pid, target.address.port) == []


def test_all_workers_serve_the_same_counts_once_the_target_says_that_it_listens(target):
    with connect(target.address.ws) as one, connect(target.address.ws) as other:
        assert {target.address.stats()["open"] for _ in range(8)} == {2}
        for connection in (one, other):
            connection.send("hello")
            assert connection.recv() == "hello"
    stats = target.address.stats()

    assert (stats["workers"], stats["opened"], stats["messages"]) == (2, 2, 2)


def test_a_ctrl_c_reaches_the_workers_and_is_left_to_their_parent(target):
    workers = children(target.pid)
    for pid in workers:
        os.kill(pid, signal.SIGINT)
    with connect(target.address.ws) as connection:
        connection.send("still here")

        assert connection.recv() == "still here"
    assert children(target.pid) == workers


def test_workers_end_with_a_parent_that_is_killed(target):
    workers = children(target.pid)
    with connect(target.address.ws):
        os.kill(target.pid, signal.SIGKILL)

        eventually(lambda: all(map(is_gone, workers)), "the workers are gone")
