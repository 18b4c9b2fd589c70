"""The parts of an upgrade request that plans and sessions write.

They are its resource, its headers and its subprotocols, and have to keep the rules of RFC 6455
section 4.1 and RFC 9110 section 5.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from loadgen.errors import PlanError

Headers = tuple[tuple[str, str], ...]
"""Names and values, in the order in which they are sent."""
_VISIBLE = "".join(map(chr, range(0x21, 0x7F))).replace("#", "")
"""Characters that a resource keeps. It has no fragment, so `#` is encoded."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that are refused: control characters, and surrogates, which have no bytes."""
_CONTROL_BUT_TAB = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A name of a header, or a subprotocol (RFC 9110 section 5.6.2)."""
_HOST = re.compile(r"[!-~]*")
_NOT_IN_HOST = re.compile(r"[/?#@\\,]")
_OWN = re.compile(r"connection|upgrade|sec-websocket-.*")
"""The headers by which the handshake works, in lower case."""
_INSTEAD = {
    "sec-websocket-protocol": "name the subprotocols by the key `subprotocols`",
    "sec-websocket-extensions": "offer compression by --compress or the key `compress`",
}
MAX_SHOWN = 200
"""Characters of a resource that a message shows."""


class RequestError(PlanError):
    """A request that can't be sent; the text says which part, and why."""


def encoded_resource(text: str) -> str:
    """Returns a path and query as they are sent.

    Blanks, `#` and whatever is not ASCII are percent-encoded as UTF-8; escapes stay as they are.
    Raises RequestError for a control character, and for a text that does not begin with `/`.
    """
    place = _place_of(_CONTROL, text)
    if place:
        raise RequestError(f"the resource {_shown(text)} has {place}; write it as %XX")
    if not text.startswith("/"):
        raise RequestError(
            f"the resource {_shown(text)} does not begin with /; write it from there"
        )
    return text if text.isascii() and " " not in text and "#" not in text else quote(text, _VISIBLE)


def with_origin(headers: Iterable[tuple[str, str]], origin: str) -> Headers:
    """Returns the headers, and Origin where it is given."""
    return (*headers, ("Origin", origin)) if origin else tuple(headers)


def request_mistakes(
    headers: Iterable[tuple[str, str]], subprotocols: Sequence[str] = (), origin: str = ""
) -> Iterator[tuple[str, str]]:
    """Yields each mistake in the headers: the key, and what is wrong there.

    No value of a header is repeated in it: it may be a password.
    """
    if _place_of(_CONTROL_BUT_TAB, origin):
        yield "origin", f"has {_place_of(_CONTROL_BUT_TAB, origin)}; leave it out"
    seen = {"origin"} if origin else set()
    for name, value in headers:
        what = _mistake_in_header(name, value)
        if what or name.lower() in seen:
            yield f"headers.{name}", what or "is there a second time; write it once"
        seen.add(name.lower())
    for place, name in enumerate(subprotocols):
        if _TOKEN.fullmatch(name) is None:
            yield (
                f"subprotocols[{place}]",
                f"is {name!r}; write a name of letters, digits and signs such as . and -",
            )
        elif name in subprotocols[:place]:
            yield f"subprotocols[{place}]", f"is {name!r} a second time; write it once"


def _mistake_in_header(name: str, value: str) -> str:
    """Returns why a header can't be sent; "" when it can."""
    lower = name.lower()
    if _TOKEN.fullmatch(name) is None:
        return f"has the name {name!r}; write one of letters, digits and -, without a colon"
    if _OWN.fullmatch(lower):
        fix = _INSTEAD.get(lower, "leave it out")
        return f"belongs to the handshake, which loadgen writes itself; {fix}"
    place = _place_of(_CONTROL_BUT_TAB, value)
    if place:
        return f"has {place}; leave it out"
    if lower == "host" and (_HOST.fullmatch(value) is None or _NOT_IN_HOST.search(value)):
        return "is no host; write NAME or NAME:PORT, an international name in its form xn--…"
    return ""


def _place_of(pattern: re.Pattern[str], text: str) -> str:
    """Returns the first character that can't be sent and its place; "" without one."""
    found = pattern.search(text)
    return f"the character {found[0]!r} at place {found.start()}" if found else ""


def _shown(text: str) -> str:
    return repr(text[:MAX_SHOWN]) + ("…" if len(text) > MAX_SHOWN else "")
