"""Outcomes that no tool had.

A number of users each send a number of texts, at times of our choosing.
"""

from tests.compare.recording import Connection, Message, Recording
from tests.compare.tools import Outcome
from tests.compare.usage import MIB, ProcSample, Usage

USAGE = Usage(
    seconds=10.0,
    cpu_s=3.0,
    samples=[
        ProcSample(99.0, 1.0, 40 * MIB),
        ProcSample(101.0, 1.5, 60 * MIB),
        ProcSample(103.0, 2.5, 50 * MIB),
    ],
)


def outcome(arrivals, texts=("hello",), code=1000, **statistics):
    """An outcome of users who arrive then, in seconds after the first."""
    connections = [
        Connection(
            number,
            100.0 + at,
            "/echo",
            [Message(100.0 + at + n, "text", text) for n, text in enumerate(texts)],
            0,
            code,
        )
        for number, at in enumerate(arrivals)
    ]
    return Outcome(
        Recording(connections), USAGE, {"users_count": float(len(connections))} | statistics
    )
