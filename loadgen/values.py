"""The values of several commands: durations, and addresses to listen on or dial."""

import re
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

REFERENCE_CONNECTIONS = 1_000_000
"""Connections of the reference run over the whole fleet, which its target holds at once."""
DEFAULT_MAX_CONNECTIONS = 64_000
"""Connections that an agent opens at most by default, as in Tsung's `maxusers`."""
APPWRITE_PATH = "/v1/realtime"
"""The path of Appwrite's realtime server."""
TARGET_MODES = ("echo", "appwrite", "silent", "broadcast")
"""The answers of the embedded target: each message back to its sender, Appwrite's protocol, none at
all, or each message to all connections on the same path."""
SECONDS_PER = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


UNIX = "ws+unix:"
"""The scheme of a Unix socket's URL, as Node's `ws` has it."""


class Endpoint(NamedTuple):
    """A host and a port to listen on or to dial; as text, an IPv6 host has brackets."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """True when the host is a loopback address, or `localhost`."""
        try:
            return self.host == "localhost" or ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:  # a name, which may resolve to any address
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def seconds_of(text: str) -> float:
    """Returns the seconds of a duration such as `30s` or `5m`.

    Raises ValueError for any other text.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write 30, 30s, 5m or 1h")
    return float(match[1]) * SECONDS_PER[match[2]]


def number_of(text: str) -> float:
    """Returns the number of a text such as `1000`, `1_000`, `1,000` or `1e3`.

    Raises ValueError for any other text.
    """
    grouped = re.fullmatch(r"\s*[+-]?\d{1,3}(,\d{3})+(\.\d+)?\s*", text)
    try:
        return float(text.replace(",", "") if grouped else text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number; write 1000000, 1_000_000 or 1e6") from None


def bytes_of(text: str) -> int:
    """Returns the bytes of a size such as `16GB`, `16GiB` or `512M`.

    GB are powers of 1,000, GiB and G those of 1,024. Raises ValueError for any other text.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MGT])(B|iB|)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write 16GB, 16GiB or 512MiB")
    power = "MGT".index(match[2]) + 2
    return int(float(match[1]) * (1000 if match[3] == "B" else 1024) ** power)


def per_second_of(text: str) -> float:
    """Returns the number a second of a text such as `10/s`, `6/m` or `1/h`.

    Raises ValueError for any other text.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*([smh])", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a number a second; write 10/s, 6/m or 1/h")
    return float(match[1]) / SECONDS_PER[match[2]]


def base_of(url: str) -> SplitResult | None:
    """Returns the parts of an http:// or https:// URL; None if it can't be dialed."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode(
            "idna"
        )  # raises ValueError for a label that is too long or empty
        dialable = (
            parts.scheme in ("http", "https")
            and host
            and parts.port != 0
            and not re.search(r"\s", url)
        )
    except ValueError:  # a port above 65535, or an unpaired bracket
        return None
    return parts if dialable else None


def printable(text: str, kept: str = "") -> str:
    """Returns a text with a replacement character for each one that can't be printed."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in kept else "\N{REPLACEMENT CHARACTER}" for sign in text
    )


def nests_deeper(value: Any, most: int) -> bool:
    """Returns True when JSON has more than `most` values inside each other."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def has_larger(value: Any, most: int) -> bool:
    """Returns True when JSON has a number above `most`, or below its negative."""
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return any(has_larger(one, most) for one in inside)
    return isinstance(value, int | float) and abs(value) > most
