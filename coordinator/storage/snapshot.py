"""The state of a run as bytes, for a journal without its first calls.

It is Python's own pickle of the objects of coordinator.run. Subtle: a pickle names what is called
to read it. Only classes of the pure layers are, which do no I/O: a run directory from elsewhere
is no program.
"""

import base64
import io
import pickle
import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from coordinator.run.run import Run
from loadgen.errors import OperatorError
from loadgen.plan.credentials import Credentials
from loadgen.plan.plan import Plan

PURE = (
    "coordinator.run.",
    "coordinator.tsung.log",
    "coordinator.tsung.dump",
    "loadgen.plan.",
    "loadgen.stats.",
    "loadgen.machine.limits",
    "loadgen.machine.host",
    "loadgen.wire",
    "loadgen.errors",
)
"""The modules whose classes the state of a run may have."""
OTHERS = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "range"),
    ("collections", "deque"),
    ("collections", "Counter"),
    ("collections", "defaultdict"),
    ("datetime", "datetime"),
    ("msgspec._utils", "rebuild"),
}
"""The other classes and functions that it may have, by module and name."""
OWN = {"record", "kept"}
"""The attributes of a run that belong to its process."""


class RunSnapshot(msgspec.Struct):
    """A line of the journal that stands for all calls before it."""

    state: str
    """Compressed, in base64."""
    sizes: dict[str, int]
    """The sizes of the files of the run directory that go on from there."""
    places: dict[int, int] = {}
    """Where in seconds.ndjson the newest line of each second begins."""

    @classmethod
    def of(cls, state: bytes, sizes: dict[str, int], places: dict[int, int]) -> "RunSnapshot":
        """Returns the snapshot of a state."""
        return cls(base64.b64encode(zlib.compress(state, 1)).decode(), sizes, places)

    def restore(self, run: Run) -> Any:
        """Brings a new run to this state; returns what was frozen with it.

        Raises OperatorError when the state is damaged.
        """
        try:
            data = zlib.decompress(base64.b64decode(self.state, validate=True))
            attributes, rest = _Unpickler(data, run.plan, run.credentials).load()
            vars(run).update(attributes)
        except Exception as error:  # a damaged pickle raises what it stumbles over
            raise OperatorError(
                f"the snapshot in the journal is damaged ({type(error).__name__}: {error}); the run"
                " can't be resumed"
            ) from error
        return rest


def freeze(run: Run, rest: Any) -> bytes:
    """Returns the state of a run, and something else that may refer to its objects."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=5)
    pickler.dispatch_table = {
        Plan: lambda plan: _reduced(plan, run.plan),
        Credentials: lambda _: (CredentialsOfRun, ()),  # they have private keys
    }
    attributes = {name: value for name, value in vars(run).items() if name not in OWN}
    pickler.dump((attributes, rest))
    return buffer.getvalue()


def _reduced(plan: Plan, own: Plan) -> Any:
    return (PlanOfRun, ()) if plan is own else plan.__reduce__()


class PlanOfRun:
    """Stands for the run's plan in a state: the head of the journal has it already."""


class CredentialsOfRun:
    """Stands for the run's credentials, whose files are read anew."""


class _Unpickler(pickle.Unpickler):
    """Reads a state, and nothing but classes without I/O."""

    def __init__(self, data: bytes, plan: Plan, credentials: Credentials) -> None:
        super().__init__(io.BytesIO(data))
        self._own: dict[str, Plan | Credentials] = {
            PlanOfRun.__name__: plan,
            CredentialsOfRun.__name__: credentials,
        }

    def find_class(self, module: str, name: str) -> Any:
        """Returns the class of this name; raises UnpicklingError for all else."""
        if module == __name__ and name in self._own:
            return lambda: self._own[name]
        if (module, name) in OTHERS:
            return super().find_class(module, name)
        # Subtle: both are checked before anything is imported; a name with dots would lead on to
        # what a module has imported.
        if module.startswith(PURE) and "." not in name:
            found: Callable[..., Any] = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a run")
