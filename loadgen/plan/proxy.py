"""The proxy that connections go through, from its URL."""

from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

import msgspec

from loadgen.errors import PlanError
from loadgen.values import Endpoint

Scheme = Literal["http", "socks5", "socks5h"]
_FORMS = "write http://HOST:PORT, socks5://HOST:PORT or socks5h://HOST:PORT"
_HIDDEN = "***:***@"
"""Takes the place of the credentials where a proxy is shown."""
MAX_CREDENTIAL = 255
"""Bytes that SOCKS5 allows of a name and of a password (RFC 1929)."""


class ProxyUrl(msgspec.Struct, frozen=True):
    """A proxy of HTTP (by CONNECT) or of SOCKS5."""

    scheme: Scheme
    host: str
    port: int
    user: str = ""
    password: str = ""

    @classmethod
    def parse(cls, url: str) -> "ProxyUrl":
        """Returns the parts of a URL.

        User and password are percent-decoded. Raises PlanError for any other text; its message is
        one line, goes on after "the proxy", and shows no password.
        """
        shown = repr(f"…{url[url.rindex('@') :]}" if "@" in url else url)
        if not url.isprintable() or " " in url:
            raise PlanError(f"is {shown}, with a blank or control character; {_FORMS}")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            why = f" ({error})" if "@" not in url else ""  # it repeats a part of the URL
            raise PlanError(f"is {shown}, which is no URL{why}; {_FORMS}") from None
        scheme = parts.scheme
        if scheme not in get_args(Scheme):
            known = f"; its scheme is none of {', '.join(get_args(Scheme))}" if scheme else ""
            raise PlanError(f"is {shown}{known}; {_FORMS}")
        if not parts.hostname:
            raise PlanError(f"is {shown} without a host; {_FORMS}")
        if not port:
            raise PlanError(f"is {shown} without a port; {_FORMS}")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise PlanError(f"is {shown}, with something after the port; {_FORMS}")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        wrong = _wrong_credentials(scheme, user, password) if user or password else ""
        if wrong:
            raise PlanError(f"is {shown}, {wrong}")
        return cls(scheme, parts.hostname, port, user, password)  # type: ignore[arg-type]  # one of them

    @property
    def resolves(self) -> bool:
        """True where the proxy gets names and resolves them; else it gets addresses."""
        return self.scheme != "socks5"

    @property
    def shown(self) -> str:
        """The URL without the credentials."""
        place = Endpoint(self.host, self.port)
        return f"{self.scheme}://{_HIDDEN if self.user else ''}{place}"


def _wrong_credentials(scheme: str, user: str, password: str) -> str:
    """Returns why these can't be sent; "" when they can."""
    if not user:
        return "with a password but no user; write USER:PASSWORD@"
    if scheme == "http":
        return "and its user has a colon, which HTTP can't send" if ":" in user else ""
    if not all(0 < len(text.encode()) <= MAX_CREDENTIAL for text in (user, password)):
        return f"and SOCKS5 wants a user and a password of 1 to {MAX_CREDENTIAL} bytes"
    return ""
