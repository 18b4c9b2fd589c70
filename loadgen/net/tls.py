"""How connections to wss:// targets are secured, as the plan's transport says it."""

import ssl

from loadgen.errors import PlanError
from loadgen.plan.plan import Transport

VERSIONS = {
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1.1": ssl.TLSVersion.TLSv1_1,
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
}
"""By the names that Tsung's ssl_versions uses, too."""


def context_of(transport: Transport) -> ssl.SSLContext:
    """One context for all connections of a worker; raises PlanError for versions or ciphers that
    OpenSSL has not."""
    context = ssl.create_default_context()
    context.check_hostname = transport.tls_verify and transport.tls_server_name
    if not transport.tls_verify:
        context.verify_mode = ssl.CERT_NONE
    unknown = [name for name in transport.tls_versions if name not in VERSIONS]
    if unknown:
        raise PlanError(f"`tls_versions`: {', '.join(unknown)} is none of {', '.join(VERSIONS)}")
    if transport.tls_versions:
        wanted = sorted(VERSIONS[name] for name in transport.tls_versions)
        context.minimum_version, context.maximum_version = wanted[0], wanted[-1]
    if transport.tls_ciphers:
        try:
            context.set_ciphers(transport.tls_ciphers)
        except ssl.SSLError as error:
            raise PlanError(
                f"`tls_ciphers` {transport.tls_ciphers!r}: OpenSSL knows none of them"
            ) from error
    return context
