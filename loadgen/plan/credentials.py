"""The PEM texts that connections to wss:// targets show and trust.

They travel beside the plan and are no part of it, so that no view and no file of a plan holds a
key.
"""

import re
from collections.abc import Iterator

import msgspec

from loadgen.errors import PlanError

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
_ENCRYPTED = ("ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED")


class Credentials(msgspec.Struct, frozen=True):
    """The texts of the files that the TLS keys of a plan's transport name."""

    ca: str = ""
    """The certificates of the authorities; empty: the system's."""
    pairs: tuple[str, ...] = ()
    """Clients' certificates, each with its key and its intermediate certificates."""

    def __repr__(self) -> str:
        return f"Credentials({len(self.pairs)} certificates)"  # no key in a traceback

    def of_user(self, number: int) -> str:
        """Returns the certificate and key of a user; empty where there are none."""
        return self.pairs[number % len(self.pairs)] if self.pairs else ""


NO_CREDENTIALS = Credentials()
"""The system's authorities, and no certificate of a client."""


def has_certificate(text: str) -> bool:
    """Returns True when a PEM text holds a certificate."""
    return any(block[1] in _CERTIFICATES for block in _BLOCK.finditer(text))


def pairs_of(text: str) -> tuple[str, ...]:
    """Returns the certificates of a PEM text, each with its key, in their order.

    A key stands before or after its certificates, all of a text alike. Raises PlanError for a
    certificate without a key, a key without one, and an encrypted key.
    """
    blocks = list(_blocks(text))
    if all(is_key for is_key, _ in blocks):
        raise PlanError("it holds no certificate; give a PEM file")
    pairs: list[tuple[list[str], list[str]]] = []
    for is_key, block in blocks:
        # A further pair begins with the kind that the text begins with, after the other kind.
        if not pairs or (is_key is blocks[0][0] and pairs[-1][not is_key]):
            pairs.append(([], []))
        pairs[-1][is_key].append(block)
    for place, (certificates, keys) in enumerate(pairs, 1):
        which = f"certificate {place} of {len(pairs)}" if len(pairs) > 1 else "its certificate"
        if not keys:
            raise PlanError(f"{which} has no key; give the key by --target-key or `tls_key`")
        if len(keys) > 1 or not certificates:
            raise PlanError(f"{which} has not one key; give each certificate with its key")
    return tuple("\n".join([*certificates, *keys, ""]) for certificates, keys in pairs)


def _blocks(text: str) -> Iterator[tuple[bool, str]]:
    """Yields the keys and certificates of a text: whether it is a key, and the block."""
    for block in _BLOCK.finditer(text):
        is_key = block[1].endswith("PRIVATE KEY")
        if is_key and any(mark in block[0] for mark in _ENCRYPTED):
            raise PlanError(
                "its key is encrypted, and agents know no passphrase; decrypt it:"
                " openssl pkey -in KEY -out PLAIN"
            )
        if is_key or block[1] in _CERTIFICATES:  # not, for example, EC PARAMETERS
            yield is_key, block[0]
