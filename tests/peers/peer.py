"""A load generator that can be measured, and what says that one is missing."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from tests.peers.order import Order


class MissingError(Exception):
    """A peer is not on this machine and can't be installed; says why in one line."""


class EndedError(Exception):
    """A peer ended by itself, or opened nothing; says its last line."""


class Tool(NamedTuple):
    """An installed peer."""

    version: str
    words: Callable[[Order], Sequence[str]]
    """Returns the command line that carries out an order, without an end of its own."""
    surroundings: Callable[[], AbstractContextManager[dict[str, str]]] = lambda: nullcontext({})
    """What runs beside it; yields variables for its environment."""


class Peer(NamedTuple):
    """A load generator."""

    name: str
    written_in: str
    pings: str
    """`frames`, or `text` where it has no ping frame and sends a message that is echoed."""
    verifies: bool
    """True when it checks the server's certificate here."""
    find: Callable[[], Tool]
    """Returns the installed tool, after installing it; raises MissingError."""


def on_path(command: str) -> str:
    """Returns the path of a command that only the user can bring."""
    found = shutil.which(command)
    if found is None:
        raise MissingError(
            f"no {command} on the PATH; its makers are in no registry that this asks"
        )
    return found


def output_of(words: Sequence[str]) -> str:
    """Returns what a command prints, its errors included, whatever its exit code."""
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.stdout + done.stderr
