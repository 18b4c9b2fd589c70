"""An order to a peer, in the words of no tool."""

from pathlib import Path
from string import Template
from typing import NamedTuple

SCRIPTS = Path(__file__).with_name("scripts")
"""The peers' own files: templates, or programs that read the environment."""


class Order(NamedTuple):
    """Connections to open and to hold, silent or pinging."""

    url: str
    connections: int
    rate: int
    """Connections to open per second."""
    ping_every: float
    """Seconds between two pings of a connection; 0 asks for silence."""
    authority: Path | None
    """The PEM file of the authority to trust, when the URL is a wss:// one."""
    folder: Path
    """A folder of the peer's own."""

    @property
    def secure(self) -> bool:
        """True when the URL asks for TLS."""
        return self.url.startswith("wss:")

    @property
    def endpoint(self) -> str:
        """The server as HOST:PORT."""
        return self.url.partition("//")[2].strip("/")

    @property
    def ramp_s(self) -> int:
        """The seconds in which all connections are to open, at least one."""
        return max(1, -(-self.connections // self.rate))

    @property
    def environment(self) -> dict[str, str]:
        """The order as variables, for scripts that are programs."""
        files = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS") if self.authority else ()
        return dict.fromkeys(files, str(self.authority)) | {
            "PEER_URL": self.url,
            "PEER_CONNECTIONS": str(self.connections),
            "PEER_RATE": str(self.rate),
            "PEER_PING_EVERY": f"{self.ping_every:g}",
        }

    def filled(self, name: str, **more: object) -> Path:
        """Writes a template of `SCRIPTS` with its gaps filled; returns its path."""
        gaps = {"url": self.url, "connections": self.connections, "rate": self.rate}
        path = self.folder / name
        path.write_text(Template((SCRIPTS / name).read_text()).substitute(gaps | more))
        return path
