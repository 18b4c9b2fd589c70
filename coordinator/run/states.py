"""The states of a run, and which of them may follow which."""

from collections.abc import Mapping
from typing import Literal

State = Literal["gathering", "running", "draining", "done"]
TRANSITIONS: Mapping[State, frozenset[State]] = {
    "gathering": frozenset({"running", "done"}),
    "running": frozenset({"draining", "done"}),
    "draining": frozenset({"done"}),
    "done": frozenset(),
}
"""The states that may follow each state of a run.

gathering → running: as many agents as wanted are ready, and setup is over. gathering → done: they
were not ready in time, setup failed, a share would be empty, or the operator drained or stopped.
running → draining: the hold is over, the operator or a session ended the run, or something was
lost and --on-loss is abort.
running → done: every agent finished, or was lost, before that. draining → done: the same after it.
A run with a teardown is done when that is over; until then a running one is draining.
"""

OnLoss = Literal["continue", "redistribute", "abort"]
"""The fate of a lost agent's share: nothing, other agents launch it, or the run ends."""
