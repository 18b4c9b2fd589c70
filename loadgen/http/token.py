"""The shared secret of a fleet: one line in a file, which none but its owner should be able to
read."""

import hmac
import re
import stat
from pathlib import Path

from loadgen.errors import OperatorError


class Token:
    """A secret that never shows itself and is compared in constant time."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._header = f"Bearer {secret}"

    @classmethod
    def read(cls, path: Path | None) -> "Token | None":
        """The secret in a file, without the white space around it; raises OperatorError when
        there is none."""
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
                f"--token-file {path} has more in it than one word: blanks, lines, or signs beyond"
                " ASCII; write one line of at most 1,024 letters and digits"
            )
        return cls(secret)

    @property
    def header(self) -> str:
        """The Authorization header that shows that one has it."""
        return self._header

    def matches(self, header: str) -> bool:
        """Whether an Authorization header shows it."""
        return hmac.compare_digest(header.encode(errors="replace"), self._header.encode())

    def sign(self, purpose: str) -> str:
        """A word for one purpose that only who has the secret can make, and from which it does
        not follow."""
        return hmac.new(self._secret, purpose.encode(), "sha256").hexdigest()

    def verify(self, purpose: str, word: str) -> bool:
        """Whether a word is the one for this purpose."""
        return hmac.compare_digest(word.encode(errors="replace"), self.sign(purpose).encode())

    def __repr__(self) -> str:
        return "Token(…)"


def exposure(option: str, path: Path | None) -> str:
    """What to warn of where a secret file can be read by others on this machine; empty where it
    can't."""
    if path is None:
        return ""
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & (stat.S_IRGRP | stat.S_IROTH):
        return ""
    return (
        f"{option} {path} can be read by others on this machine (mode {mode:03o}); chmod 600 {path}"
    )
