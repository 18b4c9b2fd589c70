"""The checks before anything is opened.

They look at the plan's size, the target's URL, the port to listen on and the certificate.
"""

import hashlib
import ipaddress
import re
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # it is there

import msgspec

from coordinator.text import enumerated
from loadgen.errors import OperatorError, PlanError
from loadgen.http.token import Token
from loadgen.machine.addresses import check_socket
from loadgen.net.url import TargetUrl, resolve
from loadgen.plan.plan import Plan
from loadgen.plan.proxy import ProxyUrl
from loadgen.values import Endpoint

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Certificate(msgspec.Struct, frozen=True):
    """A certificate with its key, as the port serves it."""

    context: ssl.SSLContext
    fingerprint: str
    """The SHA-256 of the certificate in DER, in hexadecimal digits."""

    @classmethod
    def load(cls, certificate: Path | None, key: Path | None) -> "Certificate | None":
        """Loads two PEM files; returns None where none are given.

        Raises OperatorError when they can't be served.
        """
        if certificate is None and key is None:
            return None
        if certificate is None or key is None:
            missing, given = (
                ("--tls-cert", "--tls-key") if certificate is None else ("--tls-key", "--tls-cert")
            )
            raise OperatorError(f"{given} needs {missing} beside it; give both, or neither")
        first = _first_of(_text("--tls-cert", certificate), certificate)
        _text("--tls-key", key)
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()
        return cls(_context(certificate, key), fingerprint)


def _text(option: str, path: Path) -> str:
    """Returns the text of a PEM file; raises OperatorError when it can't be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise OperatorError(f"{option} {path} can't be read: {reason}; give a PEM file") from error


def _first_of(text: str, path: Path) -> str:
    """Returns the certificate of the port itself.

    Those of its authorities may follow it.
    """
    found = _CERTIFICATE.search(text)
    if found is None:
        raise OperatorError(f"--tls-cert {path} holds no certificate; give a PEM file")
    return found[0]


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a passphrase OpenSSL would ask for one in the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise OperatorError(
            f"--tls-cert {certificate} with --tls-key {key} can't be served ({reason});"
            " give PEM files that belong together, the key without a passphrase"
        ) from error
    return context


class TargetAddress(msgspec.Struct, frozen=True):
    """The address of a target, or of the proxy before it."""

    host: str
    port: int
    secure: bool
    addresses: tuple[str, ...]
    """All IP addresses that its host resolves to; none for a Unix socket, and where only a proxy
    resolves it."""
    path: str = ""
    """The path of a Unix socket; empty for TCP."""
    unresolved: str = ""
    """A line on why its host does not resolve on this machine; empty where that is not needed."""

    @property
    def loopback(self) -> bool:
        """True when all its addresses are known, and on this machine."""
        return bool(self.path or self.addresses) and all(
            ipaddress.ip_address(address.partition("%")[0]).is_loopback
            for address in self.addresses
        )

    def __str__(self) -> str:
        return f"Unix socket {self.path}" if self.path else f"{self.host} is {self.where}"

    @property
    def where(self) -> str:
        """All its addresses, and its port."""
        resolver = "the agents" if self.unresolved else "the proxy"
        known = enumerated(self.addresses) if self.addresses else f"resolved by {resolver}"
        return f"{known}, port {self.port}"


def check_shares(plan: Plan, agents: int) -> None:
    """Raises PlanError when the plan has fewer connections than agents."""
    if plan.total < agents:
        raise PlanError(
            f"{plan.asked} over {agents} agents is a share that rounds to nothing;"
            f" ask for at least {agents} connections, or for fewer agents"
        )


def check_target(
    url: str, proxy: ProxyUrl | None = None, *, elsewhere: bool = False
) -> TargetAddress:
    """Returns the addresses that a target's URL names.

    A proxy that resolves names knows them alone, and a Unix socket is looked for by the agents: it
    is on their machines. With agents `elsewhere`, they resolve the name where they are. Raises
    PlanError when the URL names none, or its host does not resolve and no other machine loads it.
    """
    target = TargetUrl.parse(url)
    if target.path:
        return TargetAddress(target.host, target.port, target.secure, (), target.path)
    if proxy is not None and proxy.resolves:
        found = (target.address,) if target.address else ()
        return TargetAddress(target.host, target.port, target.secure, found)
    return _resolved(target.host, target.port, "target", secure=target.secure, elsewhere=elsewhere)


def _resolved(
    host: str, port: int, what: str, *, secure: bool = False, elsewhere: bool
) -> TargetAddress:
    """Returns the addresses of a host.

    Raises PlanError where it has none here and no agent is `elsewhere`.
    """
    try:
        return TargetAddress(host, port, secure, resolve(host, port, what))
    except PlanError as error:
        if not elsewhere:
            raise
        resolvers = "the agents, which resolve it where they are, refuse it too"
        why = f"on this machine, {error} if {resolvers}"
        return TargetAddress(host, port, secure, (), unresolved=why)


def check_sockets(targets: Sequence[TargetAddress]) -> None:
    """Raises PlanError when local agents find no Unix socket at the path of a target."""
    for target in targets:
        if target.path:
            check_socket(target.path)


def check_proxy(plan: Plan, *, elsewhere: bool = False) -> TargetAddress | None:
    """Returns the address of the plan's proxy; None without one.

    Raises PlanError when its host does not resolve and no agent is `elsewhere`.
    """
    via = plan.transport.via
    return None if via is None else _resolved(via.host, via.port, "proxy", elsewhere=elsewhere)


def ignored_proxy(plan: Plan, environ: Mapping[str, str]) -> str:
    """Returns a line about a proxy of the environment that is not used, or "".

    It is one that other programs would use for a target of the plan. As in browsers that is none
    for loopback.
    """
    if plan.transport.proxy:
        return ""
    proxies = {"no": environ.get("no_proxy") or environ.get("NO_PROXY") or ""}
    for url in plan.urls:
        target = TargetUrl.parse(url)
        names = ("HTTPS_PROXY" if target.secure else "HTTP_PROXY", "ALL_PROXY")
        found = [name for both in names for name in (both.lower(), both) if environ.get(name)]
        if found and not (_is_local(target.host) or proxy_bypass_environment(target.host, proxies)):
            return (
                f"{found[0]} of the environment is ignored, and agents connect without a proxy;"
                f' --proxy "${found[0]}" sends them through it'
            )
    return ""


def _is_local(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def check_listen(listen: Endpoint, token: Token | None) -> None:
    """Raises OperatorError when agents from elsewhere could join without a token."""
    if not listen.loopback and token is None:
        raise OperatorError(
            f"--listen {listen} is not loopback: any machine could join; give --token-file FILE"
        )
