"""Reads <servers>: the targets of the load."""

import re
from typing import NamedTuple

from coordinator.tsung.element import Element
from loadgen.errors import PlanError
from loadgen.net.url import TargetUrl

SCHEMES = {
    "tcp": "ws",
    "tcp6": "ws",
    "websocket": "ws",
    "ws": "ws",
    "ssl": "wss",
    "ssl6": "wss",
    "websocket_ssl": "wss",
    "wss": "wss",
}
"""The URL's scheme by Tsung's type of server; types that do not speak TCP are missing."""
OVER_WEBSOCKET = ("websocket", "websocket_ssl", "ws", "wss")
"""The types with which Tsung carries other protocols over WebSocket."""


class TsungServer(NamedTuple):
    """One server."""

    base: str
    """The URL without a path."""
    weight: float


def read_servers(element: Element) -> list[TsungServer]:
    """Returns the servers, each URL once; the weights of equal URLs are added.

    Raises TsungError.
    """
    weights: dict[str, float] = {}
    for server in element.children:
        with server.refusing():
            if server.name != "server":
                raise server.error(f"<{server.name}> is unknown in <servers>; write <server>")
            server.only("host", "port", "type", "weight")
            base = base_of(server, server.get("type"))
            weights[base] = weights.get(base, 0.0) + server.number("weight", 1.0, above=0.0)
    if not element.children:
        raise element.error("there is no <server>; name the one to load")
    return [TsungServer(base, weight) for base, weight in weights.items()]


def base_of_url(url: str) -> str:
    """Returns a URL in the form of a server's, without a path.

    Raises PlanError for a URL with a path: the paths come from the configuration.
    """
    parts = TargetUrl.parse(url)
    if parts.resource != "/" or parts.path:
        raise PlanError(
            f"{url}: beside --tsung only its servers are replaced; write ws://HOST:PORT, without a"
            " path"
        )
    return f"{'wss' if parts.secure else 'ws'}://{parts.host_header}"


def base_of(element: Element, kind: str) -> str:
    """Returns the URL, without a path, of the host and port of an element."""
    host, port = element.need("host"), element.integer("port", least=1)
    if not re.fullmatch(r"[\w.:-]+", host):
        raise element.error(f"{host!r} is no host; write a name or an address")
    if kind not in SCHEMES:
        known = ", ".join(SCHEMES)
        raise element.error(f"a server of type {kind!r} speaks no WebSocket; write one of {known}")
    if kind.endswith("6") and ":" not in host:
        element.note(f"type {kind}: all of the host's addresses are taken, IPv4 ones too")
    base = f"{SCHEMES[kind]}://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        TargetUrl.parse(base)
    except PlanError as error:
        raise element.error(f"{error}") from error
    return base
