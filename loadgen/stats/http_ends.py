"""The ends of HTTP requests: replies by their status, failures by reason."""

import re
from typing import Literal, get_args

from loadgen.stats.reasons import (
    BAD_REQUEST,
    DNS,
    DRAINED,
    ERRNOS,
    ERROR,
    MESSAGE_TOO_BIG,
    NO_FD,
    NO_LOCAL_PORT,
    PROTOCOL_ERROR,
    REFUSED,
    RESET,
    SERVER_EOF,
    TIMEOUT,
    TLS,
    UNREACHABLE,
    Fault,
    fault_of,
)

HttpKind = Literal["http_replies", "http_failed"]
"""Each request ends as one of these: with a status, or for a reason."""
HTTP_KINDS: tuple[HttpKind, ...] = get_args(HttpKind)
CANCELLED = "cancelled"
NOT_ALLOWED = "not_allowed"
TOO_MANY_REDIRECTS = "too_many_redirects"
HTTP_FAILURES: dict[str, str] = {
    REFUSED: "nothing listens on this address and port",
    TIMEOUT: "no whole reply came within the request's time (30 s)",
    RESET: "the server or something between cut TCP off",
    UNREACHABLE: "no route leads to the server",
    NO_LOCAL_PORT: "every source port of the agent's addresses is in use",
    NO_FD: "the worker process or the machine has no file descriptor left",
    DNS: "the name does not resolve on the agent",
    TLS: "the TLS handshake failed, or the certificate is not trusted",
    SERVER_EOF: "the server closed the connection before its reply was whole",
    PROTOCOL_ERROR: "the reply is broken HTTP",
    MESSAGE_TOO_BIG: "the body of the reply has more than 16 MiB",
    TOO_MANY_REDIRECTS: "the server sent the request on more than 10 times",
    BAD_REQUEST: "the session asked for a request that can't be sent",
    NOT_ALLOWED: "the host is no target of the plan and not in the agent's `--allow-target`",
    CANCELLED: "the session gave the request up, or ended while it was in flight",
    DRAINED: "the run was drained while the request was in flight",
}
"""The reasons for which requests get no reply, with their meanings.

Others are an errno's name, or `error_<name>` of an exception."""
_FAULTS: dict[str, Fault] = {
    TOO_MANY_REDIRECTS: "server",
    NOT_ALLOWED: "session",
    CANCELLED: "nobody",
}


def http_fault_of(kind: HttpKind, end: str) -> Fault:
    """Returns the part that is at fault for a status, or for a reason."""
    if kind == "http_failed":
        return _FAULTS.get(end) or fault_of(end)
    return "nobody" if end < "400" else "unknown" if end < "500" else "server"


def is_http_end(kind: HttpKind, name: str) -> bool:
    """Returns True when a request may end with this status, or for this reason."""
    if kind == "http_replies":
        return re.fullmatch(r"[1-9]\d\d", name, re.ASCII) is not None
    return name in HTTP_FAILURES or name in ERRNOS or name.startswith(ERROR)
