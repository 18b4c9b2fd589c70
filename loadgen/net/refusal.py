"""The samples of refused handshakes: what an operator reads to find out why.

A sample is text: what is wrong, the head of the reply, and the begin of its body.
"""

import re

from loadgen.net.handshake import Reply
from loadgen.plan.secrets import HIDDEN, shown_text
from loadgen.stats.reasons import HTTP

BODY_SIZE = 500
"""Bytes of the body that a sample shows."""
BODY_TIMEOUT = 1.0
"""Seconds that one refused connection of each reason waits for the body of the reply."""
MAX_LINE_LENGTH = 400
"""Characters of the first line."""
MAX_HEAD_LENGTH = 4000
"""Characters of the head. Together with the body it is less than what a run directory keeps of one
sample."""
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked[ \t]*\r\n", re.IGNORECASE)
_COOKIE = re.compile(
    r"^([ \t]*set-cookie2?[ \t]*:)[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE
)


def awaits_body(reply: Reply) -> bool:
    """Returns True while more of a refusal's body is to come, and is to be shown."""
    if reply.failure is None or not reply.failure.startswith(HTTP):
        return False
    if _CHUNKED.search(reply.head):
        return len(reply.rest) < BODY_SIZE and not reply.rest.endswith(b"0\r\n\r\n")
    length = _LENGTH.search(reply.head)
    size = BODY_SIZE if length is None else min(BODY_SIZE, int(length[1]))
    return len(reply.rest) < size


def explain(reply: Reply, user: int, unfollowed: str = "redirects are not followed") -> str:
    """Returns the sample for the refused handshake of a user.

    `unfollowed` is why loadgen does not go where the reply may redirect to.

    It can be printed whatever the server sent, its length is bounded, and cookies and other secrets
    are left out: they may be keys to somebody's account.
    """
    advice = _advice(reply.head, unfollowed)
    words = reply.words or f"the server answered {answer_in(reply.head)}{advice}"
    first = " ".join(_printable(f"user {user}: {words}").split())
    head = _redacted(_text(reply.head))
    body = _redacted(_text(reply.rest[:BODY_SIZE]))
    parts = (_cut(first, MAX_LINE_LENGTH), _cut(head, MAX_HEAD_LENGTH), body)
    return "\n\n".join(part.strip("\n") for part in parts if part)


def answer_in(head: bytes) -> str:
    """Returns the status and its phrase."""
    return head.partition(b"\r\n")[0].partition(b" ")[2].decode("latin-1")


def _advice(head: bytes, unfollowed: str) -> str:
    """Returns advice from the headers: where to go, or when to come back."""
    location = header(head, b"location")
    wait = header(head, b"retry-after")
    redirects = re.match(rb"HTTP/1\.[01] 30[12378] ", head) is not None
    return "".join(
        (
            f"; it redirects to {location}: point the target there, {unfollowed}"
            if redirects and location
            else "",
            f"; Retry-After: {wait}" if wait else "",
        )
    )


def header(head: bytes, name: bytes) -> str:
    """Returns the first value of a header in a head; "" without one."""
    found = re.search(rb"\r\n" + name + rb":([^\r\n]*)", head, re.IGNORECASE)
    return found[1].decode("latin-1").strip() if found else ""


def _text(data: bytes) -> str:
    r"""Returns bytes as printable lines; a byte that is no text is `\x16`."""
    text = data.decode("utf-8", "backslashreplace")
    return _printable(text.replace("\r\n", "\n").replace("\r", "\n"))


def _printable(text: str) -> str:
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode()
        for one in text
    )


def _redacted(text: str) -> str:
    return shown_text(_COOKIE.sub(rf"\1 {HIDDEN}", text))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
