"""The words that all five commands share: durations, addresses, and how a command ends on a
mistake."""

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

REFERENCE_CONNECTIONS = 1_000_000
"""Connections of the reference run over the whole fleet, which its target holds at once."""
DEFAULT_MAX_CONNECTIONS = 64_000
"""Connections that an agent opens at most unless it is asked for another number; Tsung's usual
`maxusers`."""
SECONDS_PER = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Endpoint(NamedTuple):
    """A host and a port to listen on or to dial; IPv6 hosts stand in brackets in text."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine by its name."""
        try:
            return self.host == "localhost" or ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:  # a name: wherever it leads
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def seconds_of(text: str) -> float:
    """The duration that a text says; a ValueError when it says none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write 30, 30s, 5m or 1h")
    return float(match[1]) * SECONDS_PER[match[2]]


def base_of(url: str) -> SplitResult | None:
    """The parts of an http:// or https:// URL whose host can be dialed; None when it is none."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode(
            "idna"
        )  # a ValueError where a label is too long or empty
        dialable = (
            parts.scheme in ("http", "https")
            and host
            and parts.port != 0
            and not re.search(r"\s", url)
        )
    except ValueError:  # a port over 65535, a bracket without its other
        return None
    return parts if dialable else None
