"""TLS for connections to wss:// targets, from the plan's transport."""

import os
import re
import ssl
import warnings
from collections.abc import Sequence
from functools import lru_cache, partial

from loadgen.errors import PlanError
from loadgen.net.credentials import show, trust
from loadgen.plan.credentials import NO_CREDENTIALS, Credentials
from loadgen.plan.transport import Transport
from loadgen.stats.reasons import TLS
from loadgen.stats.recorder import Recorder

VERSIONS = {
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1.1": ssl.TLSVersion.TLSv1_1,
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
}
"""The versions by their names in a plan, which are those of Tsung's ssl_versions."""
MAX_CONTEXTS = 256
"""Contexts that a worker keeps for one target without a connection. One with `tls_ca` takes 30 KiB
and 1 ms to make, one with the system's authorities 0.8 MiB and 30 ms."""
_PLACE = re.compile(r" \(_ssl\.c:\d+\)$")
"""The line of Python's own source that OpenSSL's words end with."""
_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
)
"""OpenSSL's names for a first record that is none, by its versions."""
ENDED_TCP = "the server ended TCP in the middle of the TLS handshake"
_NO_TLS = "the port speaks no TLS: begin the URL with ws://, or correct the port"


class ClientContext(ssl.SSLContext):
    """A context that keeps the session of its newest handshake to be resumed."""

    session: ssl.SSLSession | None = None


class Contexts:
    """The contexts of one target on one worker: one for each certificate of clients.

    Each is made when its first user connects.
    """

    def __init__(self, transport: Transport, credentials: Credentials = NO_CREDENTIALS) -> None:
        """Raises PlanError for settings that OpenSSL does not have."""
        self.resumes = transport.tls_resume
        self._credentials = credentials
        self._make = lru_cache(MAX_CONTEXTS)(partial(context_of, transport, credentials.ca))
        try:
            self.of_user(0)
        except ssl.SSLError as error:  # the coordinator's OpenSSL took them
            raise PlanError(
                "the OpenSSL of this machine does not take `tls_ca` or `tls_cert`:"
                f" {words_of(error)}"
            ) from error

    def of_user(self, number: int) -> ClientContext:
        """Returns the context of a user.

        Raises SSLError for a certificate that can't be shown.
        """
        return self._make(self._credentials.of_user(number))

    def keep_session(self, tls: ssl.SSLObject) -> None:
        """Lets the next connections of the same certificate resume this session.

        With TLS 1.3 a session can be resumed only once the server has sent something.
        """
        assert isinstance(tls.context, ClientContext)
        tls.context.session = tls.session


def context_of(transport: Transport, ca: str = "", pair: str = "") -> ClientContext:
    """Returns a context for the connections that show one certificate, or none.

    `ca` are the authorities that it trusts instead of the system's. Raises PlanError for versions
    or ciphers that OpenSSL does not have.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = transport.tls_verify and bool(transport.tls_server_name)
    if not transport.tls_verify:
        context.verify_mode = ssl.CERT_NONE
    elif ca:
        trust(context, ca)
    else:
        context.load_default_certs()
    if transport.tls_ciphers:
        try:
            context.set_ciphers(transport.tls_ciphers)
        except ssl.SSLError as error:
            raise PlanError(
                f"`tls_ciphers` {transport.tls_ciphers!r}: OpenSSL knows none of them"
            ) from error
    if transport.tls_versions:
        _bound(context, transport.tls_versions)
    if transport.tls_alpn:
        context.set_alpn_protocols(list(transport.tls_alpn))
    if pair:
        show(context, pair)
    if path := os.environ.get("SSLKEYLOGFILE"):  # as ssl.create_default_context has it
        context.keylog_filename = path
    return context


def _bound(context: ssl.SSLContext, asked: Sequence[str]) -> None:
    """Lets a context speak the versions of a plan and no others."""
    names = list(VERSIONS)
    unknown = [name for name in asked if name not in VERSIONS]
    if unknown:
        raise PlanError(f"`tls_versions`: {', '.join(unknown)} is none of {', '.join(names)}")
    places = sorted(names.index(name) for name in asked)
    missing = [name for name in names[places[0] : places[-1]] if name not in asked]
    if missing:
        raise PlanError(
            f"`tls_versions` leaves {', '.join(missing)} out between others, which TLS can't; name"
            " every version from the lowest to the highest"
        )
    if places[0] < names.index("tlsv1.2") and context.security_level > 0:
        raise PlanError(
            f"`tls_versions`: OpenSSL's security level {context.security_level} refuses"
            f" {names[places[0]]}; leave it out, or lower the level:"
            ' tls_ciphers = "DEFAULT@SECLEVEL=0"'
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of versions that the plan asks for
        context.minimum_version = VERSIONS[names[places[0]]]
        context.maximum_version = VERSIONS[names[places[-1]]]


def words_of(error: ssl.SSLError) -> str:
    """Returns OpenSSL's words for an error."""
    return _PLACE.sub("", str(error))


def tls_failure(
    error: ssl.SSLError, recorder: Recorder, user: int, *, dialing: bool = False
) -> str:
    """Returns the ledger's reason for an error of TLS.

    The first one of a worker becomes the sample, in OpenSSL's words. `dialing`: the handshake is
    not over, so that the port may speak no TLS.
    """
    words = words_of(error)
    plain = dialing and any(name in words for name in _NOT_TLS)
    recorder.sample(TLS, user, f"{words}; most likely {_NO_TLS}" if plain else words)
    return TLS


def ended_in_handshake(reason: str, recorder: Recorder, user: int) -> str:
    """Returns the reason of a TLS handshake in which TCP ended.

    The first one of a worker becomes the sample: a port without TLS may end so.
    """
    recorder.sample(reason, user, f"{ENDED_TCP}; perhaps {_NO_TLS}")
    return reason
