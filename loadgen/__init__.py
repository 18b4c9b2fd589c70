"""loadgen: proves that a realtime server holds a million WebSocket connections.

The names that a session written in Python may use are imported when they are first asked for, so
that a process of loadgen's own pays only for what it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadgen.sessions.errors import CheckFailed, ConnectFailed, ConnectionEnded, HttpFailed
    from loadgen.sessions.user import User
    from loadgen.sessions.websocket import WebSocket

__all__ = ["CheckFailed", "ConnectFailed", "ConnectionEnded", "HttpFailed", "User", "WebSocket"]

_HOMES = {
    "CheckFailed": "loadgen.sessions.errors",
    "ConnectFailed": "loadgen.sessions.errors",
    "ConnectionEnded": "loadgen.sessions.errors",
    "HttpFailed": "loadgen.sessions.errors",
    "User": "loadgen.sessions.user",
    "WebSocket": "loadgen.sessions.websocket",
}


def __getattr__(name: str) -> object:
    """Imports a public name from its module (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
