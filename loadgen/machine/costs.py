"""The costs of events and connections, as measured: the one home of the figures.

docs/cost-model.md has the measurements of `CLIENT_…` and `TARGET_…`, which are those of the dearest
fleet of a million, and a test compares them. The others are those of workers that do not share
their core: `python -m tests.bench plan` compares them with a run.
"""

CLIENT_OPEN = 135e-6
"""Seconds of CPU of a client machine for an arrival, measured at a million."""
CLIENT_PING = 38e-6
"""Seconds of CPU of a client machine for a ping with its pong, measured at a million."""
TARGET_OPEN = 62e-6
"""Seconds of CPU of the embedded target for an arrival, measured at a million."""
TARGET_PING = 24e-6
"""Seconds of CPU of the embedded target for a ping with its pong, measured at a million."""

ROUND_TRIP = 60e-6
"""Seconds that the yardstick of loadgen/machine/speed.py took where the figures below come from: a
core on which it takes half of that has a speed of 2."""
OPEN = 130e-6
"""Seconds of CPU of a worker for an arrival, without its wakes."""
PING = 17e-6
"""Seconds of CPU of a worker for a ping with its pong, without their wakes."""
MESSAGE = 17e-6
"""Seconds of CPU of a worker for a message that it receives, without its wake."""
OPEN_WAKES = 3
"""Wakes of a worker for an arrival that comes alone: it is due, connected, and upgraded."""
PING_WAKES = 2
"""Wakes of a worker for a ping that is alone: it is due, and has its pong."""
WAKE = 135e-6
"""Seconds of CPU that a wake after a long sleep adds: the core and its caches are cold."""
COOLING = 0.002
"""Seconds of sleep after which a wake costs two thirds of that."""
WORKER_IDLE = 0.0022
"""Busy cores of a worker that has nothing to do but its seconds."""
AGENT_IDLE = 0.005
"""Busy cores of an agent besides its workers."""
TLS_OPEN = 1.8e-3
"""Seconds of CPU that TLS adds to an arrival: a full handshake, with a certificate of P-256."""
