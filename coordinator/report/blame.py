"""Who is at fault when a connection fails or ends: the generator, the network, the server, the
session, or nobody."""

from typing import Literal

Culprit = Literal["nobody", "generator", "network", "server", "session", "unknown"]

KNOWN: dict[str, Culprit] = {
    "done": "nobody",
    "drained": "nobody",
    "churn": "nobody",
    "storm": "nobody",
    "not_connected": "session",
    "message_too_big": "server",
    "lost": "generator",
    "no_local_port": "generator",
    "no_fd": "generator",
    "dns": "network",
    "timeout": "network",
    "unreachable": "network",
    "refused": "server",
    "reset": "server",
    "tls": "server",
    "bad_handshake": "server",
    "ping_timeout": "server",
    "protocol_error": "server",
}
"""By reason. A timeout may be the server's as well: from here, a full backlog and a lossy path
look the same."""
BEGINNINGS: dict[str, Culprit] = {
    "http_": "server",
    "server_": "server",
    "rejected_": "server",
    "error_": "session",
}


def culprit(reason: str) -> Culprit:
    """Who is at fault for a reason of the ledger."""
    if reason in KNOWN:
        return KNOWN[reason]
    return next(
        (who for beginning, who in BEGINNINGS.items() if reason.startswith(beginning)), "unknown"
    )
