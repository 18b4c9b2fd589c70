"""TLS for connections to wss:// targets, from the plan's transport."""

import re
import ssl

from loadgen.errors import PlanError
from loadgen.plan.plan import Transport
from loadgen.stats.reasons import TLS
from loadgen.stats.recorder import Recorder

VERSIONS = {
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1.1": ssl.TLSVersion.TLSv1_1,
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
}
"""The versions by their names in a plan, which are those of Tsung's ssl_versions."""
_PLACE = re.compile(r" \(_ssl\.c:\d+\)$")
"""The line of Python's own source that OpenSSL's words end with."""
SPEAKS_FIRST = "the server speaks first, as none does with TLS"
_NOT_TLS = (
    SPEAKS_FIRST,
    "WRONG_VERSION_NUMBER",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
)
"""The last three are OpenSSL's names for a first record that is none, by its versions."""
_NO_TLS = "most likely the port speaks no TLS: begin the URL with ws://, or correct the port"


def context_of(transport: Transport) -> ssl.SSLContext:
    """Returns one context for all connections of a worker.

    Raises PlanError for versions or ciphers that OpenSSL does not have.
    """
    context = ssl.create_default_context()
    context.check_hostname = transport.tls_verify and bool(transport.tls_server_name)
    if not transport.tls_verify:
        context.verify_mode = ssl.CERT_NONE
    unknown = [name for name in transport.tls_versions if name not in VERSIONS]
    if unknown:
        raise PlanError(f"`tls_versions`: {', '.join(unknown)} is none of {', '.join(VERSIONS)}")
    if transport.tls_versions:
        wanted = sorted(VERSIONS[name] for name in transport.tls_versions)
        context.minimum_version = wanted[0]
        context.maximum_version = wanted[-1]
    if transport.tls_ciphers:
        try:
            context.set_ciphers(transport.tls_ciphers)
        except ssl.SSLError as error:
            raise PlanError(
                f"`tls_ciphers` {transport.tls_ciphers!r}: OpenSSL knows none of them"
            ) from error
    return context


def tls_failure(
    error: ssl.SSLError, recorder: Recorder, user: int, *, dialing: bool = False
) -> str:
    """Returns the ledger's reason for an error of TLS.

    The first one of a worker becomes the sample, in OpenSSL's words. `dialing`: the handshake is
    not over, so that the port may speak no TLS.
    """
    if recorder.claim(TLS):
        words = _PLACE.sub("", str(error))
        advice = f"; {_NO_TLS}" if dialing and any(name in words for name in _NOT_TLS) else ""
        recorder.samples[TLS] = f"user {user}: {words}{advice}"
    return TLS
