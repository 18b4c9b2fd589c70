"""Names whose values may be secrets, and texts without these values."""

import re
from urllib.parse import parse_qsl

HIDDEN = "…"
"""Stands where a value is left out."""
_SECRET = re.compile(
    r"auth|cookie|credential|jwt|otp$|pass(?!ive|enger|age)|pwd|secret|session(?!s)|^sid$|^pin$"
    r"|^code$|token|signature|api[-_]?key|access[-_]?key|private[-_]?key|csrf|xsrf",
    re.IGNORECASE,
)
_HANDSHAKE = re.compile(r"sec-websocket-(?:key|accept|version|extensions)", re.IGNORECASE)
_COOKIE = re.compile(r"(?:set-)?cookie2?", re.IGNORECASE)
_PAIR = re.compile(r"([?&])([^=&#\s]*)=([^&#\s]*)")
_SCHEME = re.compile(r"(?:Bearer|Basic|Digest|Token|Negotiate)(?= )", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Returns True where the value of a header, parameter or field may be a secret."""
    return _SECRET.search(name) is not None and not _HANDSHAKE.fullmatch(name)


def shown_header(name: str, value: str) -> str:
    """Returns the value of a header for people; of a secret the rest of its form."""
    if not is_secret(name):
        return value
    if _COOKIE.fullmatch(name):
        return _cookies_shown(name, value)
    scheme = _SCHEME.match(value)
    return f"{scheme[0]} {HIDDEN}" if scheme else HIDDEN


def _cookies_shown(name: str, value: str) -> str:
    """Returns cookies without their values; of Set-Cookie the attributes stay."""
    count = 1 if name.lower().startswith("set-") else 0
    return re.sub(r"(^|;)([^=;]*)=[^;]*", rf"\1\2={HIDDEN}", value, count=count)


def shown_url(url: str) -> str:
    """Returns a URL or a resource without the values of secret parameters."""
    return _PAIR.sub(
        lambda pair: f"{pair[1]}{pair[2]}={HIDDEN}" if is_secret(pair[2]) else pair[0], url
    )


def secret_parameters(query: str) -> list[tuple[str, str]]:
    """Returns the secret parameters of a query: names and values, decoded."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return [(name, value) for name, value in pairs if value and is_secret(name)]
