"""The parts of a target's URL that dialing and upgrading need, and its addresses."""

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from itertools import chain, zip_longest
from urllib.parse import quote, urlsplit

import msgspec

from loadgen.errors import PlanError
from loadgen.plan.secrets import shown_url
from loadgen.values import UNIX, Endpoint

MAX_PATH = 107
"""Bytes of a Unix socket's path; unix(7) has room for 108 with a zero at the end."""
_RESERVED = ":/?#[]@!$&'()*+,;="
"""The characters that separate parts of a URL (RFC 3986 section 2.2)."""


class TargetUrl(msgspec.Struct, frozen=True):
    """The server to dial, and the resource to ask for."""

    host: str
    port: int
    resource: str
    """Path and query, as in the request line."""
    secure: bool
    path: str = ""
    """The path of a Unix socket; empty for TCP. The host is `localhost` then."""

    @classmethod
    def parse(cls, url: str) -> "TargetUrl":
        """Returns the parts of a URL.

        Raises PlanError for any other text; its message is one line and shows no password.
        """
        # The text before an @ may be a password.
        shown = shown_url(re.sub(".*@", "…@", url, flags=re.DOTALL))
        if "@" in re.split("[/?#]", url.partition("//")[2] or url)[0]:
            raise PlanError(
                f"target {shown!r} names a user, and plan and report would show the password; leave"
                " it out and send the header Authorization: by --header, `transport.headers` of a"
                " plan file, or a session"
            )
        if " " in url or not url.isprintable():  # it would stand in the request line unchanged
            raise PlanError(
                f"target {shown!r} has a blank or control character; write %20 in"
                " ws://HOST:PORT/PATH"
            )
        if re.match(r"wss?\+", url, re.IGNORECASE):
            return cls._unix(url)
        try:
            return cls._tcp(url)
        except ValueError as error:
            why = f" ({error})" if shown == url else ""  # it repeats the URL
            raise PlanError(
                f"target {shown!r} is not a WebSocket URL{why}; write ws://HOST:PORT/PATH"
            ) from None

    @classmethod
    def _tcp(cls, url: str) -> "TargetUrl":
        """Returns the parts of a URL over TCP; raises ValueError or PlanError."""
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss"):
            raise ValueError(f"{url} isn't a valid URI: scheme isn't ws or wss")
        if parts.hostname is None:
            raise ValueError(f"{url} isn't a valid URI: hostname isn't provided")
        if parts.fragment:
            raise ValueError(f"{url} isn't a valid URI: fragment identifier is meaningless")
        if parts.port == 0:
            raise PlanError(
                f"target {shown_url(url)!r} has port 0, which can't be dialed; write ws://HOST:PORT/PATH"
            )
        secure = parts.scheme == "wss"
        host, path, query = parts.hostname, parts.path or "/", parts.query
        if not url.isascii():
            host = host.encode("idna").decode()
            path, query = quote(path, safe=_RESERVED), quote(query, safe=_RESERVED)
        port = parts.port or (443 if secure else 80)
        return cls(host, port, f"{path}?{query}" if query else path, secure)

    @classmethod
    def _unix(cls, url: str) -> "TargetUrl":
        """Returns the parts of ws+unix:///PATH:/RESOURCE; raises PlanError."""
        form = "write ws+unix:///PATH.sock:/RESOURCE"
        rest = url[len(UNIX) :].removeprefix("//")
        path, _, resource = rest.partition(":")
        if not url.lower().startswith(UNIX):
            why = "is neither of TCP nor of ws+unix, which has no TLS"
        elif "#" in url:
            why = "has a fragment"
        elif path and not path.startswith("/"):
            why = f"names the host {path.partition('/')[0]!r}, and a Unix socket has a path alone"
        elif path.endswith("/") or not path:
            why = "has no path of a Unix socket"
        elif len(path.encode()) > MAX_PATH:
            why = f"has a path of more than {MAX_PATH} bytes"
        elif "?" in path or (resource and not resource.startswith("/")):
            why = "has a resource that does not begin with a slash after a colon"
        else:
            return cls("localhost", 80, resource or "/", secure=False, path=path)
        raise PlanError(f"target {shown_url(url)!r} {why}; {form}")

    @property
    def host_header(self) -> str:
        """The Host header; a scheme's own port is left out (RFC 6455 section 4.1)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def place(self) -> str:
        """The URL of its server, without a path."""
        return f"{'wss' if self.secure else 'ws'}://{Endpoint(self.host.lower(), self.port)}/"

    @property
    def address(self) -> str:
        """The host where it is an IP address, else ""."""
        return self.host if is_address(self.host) else ""


def is_address(host: str) -> bool:
    """Returns True for an IP address, False for a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def resolve(host: str, port: int, what: str = "target") -> tuple[str, ...]:
    """Returns every IP address that the resolver has for a host, each once.

    They are in its order (RFC 6724), with the families in turn (RFC 8305 section 4). Raises
    PlanError when it has none; `what` it is of is in the message.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PlanError(
            f"{what} host {host!r} does not resolve ({error}); check its spelling"
        ) from error
    return interleaved(str(address[0]) for *_, address in found)


def interleaved(addresses: Iterable[str]) -> tuple[str, ...]:
    """Returns IP addresses with their families in turn, that of the first one first."""
    families: dict[bool, dict[str, None]] = {}
    for address in addresses:
        families.setdefault(":" in address, {})[address] = None
    turns = chain.from_iterable(zip_longest(*families.values()))
    return tuple(address for address in turns if address is not None)
