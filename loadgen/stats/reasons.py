"""The table of the ledger's reasons: the causes of ends, and the fixes.

Code that ends a connection takes the name from here. The page, the report, tsung.log and the tables
of docs/operate.md and docs/tsung-log.md read the other columns.
"""

import re
from collections.abc import Mapping
from errno import errorcode
from typing import Literal, NamedTuple, get_args

Kind = Literal["failed", "closed"]
"""Failed: the connection never opened. Closed: it opened and ended."""
KINDS: tuple[Kind, ...] = get_args(Kind)
Fault = Literal["nobody", "generator", "network", "server", "session", "unknown"]
"""The part that is at fault; `nobody` where the plan or the operator asked for the end."""

DONE = "done"
DRAINED = "drained"
CHURN = "churn"
STORM = "storm"
LOST = "lost"
REFUSED = "refused"
TIMEOUT = "timeout"
RESET = "reset"
UNREACHABLE = "unreachable"
NO_LOCAL_PORT = "no_local_port"
NO_FD = "no_fd"
DNS = "dns"
TLS = "tls"
PROXY_REFUSED = "proxy_refused"
PROXY_AUTH = "proxy_auth"
REDIRECT_REFUSED = "redirect_refused"
BAD_HANDSHAKE = "bad_handshake"
BAD_ACCEPT = "bad_accept"
BAD_UPGRADE = "bad_upgrade"
BAD_EXTENSION = "bad_extension"
BAD_SUBPROTOCOL = "bad_subprotocol"
HEAD_TOO_LARGE = "head_too_large"
NO_HTTP = "no_http"
BAD_REQUEST = "bad_request"
NOT_CONNECTED = "not_connected"
NO_ROW = "no_row"
UNCLEAN_CLOSE = "unclean_close"
SERVER_EOF = "server_eof"
PING_TIMEOUT = "ping_timeout"
PROTOCOL_ERROR = "protocol_error"
MESSAGE_TOO_BIG = "message_too_big"
ERROR_TIMEOUT = "error_timeout"
ERROR_UNKNOWN = "error_unknown"
ERROR_JSON_UNPARSABLE = "error_json_unparsable"
ERROR_HTTP = "error_http"
ERROR_CHECK = "error_check"

HTTP = "http_"
"""Before the status of a reply that is not 101."""
SERVER = "server_"
"""Before the code of the server's close frame."""
REJECTED = "rejected_"
"""Before the code of Appwrite's error frame."""
ERROR = "error_"
"""Before the name of an exception, or of a script's error."""
_OWN = "<reason>"
"""The family of the reasons that sessions name themselves."""


class Reason(NamedTuple):
    """One reason, or one family of reasons."""

    name: str
    """As in the ledger; the name of a family ends with a placeholder: `http_<status>`."""
    kind: Kind
    fault: Fault
    tsung: str | None
    """The counter of tsung.log, `<reason>` in it being the reason; None where it is no error."""
    meaning: str
    fix: str

    @property
    def prefix(self) -> str:
        """The text that every reason of this family begins with."""
        return self.name.partition("<")[0]

    @property
    def is_family(self) -> bool:
        """True where the name has a placeholder."""
        return "<" in self.name

    @property
    def is_expected(self) -> bool:
        """True where the plan or the operator asked for the end."""
        return self.fault == "nobody"

    @property
    def is_unexpected(self) -> bool:
        """True where plan, operator and session did not ask for the end."""
        return not self.is_expected and self.name != _OWN


_NOTHING_TO_FIX = "Nothing: the plan or the operator asked for it."
_FIND_THE_CRASH = "Read `journalctl -u loadgen-agent` on that machine; most often memory ran out."
_READ_THE_TRACEBACK = "Read its traceback in `errors/` of the run directory."
_READ_THE_SAMPLE = "The sample in `errors/` of the run directory"

REASONS = (
    Reason(
        REFUSED, "failed", "server", "error_connect_econnrefused",
        "nothing listens on this address and port, or a firewall rejects the connection; of a name"
        " with several addresses, on none of them",
        f"Start the server, or correct the port of the URL. {_READ_THE_SAMPLE} names the address.",
    ),
    # From here, a full listen queue and a path that drops packets look the same.
    Reason(
        TIMEOUT, "failed", "network", "error_connect_timeout",
        "the connection did not open within `connect_timeout` (30 s): no TCP connection, or no"
        " reply to the upgrade",
        "Look for dropped packets, a full conntrack table, a full listen queue, or a server out of"
        " CPU.",
    ),
    Reason(
        RESET, "failed", "server", "error_connect_econnreset",
        "the server or a proxy closed TCP before the 101, often at a limit of its own",
        "Read the log of the server or the proxy.",
    ),
    Reason(
        UNREACHABLE, "failed", "network", "error_connect_ehostunreach",
        "no route leads to the server, or its machine is down",
        "Run `ip route get ADDRESS` on the agent.",
    ),
    Reason(
        NO_LOCAL_PORT, "failed", "generator", "error_connect_eaddrinuse",
        "every source port of the agent's addresses is in use towards this target",
        "Give the agent another address (`--source`) or fewer connections (`--max-connections`).",
    ),
    Reason(
        NO_FD, "failed", "generator", "error_connect_emfile",
        "the worker process (EMFILE) or the machine (ENFILE) has no file descriptor left",
        "Set `LimitNOFILE=1048576` in the unit, and run `loadgen-tune apply` for `fs.file-max`.",
    ),
    Reason(
        DNS, "failed", "network", "error_connect_nxdomain",
        "the name does not resolve on the agents; they look it up before the run, and refuse the"
        " run in one line",
        "Repair the agents' resolver, or write an address in the plan.",
    ),
    Reason(
        TLS, "failed", "server", "error_connect_<reason>",
        "the TLS handshake failed: the agents do not trust the certificate, it is of another name"
        " or has expired, the server wants one of the client, or the port speaks no TLS",
        f"{_READ_THE_SAMPLE} says it in OpenSSL's words. `--target-ca` names the authority,"
        " `--target-cert` the client's certificate; `--insecure` trusts any server.",
    ),
    Reason(
        PROXY_REFUSED, "failed", "network", "error_connect_<reason>",
        "the proxy opens no tunnel to the target: it answered CONNECT with 403, 502 or another"
        " status, or SOCKS5 with an error",
        f"{_READ_THE_SAMPLE} is what it answered. Let the proxy reach the target, or correct"
        " `--proxy`.",
    ),
    Reason(
        PROXY_AUTH, "failed", "network", "error_connect_<reason>",
        "the proxy wants credentials, or does not accept those of `--proxy` (407 of HTTP, the login"
        " of SOCKS5)",
        "Write `--proxy http://USER:PASSWORD@HOST:PORT`, with what is special in them as %XX.",
    ),
    Reason(
        f"{HTTP}<status>", "failed", "server", "websocket_fail",
        "the server answered the upgrade with this status, not with 101; redirects are followed"
        " only with `--follow-redirects`, and five in a row at most",
        "Correct what the status names: URL, headers, or a limit of the server."
        f" {_READ_THE_SAMPLE} is the reply.",
    ),
    Reason(
        REDIRECT_REFUSED, "failed", "server", "websocket_fail",
        "the server redirects to a place that the agent may not load, or that does not resolve",
        f"{_READ_THE_SAMPLE} names it. Start the agents with `--allow-target` for it, or correct"
        " what the server redirects to.",
    ),
    Reason(
        BAD_ACCEPT, "failed", "server", "websocket_fail",
        "the 101 has no `Sec-WebSocket-Accept`, or not the one that answers the key: a proxy that"
        " imitates WebSocket, or replays an old reply",
        f"Remove the proxy. {_READ_THE_SAMPLE} is the reply.",
    ),
    Reason(
        BAD_UPGRADE, "failed", "server", "websocket_fail",
        "the 101 lacks `Upgrade: websocket` or `Connection: Upgrade`: most often a proxy removes"
        " them",
        f"Let the proxy pass both headers on. {_READ_THE_SAMPLE} is the reply.",
    ),
    Reason(
        BAD_EXTENSION, "failed", "server", "websocket_fail",
        "the 101 chooses an extension, or a parameter of `permessage-deflate`, that was not"
        " offered; without `--compress` none is",
        f"Correct the server: it may choose only of what the client offers. {_READ_THE_SAMPLE} is"
        " the reply.",
    ),
    Reason(
        BAD_SUBPROTOCOL, "failed", "server", "websocket_fail",
        "the 101 chooses a subprotocol that was not offered",
        "Offer it with `subprotocols` of the plan, or correct the server.",
    ),
    Reason(
        HEAD_TOO_LARGE, "failed", "server", "websocket_fail",
        "the head of the reply, with the interim replies before it, does not end within 64 KiB",
        f"Correct the server, or the port. {_READ_THE_SAMPLE} is the begin of the reply.",
    ),
    Reason(
        NO_HTTP, "failed", "server", "websocket_fail",
        "the reply is not HTTP: the port of another service, or of one that speaks TLS",
        f"Correct the port, or begin the URL with `wss://`. {_READ_THE_SAMPLE} is the reply.",
    ),
    Reason(
        BAD_HANDSHAKE, "failed", "server", "websocket_fail",
        "the reply is broken HTTP in another way: a 101 of HTTP/1.0, a line that is no header",
        f"Remove what changes the reply on its way. {_READ_THE_SAMPLE} is the reply.",
    ),
    Reason(
        BAD_REQUEST, "failed", "session", "error_connect_<reason>",
        "a session asked for a request that can't be sent: a value in the resource or in a header"
        " has a line break or another control character, or a header belongs to the handshake",
        "Read the sample in `errors/` of the run directory; correct the session, or check what it"
        " takes from replies and files.",
    ),
    Reason(
        NO_ROW, "failed", "session", "error_connect_<reason>",
        "a feeder with `at_end = \"stop\"` had no row left for the user, which did not connect",
        "Give the feeder as many rows as users arrive, or `at_end = \"wrap\"`.",
    ),
    Reason(
        NOT_CONNECTED, "failed", "session", "error_connect_<reason>",
        "a session ended without a connection",
        "Connect in the session; if it catches `ConnectFailed`, see the reason in the exception.",
    ),
    Reason(
        DRAINED, "failed", "nobody", "error_connect_<reason>",
        "the run was drained before the connection opened",
        _NOTHING_TO_FIX,
    ),
    Reason(
        CHURN, "failed", "nobody", "error_connect_<reason>",
        "a phase of the plan ended the user before the connection opened",
        _NOTHING_TO_FIX,
    ),
    Reason(
        STORM, "failed", "nobody", "error_connect_<reason>",
        "a storm of the plan cut the user off before the connection opened",
        _NOTHING_TO_FIX,
    ),
    Reason(
        LOST, "failed", "generator", "error_connect_<reason>",
        "an agent or worker died while the connection was opening",
        _FIND_THE_CRASH,
    ),
    Reason(
        f"{ERROR}<name>", "failed", "session", "<reason>",
        "a Python session raised this exception before it connected",
        _READ_THE_TRACEBACK,
    ),
    Reason(
        "<errno>", "failed", "unknown", "error_connect_<reason>",
        "the kernel reported another error of errno(3), such as `eperm` or `enobufs`",
        "Read `man errno`; `eperm` comes from a firewall on the agent, `enoent` and `eacces` from"
        " the path of a Unix socket, most others from too little memory.",
    ),
    Reason(
        DONE, "closed", "nobody", None,
        "the session was over",
        _NOTHING_TO_FIX,
    ),
    Reason(
        UNCLEAN_CLOSE, "closed", "server", "error_closed",
        "the session was over, but the server did not answer the CLOSE in time, or did not take all"
        " that was sent before it",
        "Find out why the server does not read, or ends TCP without a close frame.",
    ),
    Reason(
        DRAINED, "closed", "nobody", None,
        "the hold was over, or the operator drained the run",
        _NOTHING_TO_FIX,
    ),
    Reason(
        CHURN, "closed", "nobody", None,
        "a phase of the plan ended the user; it comes back",
        _NOTHING_TO_FIX,
    ),
    Reason(
        STORM, "closed", "nobody", None,
        "a storm of the plan cut the user off; it comes back",
        _NOTHING_TO_FIX,
    ),
    Reason(
        f"{SERVER}<code>", "closed", "server", "error_closed",
        "the server closed the connection with this code of RFC 6455",
        "Read the server's log at that second, and check its timeouts and limits.",
    ),
    Reason(
        SERVER_EOF, "closed", "server", "error_closed",
        "TCP ended without a close frame: the server restarted, or the idle time of a proxy was"
        " over",
        "Set `--think` below the proxy's idle time, and read its log.",
    ),
    Reason(
        RESET, "closed", "server", "error_inet_econnreset",
        "TCP was cut off: the server or something between died, or forgot the connection",
        "Use a shorter `--think`: NAT and firewalls forget idle connections.",
    ),
    Reason(
        TLS, "closed", "server", "error_<reason>",
        "the open connection's TLS broke: by an alert of the server, or by bytes that are no TLS",
        f"{_READ_THE_SAMPLE} has the alert's name. Read the server's log, too.",
    ),
    Reason(
        PING_TIMEOUT, "closed", "server", "error_timeout",
        "no pong came within 30 s",
        "Give the target more CPU; if it does not answer PING at all, use `--ping app` or `none`.",
    ),
    Reason(
        PROTOCOL_ERROR, "closed", "server", "error_unknown_data",
        "the server sent what RFC 6455 forbids, or what can't be inflated",
        f"{_READ_THE_SAMPLE} says what; read the server's log, and look for a proxy that changes"
        " frames.",
    ),
    Reason(
        MESSAGE_TOO_BIG, "closed", "server", "error_unknown_data",
        "the server sent a message of more than 16 MiB",
        "Send smaller messages from the server.",
    ),
    Reason(
        f"{REJECTED}<code>", "closed", "server", "error_<reason>",
        "Appwrite sent an error frame with this code after the 101: project, channel or platform is"
        " not allowed",
        "Correct the query of the URL, or the project in Appwrite's console.",
    ),
    Reason(
        ERROR_TIMEOUT, "closed", "session", "<reason>",
        "a script waited longer than `receive_timeout` for a reply",
        'Set `ack="no_ack"` if the server sends no reply.',
    ),
    Reason(
        ERROR_UNKNOWN, "closed", "session", "<reason>",
        "a script had text where it needs a number, used an unknown variable, or had no connection",
        "Correct the script.",
    ),
    Reason(
        ERROR_JSON_UNPARSABLE, "closed", "session", "<reason>",
        "a script received a reply that is not JSON",
        "Correct the script, or what the server sends.",
    ),
    Reason(
        ERROR_HTTP, "closed", "session", "<reason>",
        "an HTTP request of a script got no reply",
        "Read the reasons of HTTP requests in the report, and their samples in `errors/`.",
    ),
    Reason(
        ERROR_CHECK, "closed", "session", "<reason>",
        "a check of a script with `fatal` failed",
        "Read the sample of the check in `errors/` of the run directory.",
    ),
    Reason(
        f"{ERROR}<name>", "closed", "session", "<reason>",
        "a Python session raised this exception",
        _READ_THE_TRACEBACK,
    ),
    Reason(
        LOST, "closed", "generator", "error_<reason>",
        "an agent or worker died with the connection open; the ledger counts it as `lost`, not as"
        " closed",
        _FIND_THE_CRASH,
    ),
    Reason(
        _OWN, "closed", "unknown", "error_<reason>",
        "a Python session gave this reason to `ws.close(ledger=…)`",
        "Look for the reason in the session.",
    ),
)  # fmt: skip
"""Every reason and every family, by kind; the last family of a kind holds all other reasons."""

_NAMED = {(row.kind, row.name): row for row in REASONS if not row.is_family}
_FAMILIES = [row for row in REASONS if row.is_family]
_FAULTS = {row.name: row.fault for row in REASONS if not row.is_family}


def row_of(kind: Kind, reason: str) -> Reason:
    """Returns the row of a reason, or the row of its family."""
    return _NAMED.get((kind, reason)) or next(
        row for row in _FAMILIES if row.kind == kind and reason.startswith(row.prefix)
    )


PLACEHOLDERS = {"status": r"\d{3}", "code": r"\d+", "name": r"\w+"}
"""The pattern of the text that a reason has in the place of its family's placeholder."""
ERRNOS = frozenset(name.lower() for name in errorcode.values())


def is_reason(kind: Kind, name: str) -> bool:
    """Returns True when loadgen itself may give a connection this reason."""
    row = row_of(kind, name)
    if not row.is_family:
        return True
    if not row.prefix:
        return kind == "failed" and (name in ERRNOS or re.fullmatch(r"errno_\d+", name) is not None)
    placeholder = row.name.removeprefix(row.prefix).strip("<>")
    return re.fullmatch(PLACEHOLDERS[placeholder], name.removeprefix(row.prefix)) is not None


def names_of(kind: Kind) -> list[str]:
    """Returns the reasons of a kind, and of each family with a number one example."""
    examples = {HTTP: "503", SERVER: "1001", REJECTED: "1008"}
    rows = [row for row in REASONS if row.kind == kind]
    return [
        row.prefix + examples[row.prefix] if row.is_family else row.name
        for row in rows
        if not row.is_family or row.prefix in examples
    ]


def unexpected(closed: Mapping[str, int]) -> dict[str, int]:
    """Returns the closes that plan, operator and session did not ask for, by reason."""
    return {
        reason: number
        for reason, number in closed.items()
        if number and row_of("closed", reason).is_unexpected
    }


def is_sessions_own(reason: str) -> bool:
    """Returns True when a session that is over, or that closes, gave the reason."""
    return reason == DONE or row_of("closed", reason).name == _OWN


def fault_of(reason: str) -> Fault:
    """Returns the part that is at fault when a connection ends for this reason."""
    if reason in _FAULTS:
        return _FAULTS[reason]
    families = (row for row in _FAMILIES if row.prefix and reason.startswith(row.prefix))
    return next((row.fault for row in families), "unknown")
