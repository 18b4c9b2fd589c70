"""A run of loadgen against one server, and the identity of a server with TLS."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import trustme

from tests.processes import Coordinator, coordinator, run

SESSIONS = Path(__file__).parent / "sessions"


class Identity(NamedTuple):
    """The certificate of 127.0.0.1, as PEM files."""

    authority: Path
    certificate: Path
    """The certificate and what it is signed by."""
    key: Path
    both: Path
    """Key and certificate in one file."""


def new_identity(folder: Path) -> Identity:
    """Writes a certificate for 127.0.0.1 and localhost, by an authority of its own."""
    found = Identity(*(folder / name for name in ("ca.pem", "chain.pem", "key.pem", "both.pem")))
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(found.authority))
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    found.certificate.write_bytes(chain)
    found.key.write_bytes(issued.private_key_pem.bytes())
    found.both.write_bytes(issued.private_key_pem.bytes() + chain)
    return found


@contextmanager
def loaded(folder: Path, *words: str, trusted: Path | None = None) -> Iterator[Coordinator]:
    """A run with one local agent, which trusts an authority."""
    trusting = os.environ | {"SSL_CERT_FILE": str(trusted or os.devnull)}
    with coordinator(folder / "runs", "--local", "1", *words, env=trusting) as run:
        yield run


@cache
def lacks(option: str) -> str:
    """Returns why an option of loadgen-coord can't be used, or an empty text."""
    helped = run("loadgen-coord", "--help").stdout
    return "" if f" {option}" in helped else f"loadgen-coord has no {option} yet"
