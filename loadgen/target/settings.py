"""What a target is told to be."""

from dataclasses import dataclass

from loadgen.params import Endpoint
from loadgen.target.vices import Vices


@dataclass(frozen=True)
class Settings:
    """One target: where it listens, how many workers it has, and how they behave."""

    listen: Endpoint
    """Port 0 asks the kernel for a free one."""
    workers: int | None
    """None: as many as the cores and the descriptor limit call for."""
    limit: int
    """How many WebSocket connections may be open at once, over all workers."""
    mode: str
    """`echo` or `appwrite`."""
    vices: Vices
