"""The files of authorities and certificates that a plan names, for OpenSSL."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from loadgen.errors import PlanError
from loadgen.plan.credentials import Credentials, has_certificate, pairs_of
from loadgen.plan.transport import Transport

SUFFIXES = (".pem", ".crt", ".cer", ".cert", ".key")
"""The names of files that are read of a folder of certificates."""
CA, CERTIFICATE, KEY = TLS_FILES = ("tls_ca", "tls_cert", "tls_key")
"""The keys of a transport that name files."""


def read_credentials(transport: Transport) -> Credentials:
    """Returns the texts of the files that a transport names.

    Raises PlanError, in one line that names the file, for what OpenSSL would not take.
    """
    return Credentials(_authorities(transport.tls_ca), _pairs(transport))


def trust(context: ssl.SSLContext, ca: str) -> None:
    """Lets a context trust these authorities, and no others.

    One that is no root suffices, as with curl.
    """
    context.load_verify_locations(cadata=ca)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def show(context: ssl.SSLContext, pair: str) -> None:
    """Lets a context show a certificate.

    Subtle: Python loads one from files only. This one is in memory, and is gone at once.
    """
    file = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(file, pair.encode())
        # Without a passphrase OpenSSL would ask for one in the terminal.
        context.load_cert_chain(f"/proc/self/fd/{file}", password=lambda: "")
    finally:
        os.close(file)


def _authorities(path: str) -> str:
    if not path:
        return ""
    with _about(CA, path):
        text = _text(Path(path))
        if not has_certificate(text):
            raise PlanError("it holds no certificate; give a PEM file of authorities")
        trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), text)
    return text


def _pairs(transport: Transport) -> tuple[str, ...]:
    if not transport.tls_cert:
        return ()
    path = Path(transport.tls_cert)
    key = ""
    if transport.tls_key:
        with _about(KEY, transport.tls_key):
            key = _text(Path(transport.tls_key))
            if "PRIVATE KEY-----" not in key:
                raise PlanError("it holds no key; give a PEM file")
    with _about(CERTIFICATE, transport.tls_cert):
        if path.is_dir() and key:
            raise PlanError("it is a folder, whose files hold their own keys; leave `tls_key` out")
        texts = _texts_in(path) if path.is_dir() else {path: f"{_text(path)}\n{key}"}
    found: list[str] = []
    for file, text in texts.items():
        with _about(CERTIFICATE, str(file), f" with `{KEY}` {transport.tls_key}" if key else ""):
            pairs = pairs_of(text)
            for pair in pairs:
                show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), pair)
            found += pairs
    return tuple(found)


def _texts_in(folder: Path) -> dict[Path, str]:
    """Returns the texts of a folder's files, in the order of their names.

    Files whose names differ in the suffix only belong together: a.crt and a.key.
    """
    paths = [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]
    if not paths:
        raise PlanError(f"it has no file of a certificate ({', '.join(SUFFIXES)})")
    together = [list(group) for _, group in groupby(paths, lambda path: path.stem)]
    return {group[0]: "\n".join(map(_text, group)) for group in together}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise PlanError(f"can't be read ({reason}); give a PEM file") from error


@contextmanager
def _about(key: str, path: str, beside: str = "") -> Iterator[None]:
    """Names the file and its key in a mistake of it."""
    try:
        yield
    except PlanError as error:
        raise PlanError(f"`{key}` {path}{beside}: {error}") from error
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        why = "the key does not fit the certificate" if mismatch else "OpenSSL does not take it"
        raise PlanError(
            f"`{key}` {path}{beside}: {why} ({error.reason or error}); give PEM files that belong"
            " together"
        ) from error
