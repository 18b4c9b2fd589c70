"""Names whose values may be secrets, and texts without these values."""

import re
from collections import Counter
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote_plus

HIDDEN = "…"
"""Stands where a value is left out."""
MAX_SUBPROTOCOL = 24
"""Characters of a subprotocol that may be shown: a longer one may be a token."""
_SECRET = re.compile(
    r"auth|cookie|credential|jwt|otp$|pass(?!ive|enger|age)|pwd|secret|session(?!s)|^sid$|^pin$"
    r"|^code$|token|signature|api[-_]?key|access[-_]?key|private[-_]?key|csrf|xsrf",
    re.IGNORECASE,
)
_HANDSHAKE = re.compile(r"sec-websocket-(?:key|accept|version|extensions)", re.IGNORECASE)
_COOKIE = re.compile(r"(?:set-)?cookie2?", re.IGNORECASE)
_PAIR = re.compile(r"([?&])([^=&#\s]*)=([^&#\s]*)")
_USER = re.compile(r"([a-z+.-]{2,20}://)[^\s/?#@\"'<>]*@", re.IGNORECASE)
_HEADER = re.compile(
    r"^([ \t]*)(authorization|cookie|[a-z0-9]+(?:-[a-z0-9]+)+)([ \t]*:[ \t]*)([^\n]+)",
    re.IGNORECASE | re.MULTILINE,
)
"""A header in a text. Names of one word are not taken for one: most are names of exceptions."""
_FIELD = re.compile(
    r"""(\\{0,8}["'])([\w$.-]{1,100})\1(\s*:\s*)(?:(\\{0,8}["'])(?:(?!\4)(?:\\.|[^\\]))*|[\d.]+)""",
    re.DOTALL,
)
"""A field of JSON or of a Python dict with a text or a number, perhaps cut off in its value."""
_ASSIGNED = re.compile(r"(^|[\s(,&?])([\w.-]{1,100})=([^&#\s;]+)")
_SCHEME = re.compile(r"(?:Bearer|Basic|Digest|Token|Negotiate)(?= )", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Returns True where the value of a header, parameter or field may be a secret."""
    return _SECRET.search(name) is not None and not _HANDSHAKE.fullmatch(name)


def shown_header(name: str, value: str) -> str:
    """Returns the value of a header for people; of a secret the rest of its form."""
    if name.lower() == "sec-websocket-protocol":
        return ", ".join(shown_subprotocols(value.split(", ")))
    if not is_secret(name):
        return shown_url(value)
    if _COOKIE.fullmatch(name):
        return _cookies_shown(name, value)
    scheme = _SCHEME.match(value)
    return f"{scheme[0]} {HIDDEN}" if scheme else HIDDEN


def _cookies_shown(name: str, value: str) -> str:
    """Returns cookies without their values; of Set-Cookie the attributes stay."""
    if "=" not in value.partition(";")[0]:
        return HIDDEN
    count = 1 if name.lower().startswith("set-") else 0
    return re.sub(r"(^|;)([^=;]*)=[^;]*", rf"\1\2={HIDDEN}", value, count=count)


def shown_url(url: str) -> str:
    """Returns a URL or resource without its user and values of secret parameters."""
    return _PAIR.sub(_pair_shown, _USER.sub(rf"\1{HIDDEN}@", url))


def _pair_shown(pair: re.Match[str]) -> str:
    sign, name, value = pair.groups()
    return f"{sign}{name}={HIDDEN}" if value and is_secret(unquote_plus(name)) else pair[0]


def shown_urls(urls: Iterable[str]) -> dict[str, str]:
    """Returns how each URL is shown; those that would look the same get numbers."""
    shown: dict[str, str] = {}
    alike = Counter[str]()
    for url in dict.fromkeys(urls):
        text = shown_url(url)
        alike[text] += 1
        shown[url] = f"{text}{alike[text]}" if alike[text] > 1 else text
    return shown


def shown_subprotocols(names: Iterable[str]) -> tuple[str, ...]:
    """Returns subprotocols, with a number in the place of each that may be a token.

    Browsers send no headers with a handshake, so tokens travel as subprotocols.
    """
    return tuple(
        name if len(name) <= MAX_SUBPROTOCOL else f"hidden-{number}"
        for number, name in enumerate(names, 1)
    )


def shown_text(text: str) -> str:
    """Returns a text without the values that their names call secret.

    The text is about replies, requests or errors. URLs, headers, fields of JSON and of Python
    dicts, and pairs such as `token=abc` are known. The field `code` stays: in texts it is mostly
    the code of an error.
    """
    text = _FIELD.sub(_field_shown, _HEADER.sub(_header_shown, text))
    return _ASSIGNED.sub(
        lambda pair: f"{pair[1]}{pair[2]}={HIDDEN}" if _is_secret_in_text(pair[2]) else pair[0],
        shown_url(text),
    )


def _is_secret_in_text(name: str) -> bool:
    return is_secret(name) and name.lower() != "code"


def _header_shown(header: re.Match[str]) -> str:
    blank, name, colon, value = header.groups()
    return f"{blank}{name}{colon}{shown_header(name, value)}"


def _field_shown(field: re.Match[str]) -> str:
    quote, name, colon, opened = field.groups(default="")
    if not _is_secret_in_text(name):
        return field[0]
    return f"{quote}{name}{quote}{colon}{opened}{HIDDEN}"


def secret_parameters(query: str) -> list[tuple[str, str]]:
    """Returns the secret parameters of a query: names and values, decoded."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return [(name, value) for name, value in pairs if value and is_secret(name)]
