"""The server's certificate, and the authority that peers trust."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import trustme


class Certificate(NamedTuple):
    """PEM files of a certificate with its key, and of its authority."""

    own: Path
    authority: Path


@contextmanager
def issued() -> Iterator[Certificate]:
    """A certificate for 127.0.0.1, of a new authority."""
    with TemporaryDirectory() as folder:
        files = Certificate(Path(folder) / "own.pem", Path(folder) / "authority.pem")
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_and_cert_chain_pem.write_to_path(files.own)
        authority.cert_pem.write_to_path(files.authority)
        yield files
