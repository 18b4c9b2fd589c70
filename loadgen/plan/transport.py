"""The settings of connections: the handshake, the way to the target, and TLS."""

import re
from collections.abc import Iterator
from typing import Annotated

import msgspec

from loadgen.errors import PlanError
from loadgen.plan.compress import Compress
from loadgen.plan.phases import MAX_NUMBER, Positive
from loadgen.plan.proxy import ProxyUrl
from loadgen.plan.request import request_mistakes
from loadgen.plan.secrets import HIDDEN, shown_subprotocols, shown_url

_SERVER_NAME = re.compile(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")
"""A host's name or IPv4 address, or an IPv6 address."""
ONCE = "once"
"""The value of `resolve` with which a name is resolved before the run alone."""
MIN_RESOLVE = 1.0
"""The least seconds between two resolutions of a name."""


class Transport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of connections; durations in seconds, sizes in bytes."""

    connect_timeout: Positive = 30.0
    """From the dial to a valid 101."""
    receive_timeout: Positive = 600.0
    """How many seconds a script waits for a reply (Tsung's idle_timeout)."""
    receive_buffer: Annotated[int, msgspec.Meta(ge=0)] = 0
    """SO_RCVBUF of each socket; 0: the kernel's own."""
    send_buffer: Annotated[int, msgspec.Meta(ge=0)] = 0
    subprotocols: tuple[str, ...] = ()
    origin: str = ""
    headers: dict[str, str] = {}
    compress: Compress | bool = False
    """The offer of permessage-deflate; True: as browsers make it, False: none."""
    proxy: str = ""
    """The URL of the proxy that connections go through, perhaps with credentials; empty: none."""
    proxy_protocol: int = 0
    """The version of the PROXY protocol by which each user tells an address of its own; 0: none."""
    follow_redirects: bool = False
    """True when redirects of handshakes are followed."""
    ports: str = ""
    """MIN-MAX: the source ports of agents whose command line gives none."""
    tls_versions: tuple[str, ...] = ()
    """`tlsv1.2`, `tlsv1.3`: every version from the lowest to the highest; empty: the library's
    own."""
    tls_ciphers: str = ""
    tls_verify: bool = True
    tls_server_name: bool | str = True
    """The name that is sent (SNI) and that the certificate must have; True: the host of the URL,
    False: none."""
    resolve: Annotated[float, msgspec.Meta(le=MAX_NUMBER)] | str = ONCE
    """How often agents resolve the names of targets: `once`, or the seconds between two times."""
    tls_ca: str = ""
    """The path of a PEM file: the authorities that are trusted instead of the system's."""
    tls_cert: str = ""
    """The path of the clients' certificates: a PEM file, or a folder of them. User number n shows
    the one at place n modulo their count."""
    tls_key: str = ""
    """The path of the key, where `tls_cert` does not hold it."""
    tls_alpn: tuple[str, ...] = ("http/1.1",)
    """The protocols that are offered by ALPN; empty: none are."""
    tls_resume: bool = False
    """True when connections resume the TLS session of an earlier one to the same target."""

    @property
    def offer(self) -> Compress | None:
        """The offer of permessage-deflate; None without any."""
        return Compress() if self.compress is True else self.compress or None

    @property
    def via(self) -> ProxyUrl | None:
        """The proxy that connections go through, if any."""
        return ProxyUrl.parse(self.proxy) if self.proxy else None

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """Yields each mistake in it: the key, and what is wrong there."""
        yield from request_mistakes(self.headers.items(), self.subprotocols, self.origin)
        yield from self._mistakes_on_the_way()
        yield from self._mistakes_in_tls()

    def _mistakes_on_the_way(self) -> Iterator[tuple[str, str]]:
        if self.resolve != ONCE and not (
            isinstance(self.resolve, float) and self.resolve >= MIN_RESOLVE
        ):
            yield (
                "resolve",
                f'is {self.resolve!r}; write "once", or a duration of at least {MIN_RESOLVE:g} s'
                ' such as "30s"',
            )
        try:
            _ = self.via
        except PlanError as error:
            yield "proxy", str(error)
        if self.proxy_protocol not in (0, 1, 2):
            yield (
                "proxy_protocol",
                f"is {self.proxy_protocol}; write 1 (text), 2 (binary) or 0 (none)",
            )

    def _mistakes_in_tls(self) -> Iterator[tuple[str, str]]:
        name = self.tls_server_name
        if isinstance(name, str) and _SERVER_NAME.fullmatch(name) is None:
            yield (
                "tls_server_name",
                f"is {name!r}; write a host's name or address without a port, or true or false",
            )
        if self.tls_ca and not self.tls_verify:
            yield "tls_ca", "has no effect with `tls_verify` = false; leave one of them out"
        if self.tls_key and not self.tls_cert:
            yield "tls_key", "is a key without its certificate; give `tls_cert` beside it"
        for place, protocol in enumerate(self.tls_alpn):
            if not (0 < len(protocol) < 256 and protocol.isascii()):
                yield f"tls_alpn[{place}]", f"is {protocol!r}; write 1 to 255 ASCII characters"

    def redacted(self) -> "Transport":
        """Returns the settings without what may be secret in them."""
        paths = ("tls_ca", "tls_cert", "tls_key")
        return msgspec.structs.replace(
            self,
            subprotocols=shown_subprotocols(self.subprotocols),
            origin=shown_url(self.origin),
            headers=dict.fromkeys(self.headers, ""),
            proxy=self.via.shown if self.via else "",
            **{path: HIDDEN for path in paths if getattr(self, path)},
        )

    @property
    def resolve_every(self) -> float | None:
        """The seconds between two resolutions of the targets' names; None for one."""
        return self.resolve if isinstance(self.resolve, float) else None
