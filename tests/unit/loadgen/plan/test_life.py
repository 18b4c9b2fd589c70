"""The time for which an answer proves that a connection is alive."""

import pytest

from loadgen.plan.life import PONG_TIMEOUT, alive_within
from loadgen.plan.script import Ping, Send, Transaction
from loadgen.plan.sessions import Loop, PythonSession, Script

PYTHON = PythonSession(name="python", file="a.py")
PINGING = Script(name="pings", steps=(Transaction(name="t", steps=(Send(text="x"), Ping())),))
SILENT = Loop(name="silent", ping="none")


def loop(think, ping="protocol"):
    return Loop(name=f"{ping} {think}", think=think, ping=ping)


@pytest.mark.parametrize(
    ("specs", "seconds"),
    [
        ([loop(30.0)], 31),
        ([loop(2.5)], 4),
        ([loop(0.01, "app")], 2),
        ([loop(1.0), loop(60.0), SILENT], 61),
        ([PYTHON], PONG_TIMEOUT),
        ([PINGING], PONG_TIMEOUT),
        ([PYTHON, loop(5.0)], PONG_TIMEOUT),
        ([SILENT], None),
        ([SILENT, Script(name="mute", steps=(Send(text="x"),))], None),
    ],
)
def test_the_slowest_session_that_can_ping_sets_the_window(specs, seconds):
    assert alive_within(specs) == seconds
