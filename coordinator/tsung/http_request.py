"""Reads <http>: requests of HTTP beside a WebSocket connection."""

import base64
import re
from pathlib import Path
from typing import Any

from coordinator.tsung.element import Element
from coordinator.tsung.options import Options
from coordinator.tsung.text import one_line, script_text
from loadgen.plan.script import HttpStep
from loadgen.plan.template import Template

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE")
"""The methods of Tsung's ts_http; others belong to its ts_webdav."""
WITH_BODY = ("POST", "PUT", "PATCH", "DELETE", "PURGE")
IDLE_TIMEOUT = 600.0
"""Seconds that Tsung waits for a reply by default."""
MAX_TIMEOUT = 86_400.0
"""Seconds; the longest wait of a step."""
INSTEAD = "docs/from-tsung.md, “Instead of what is refused”, has a session that does it"
"""The end of messages about what a session in Python can do."""


class HttpRequests:
    """Reads the HTTP requests of one session."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._base = ""
        """Scheme and host of the last whole URL, which later paths belong to, as in Tsung."""

    def changed(self) -> None:
        """Forgets the last whole URL: the session goes on with another server."""
        self._base = ""

    def read(self, http: Element, subst: str, shared: dict[str, Any]) -> HttpStep:
        """Returns the step of one request; raises TsungError.

        `subst` is the request's own; `shared` are the fields about the reply.
        """
        http.only(
            "url",
            "method",
            "version",
            "contents",
            "contents_from_file",
            "content_type",
            "if_modified_since",
        )
        method = http.get("method", "GET").upper()
        if method not in METHODS:
            raise http.error(f"{method} belongs to ts_webdav; write one of {', '.join(METHODS)}")
        if http.get("version", "1.1") != "1.1":
            http.note_once("HTTP requests are sent as HTTP/1.1, whatever their version")
        http.note_once(
            "the users of a worker share its connections for HTTP, where each has one of its own in"
            " Tsung"
        )
        body = self._body(http, method)
        if subst == "all_except_body" and Template(body).names:
            raise http.error(
                "subst=all_except_body leaves variables in the body as they are; write them in"
                " another way, or take them out"
            )
        put_in = subst != "false"
        return HttpStep(
            url=self._url(http, put_in),
            method=method,
            headers=self._headers(http, method, put_in),
            auth=self._auth(http, put_in),
            text=self._text(http, body, put_in),
            redirects=False,
            timeout=min(MAX_TIMEOUT, self._options.transport.get("receive_timeout", IDLE_TIMEOUT)),
            subst=put_in,
            **shared,
        )

    def _text(self, element: Element, text: str, subst: bool) -> str:
        return script_text(element, text, subst=subst, read_at=self._options.read_at)

    def _url(self, http: Element, subst: bool) -> str:
        url = self._text(http, http.need("url"), subst)
        whole = re.match(r"https?://[^/?#]+", url)
        if whole:
            http.note_once("agents need --allow-target for hosts that are no target of the plan")
            if "%%" not in whole[0]:
                self._base = whole[0]
            return url
        if not url.startswith(("/", "%%")):
            raise http.error(f"url {url!r} begins with neither / nor http://; write one of them")
        return url if url.startswith("%%") else f"{self._base}{url}"

    def _body(self, http: Element, method: str) -> str:
        file = http.get("contents_from_file")
        if method not in WITH_BODY:
            if file or http.get("contents"):
                http.note(f"{method} has no body, in Tsung too: its contents are left out")
            return ""
        if not file:
            return http.get("contents")
        path = self._options.directory / Path(file)
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise http.error(
                f"file {path} can't be read ({error.strerror}); put it there"
            ) from error
        except UnicodeDecodeError as error:
            raise http.error(f"file {path} is not UTF-8 ({error.reason}); save it so") from error

    def _headers(self, http: Element, method: str, subst: bool) -> dict[str, str]:
        headers = {}
        if method in WITH_BODY:
            headers["Content-Type"] = http.get("content_type") or (
                "application/x-www-form-urlencoded"
            )
        if http.get("if_modified_since"):
            headers["If-Modified-Since"] = http.get("if_modified_since")
        cookies = []
        for child in http.children:
            if child.name == "http_header":
                name, value = read_header(child, subst=subst, read_at=self._options.read_at)
                headers = {key: old for key, old in headers.items() if key.lower() != name.lower()}
                headers[name] = value
            elif child.name == "add_cookie":
                child.only("key", "value", "path", "domain")
                pair = f"{child.need('key')}={child.get('value')}"
                cookies.append(self._text(child, pair, subst))
            elif child.name == "soap":
                headers["SOAPAction"] = f'"{one_line(child, child.get("action"))}"'
            elif child.name not in ("www_authenticate", "oauth"):
                raise child.error(
                    f"<{child.name}> is unknown in <http>; write <http_header>, <add_cookie>,"
                    " <www_authenticate> or <soap>"
                )
        if cookies:
            headers["Cookie"] = one_line(http, "; ".join(cookies))
        return headers

    def _auth(self, http: Element, subst: bool) -> tuple[str, str] | None:
        for oauth in http.all("oauth"):
            raise oauth.error(f"<oauth> signs with code, and scripts have none; {INSTEAD}")
        for one in http.all("www_authenticate"):
            if one.choice("type", ("basic", "digest"), "basic") == "digest":
                raise one.error(f"digest computes with code, and scripts have none; {INSTEAD}")
            one.only("userid", "passwd", "type", "realm")
            user, password = one.need("userid"), one.get("passwd")
            return self._text(one, user, subst), self._text(one, password, subst)
        return None


def read_header(child: Element, *, subst: bool, read_at: int) -> tuple[str, str]:
    """Returns the name and the value of an <http_header>; raises TsungError."""
    child.only("name", "value", "encoding")
    value = one_line(child, child.get("value"))
    value = script_text(child, value, subst=subst, read_at=read_at)
    if child.get("encoding") == "base64":
        value = base64.b64encode(value.encode()).decode()
    return one_line(child, child.need("name")), value
