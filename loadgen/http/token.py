"""The shared secret of a fleet: one line in a file that only its owner can read."""

import hmac
import re
import stat
from pathlib import Path

from loadgen.errors import OperatorError


class Token:
    """A secret that does not show itself in a repr and is compared in constant time."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._header = f"Bearer {secret}"

    @classmethod
    def read(cls, path: Path | None) -> "Token | None":
        """Returns the secret in a file, stripped of white space; None without a file.

        Raises OperatorError when the file holds no usable secret.
        """
        if path is None:
            return None
        try:
            secret = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise OperatorError(f"--token-file {path} can't be read: {error}") from error
        if not secret:
            raise OperatorError(f"--token-file {path} is empty; put the shared secret into it")
        if not re.fullmatch(r"[\x21-\x7e]{1,1024}", secret):
            raise OperatorError(
                f"--token-file {path} holds more than one word: blanks, lines, or characters beyond"
                " ASCII; write one line of at most 1,024 letters and digits"
            )
        return cls(secret)

    @property
    def header(self) -> str:
        """The Authorization header that a client with the token sends (RFC 6750)."""
        return self._header

    def matches(self, header: str) -> bool:
        """True when an Authorization header holds the token."""
        return hmac.compare_digest(header.encode(errors="replace"), self._header.encode())

    def sign(self, purpose: str) -> str:
        """Returns the signature of a purpose.

        Only a holder of the token can make it, and the token does not follow from it.
        """
        return hmac.new(self._secret, purpose.encode(), "sha256").hexdigest()

    def verify(self, purpose: str, signature: str) -> bool:
        """True when a signature is this purpose's."""
        return hmac.compare_digest(signature.encode(errors="replace"), self.sign(purpose).encode())

    def __repr__(self) -> str:
        return "Token(…)"


def exposure(option: str, path: Path | None) -> str:
    """Returns a warning when other users can read a secret file; else ""."""
    if path is None:
        return ""
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & (stat.S_IRGRP | stat.S_IROTH):
        return ""
    return (
        f"{option} {path} can be read by others on this machine (mode {mode:03o}); chmod 600 {path}"
    )
