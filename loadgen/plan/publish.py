"""The publications whose delivery is measured, and the HTTP request of each."""

import difflib
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from loadgen.plan.template import pattern_of
from loadgen.values import base_of

FIELDS = ("stamp", "sequence", "channel")
"""The fields of a request's template, each written as `{{stamp}}`."""
_FIELD = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_HTTP_OF = {"ws": "http", "wss": "https"}
ANNOUNCE_IN = 4.0
"""Seconds in which all workers know of a publication, also on a busy fleet."""
MAX_RATE = 1000
"""Publications per second, at most."""
STAMP = "{{stamp}}"
EMBEDDED = {"channels": ["{{channel}}"], "payload": STAMP}
"""The body that the embedded target's POST /publish takes."""


class HttpRequest(NamedTuple):
    """One request to the server's own HTTP API."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


class Publish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `[publish]` of a plan; durations are in seconds."""

    by: Literal["http", "session", "external"] = "http"
    """The publisher: the coordinator by HTTP, sessions in Python that call `user.stamp()`, or a
    program of the operator's own that puts a stamp into what it publishes."""
    url: str = ""
    """Empty: `/publish` at the plan's first target, as the embedded target takes it."""
    method: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{1,20}$")] = "POST"
    headers: dict[str, str] = {}
    body: str | dict[str, Any] = msgspec.field(default_factory=lambda: dict(EMBEDDED))
    """Text, or a table that is sent as JSON."""
    rate: Annotated[float, msgspec.Meta(gt=0, le=MAX_RATE)] = 1.0
    """Publications per second, over all channels."""
    channels: tuple[str, ...] = ()
    """Each publication goes to the next of them; empty: those of the targets' URLs."""
    channel_parameter: str = "channels[]"
    """The query parameter by which a connection's URL names its channels."""
    begin: Literal["start", "plateau"] = "start"
    """`start`: once a connection is open; `plateau`: once all arrivals are over."""
    grace: Annotated[float, msgspec.Meta(gt=0, le=300)] = 5.0
    """The seconds within which a subscriber has to receive a publication."""
    sessions: tuple[str, ...] = ()
    """The sessions whose connections are subscribers; empty: all."""
    stamp_json: str = ""
    """The path to the stamp in a message that is JSON, such as `data.payload.stamp`."""
    stamp_regex: str = ""
    """A regular expression whose first group, or else whole match, is the stamp."""
    stamp_offset: Annotated[int, msgspec.Meta(ge=0, le=65_536)] | None = None
    """The stamp's first byte in a message."""

    @property
    def lead(self) -> float:
        """The seconds before the drain at which the last publication is sent.

        Each can be received within the grace, and is known to all workers before they end.
        """
        return max(self.grace, ANNOUNCE_IN)

    @property
    def ordered(self) -> bool:
        """True when the publications of a stream have an order.

        Those of sessions have none: each session sends over its own connection.
        """
        return self.by != "session"

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """Yields each mistake in it: the key, and what is wrong there."""
        yield from self._mistakes_in_request()
        places = ("stamp_json", "stamp_regex", "stamp_offset")
        given = [name for name in places if getattr(self, name) not in ("", None)]
        if len(given) > 1:
            yield given[1], f"is a second place of the stamp beside `{given[0]}`; leave one out"
        if self.stamp_regex:
            pattern_of(self.stamp_regex)

    def _mistakes_in_request(self) -> Iterator[tuple[str, str]]:
        if self.by != "http":
            if self.url:
                yield "url", f'has no effect with `by = "{self.by}"`; leave it out'
            return
        if self.url and base_of(self.url) is None:
            yield "url", f"{self.url!r} is not an http:// or https:// URL with a host"
        texts = {"url": self.url, "body": self._body_text}
        texts |= {f"headers.{name}": value for name, value in self.headers.items()}
        used = {at: _FIELD.findall(text) for at, text in texts.items()}
        for at, names in used.items():
            for name in names:
                if name not in FIELDS:
                    near = difflib.get_close_matches(name, FIELDS, 1, 0.0)[0]
                    yield at, f"has the unknown field {{{{{name}}}}}; did you mean {{{{{near}}}}}?"
        if not any("stamp" in names for names in used.values()):
            yield "body", "has no {{stamp}}, so no delivery could be recognised; put it there"

    @property
    def _body_text(self) -> str:
        return self.body if isinstance(self.body, str) else msgspec.json.encode(self.body).decode()

    def request(self, target: str, *, stamp: str, sequence: int, channel: str) -> HttpRequest:
        """Returns the request of one publication.

        `target` is the URL of the plan's first target.
        """
        values = {"stamp": stamp, "sequence": str(sequence), "channel": channel}
        body = self._body_text
        headers = {name: _fill(value, values) for name, value in self.headers.items()}
        if _is_json(body):
            inside = {
                name: msgspec.json.encode(text).decode()[1:-1] for name, text in values.items()
            }
            body = _fill(body, inside)
            if "content-type" not in {name.lower() for name in headers}:
                headers["Content-Type"] = "application/json"
        else:
            body = _fill(body, values)
        quoted = {name: quote(text, safe="") for name, text in values.items()}
        url = _fill(self.url, quoted) if self.url else embedded_url(target)
        return HttpRequest(self.method, url, headers, body.encode())

    def channels_in(self, urls: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the channels to publish to in turn; `""` stands for all subscribers."""
        named = self.channels or tuple(
            dict.fromkeys(channel for url in urls for channel in self.channels_of(url))
        )
        return named or ("",)

    def channels_of(self, resource: str) -> tuple[str, ...]:
        """Returns the channels that a URL, or a path with a query, subscribes to."""
        query = parse_qsl(resource.partition("?")[2], keep_blank_values=True)
        values = (value for name, value in query if name == self.channel_parameter)
        return tuple(dict.fromkeys(values))


def embedded_url(target: str) -> str:
    """Returns the URL at which an embedded target takes publications."""
    parts = urlsplit(target)
    return f"{_HTTP_OF.get(parts.scheme, parts.scheme)}://{parts.netloc}/publish"


def _fill(text: str, values: dict[str, str]) -> str:
    return _FIELD.sub(lambda field: values[field[1]], text)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(_FIELD.sub("0", text))
    except msgspec.DecodeError:
        return False
    return True
