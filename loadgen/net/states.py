"""The states of a WebSocket connection: upgrading → open → closing → closed."""

from collections.abc import Mapping

UPGRADING, OPEN, CLOSING, SHUT, CUT, CLOSED, FAILED = range(7)
"""CLOSING: our CLOSE waits for the server's. SHUT: the server's CLOSE has come, or has no meaning
after a broken frame; the end of TCP is awaited. CUT: aborted for the plan or the operator. FAILED
is the end of a connection that never was OPEN."""
TRANSITIONS: Mapping[int, frozenset[int]] = {
    UPGRADING: frozenset({OPEN, FAILED}),
    OPEN: frozenset({CLOSING, CUT, CLOSED}),
    CLOSING: frozenset({SHUT, CUT, CLOSED}),
    SHUT: frozenset({CUT, CLOSED}),
    CUT: frozenset({CLOSED}),
    CLOSED: frozenset(),
    FAILED: frozenset(),
}
"""The states that may follow each state; tests hold every connection to it."""
