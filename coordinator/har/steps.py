"""The steps of a session from a recording, as lines of Python."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

import msgspec

from coordinator.har.recording import HarEntry, HarPair, Recording
from coordinator.har.source import SourceNames, leaves, path_of, quoted
from loadgen.plan.secrets import is_secret, secret_parameters, shown_url
from loadgen.values import nests_deeper

MIN_THINK = 0.05
"""Seconds of a pause that becomes a think time; shorter ones are the browser's own."""
MIN_LEARNT = 8
"""Characters of a value in a reply that is looked for in what is sent later."""
MIN_SECRET = 4
"""Characters of such a value under a name like `token`."""
MIN_TIMEOUT = 30
"""Seconds that a message is waited for at least."""
MAX_DEPTH = 50
"""Values inside each other in JSON that is written as a Python value."""
MAX_REQUESTS = 200
"""HTTP requests that become steps."""
PAGE_PARTS = {"image", "stylesheet", "script", "font", "media", "manifest", "ping", "preflight"}
"""The kinds of a page's requests that its application does not send, as browsers name them."""
CALLS = {"xhr", "fetch"}
FORM = "application/x-www-form-urlencoded"
KINDS = ("type", "event", "action", "op", "method", "kind")
"""The fields by which applications say what a message is."""


class Call(NamedTuple):
    """An HTTP request that becomes a step."""

    at: float
    entry: HarEntry

    @property
    def ended(self) -> float:
        """When its reply was there, in seconds since 1970."""
        return self.at + max(0.0, self.entry.time or 0.0) / 1000


class Message(NamedTuple):
    """A message that was sent or received."""

    at: float
    payload: str | bytes
    sent: bool

    @property
    def ended(self) -> float:
        """The same as `at`: a message takes no time."""
        return self.at


class Opening(NamedTuple):
    """The WebSocket's handshake."""

    at: float
    ended: float


Event = Call | Message | Opening


class Learnt(NamedTuple):
    """A value that a reply or a message gave, and that is sent later."""

    value: str
    keys: tuple[str | int, ...]


class WrittenSession(NamedTuple):
    """The parts of the file of a session."""

    lines: list[str]
    """The body of the session."""
    secrets: list[tuple[str, str]]
    """The names of the values that are read from the environment, and what each is."""
    learnt: list[str]
    """The names of the values that are taken from replies."""
    left_out: list[str]
    """The parts of the recording that the session leaves out, in words."""
    timeout: int
    """Seconds to wait for a message."""
    uses_json: bool


def session_of(recording: Recording) -> WrittenSession:
    """Returns the session that does what the recording shows."""
    return _Writer(recording).written()


class _Writer:
    """Writes the steps of one recording."""

    def __init__(self, recording: Recording) -> None:
        self._socket = recording.socket
        self._host = urlsplit(recording.socket.request.url).hostname
        self._left_out: Counter[str] = Counter()
        self._events = self._ordered(recording)
        self._names = SourceNames()
        self._secrets: list[tuple[str, str]] = []
        self._learnt: list[str] = []
        self._cookies: set[str] = set()
        """The names of the cookies that the session has by now."""
        self._lines: list[str] = []
        self._uses_json = False
        self._cookie_name = ""
        """The name of the cookies that were there before the recording; "" without any."""
        self._sent_later = self._texts_after()

    def _ordered(self, recording: Recording) -> list[Event]:
        socket = recording.socket
        messages = [
            Message(message.at, message.payload, message.type == "send")
            for message in socket.messages or ()
        ]
        opened = socket.at
        end = max((message.at for message in messages), default=opened)
        calls = [Call(entry.at, entry) for entry in self._calls(recording.requests, end)]
        opening = Opening(opened, min((message.at for message in messages), default=opened))
        events: list[Event] = [*calls, opening, *messages]
        # A message can't come before its socket, whatever clocks say.
        return sorted(
            events,
            key=lambda event: max(event.at, opened) if isinstance(event, Message) else event.at,
        )

    def _calls(self, entries: tuple[HarEntry, ...], end: float) -> Iterator[HarEntry]:
        """Yields the application's requests to the socket's host, which become steps."""
        followed: set[str] = set()
        count = 0
        for entry in entries:
            url = urlsplit(entry.request.url)
            if url.hostname != self._host:
                self._left_out["to other hosts"] += 1
            elif entry.at > end:
                self._left_out["after the last message"] += 1
            elif not _is_call(entry):
                self._left_out["for parts of pages"] += 1
            elif entry.request.url in followed:
                followed.discard(entry.request.url)  # aiohttp follows the redirect by itself
            elif count >= MAX_REQUESTS:
                self._left_out[f"after the first {MAX_REQUESTS}"] += 1
            else:
                count += 1
                yield entry
            location = _header(entry.reply.headers, "location")
            if 300 <= entry.reply.status < 400 and location:
                followed.add(urljoin(entry.request.url, location))

    def _texts_after(self) -> list[str]:
        """Returns, for each event, all texts that are sent after it."""
        texts: list[str] = []
        after = ""
        for event in reversed(self._events):
            texts.append(after)
            after = f"{self._sent_by(event)}\n{after}"
        return texts[::-1]

    def _sent_by(self, event: Event) -> str:
        if isinstance(event, Message):
            return event.payload if event.sent and isinstance(event.payload, str) else ""
        request = event.entry.request if isinstance(event, Call) else self._socket.request
        body = request.body.text if request.body and request.body.text else ""
        headers = "\n".join(pair.value for pair in request.headers)
        return "\n".join((request.url, unquote(request.url), body, headers))

    def written(self) -> WrittenSession:
        """Returns the session."""
        last = self._events[0].at
        longest = 0.0
        for place, event in enumerate(self._events):
            if isinstance(event, Message) and not event.sent:
                longest = max(longest, event.at - last)
                self._receive(event, self._sent_later[place])
            else:
                self._think(event.at - last)
                if isinstance(event, Call):
                    self._call(event, self._sent_later[place])
                elif isinstance(event, Message):
                    self._send(event)
                else:
                    self._connect()
            last = max(last, event.ended)
        self._fold()
        self._line("await ws.close()")
        left_out = [
            f"{count:,} {'request' if count == 1 else 'requests'} {what}"
            for what, count in self._left_out.items()
        ]
        timeout = max(MIN_TIMEOUT, round(3 * longest))
        return WrittenSession(
            self._lines, self._secrets, self._learnt, left_out, timeout, self._uses_json
        )

    def _line(self, text: str) -> None:
        self._lines += text.split("\n")

    def _think(self, seconds: float) -> None:
        if seconds >= MIN_THINK:
            self._line(f"await user.think({round(seconds, 1 if seconds >= 1 else 2):g})")

    # The steps.

    def _connect(self) -> None:
        request = self._socket.request
        url = urlsplit(request.url)
        resource = (url.path or "/") + (f"?{url.query}" if url.query else "")
        options = [self._resource(resource, "the handshake")]
        offered = _header(request.headers, "sec-websocket-protocol")
        if offered:
            names = [self._names.text(name.strip()) for name in offered.split(",")]
            options.append(f"subprotocols=[{', '.join(names)}]")
        origin = _header(request.headers, "origin")
        if origin:
            options.append(f"origin={quoted(origin)}")
        headers = self._headers(request.headers, "the handshake", with_jar=True)
        if headers:
            options.append(f"headers={{{', '.join(headers)}}}")
        self._statement("ws = await user.connect", options)

    def _call(self, call: Call, later: str) -> None:
        request, reply = call.entry.request, call.entry.reply
        url = urlsplit(request.url)
        resource = (url.path or "/") + (f"?{url.query}" if url.query else "")
        what = f"{request.method.upper()} {url.path[:60]}"
        options = [self._resource(resource, what)]
        method = request.method.lower()
        if method not in ("get", "post", "put", "patch", "delete", "head"):
            options.insert(0, quoted(request.method))
            method = "request"
        options += self._body(call.entry, what)
        headers = self._headers(request.headers, what, with_jar=False)
        if headers:
            options.append(f"headers={{{', '.join(headers)}}}")
        label = url.path.rstrip("/").rpartition("/")[2] or "page"
        name = self._names.new(label)
        options.append(f"name={quoted(name)}")
        self._statement(f"{name} = await user.http.{method}", options)
        if 0 < reply.status < 400:
            self._line(f"user.check({quoted(name)}, {name}.status < 400, fatal=True)")
        self._cookies |= {
            pair.value.partition("=")[0].strip()
            for pair in reply.headers
            if pair.name.lower() == "set-cookie"
        }
        body = _parsed(reply.content.text or "") if reply.content.encoding != "base64" else None
        self._learn(body, later, f"(await {name}.json())")

    def _send(self, message: Message) -> None:
        payload = message.payload
        if isinstance(payload, bytes):
            self._line(f"await ws.send({_bytes_source(payload)})")
            return
        value = _parsed(payload)
        self._find_secrets(value, "a message")
        if value is not None and msgspec.json.encode(value).decode() == payload:
            self._line(f"await ws.send_json({self._names.value(value, 0, 20)})")
        else:
            self._line(f"await ws.send({self._names.text(payload)})")

    def _receive(self, message: Message, later: str) -> None:
        value = _parsed(message.payload) if isinstance(message.payload, str) else None
        kind = ""
        if isinstance(value, dict):
            said = (value.get(key) for key in KINDS)
            kind = next((one for one in said if isinstance(one, str)), "")
            kind = kind if kind.replace("_", "").replace(".", "").isalnum() else ""
        learnt = self._to_learn(value, later)
        if learnt:
            self._uses_json = True
            self._line("message = json.loads(await ws.receive(timeout=TIMEOUT))")
            self._assign(learnt, "message")
        else:
            self._line("await ws.receive(timeout=TIMEOUT)" + (f"  # {kind[:40]}" if kind else ""))

    def _fold(self) -> None:
        """Makes a loop of four equal steps in a row, or more."""
        folded: list[str] = []
        place = 0
        while place < len(self._lines):
            line = self._lines[place]
            same = 1
            while self._lines[place + same : place + same + 1] == [line]:
                same += 1
            if same > 3 and line.startswith("await ws.receive"):
                folded += [f"for _ in range({same}):", f"    {line}"]
            else:
                folded += [line] * same
            place += same
        self._lines = folded

    def _statement(self, call: str, options: list[str]) -> None:
        """Writes a call, with one option a line where it is too long for one."""
        line = f"{call}({', '.join(options)})"
        if len(line) > 92 or "\n" in line:
            inside = "".join(f"    {option},\n" for option in options)
            line = f"{call}(\n{inside})"
        self._line(line)

    # What is sent.

    def _resource(self, resource: str, what: str) -> str:
        for name, value in secret_parameters(urlsplit(resource).query):
            self._secret(name, value, f"the parameter `{name}` of {what}")
        return self._names.text(resource)

    def _body(self, entry: HarEntry, what: str) -> list[str]:
        body = entry.request.body
        if body is None or not body.text:
            return []
        mime = (body.mime or "").partition(";")[0].strip().lower()
        if mime == FORM:
            fields = dict(parse_qsl(body.text, keep_blank_values=True))
            self._find_secrets(fields, what)
            return [f"data={self._names.value(fields, 4, 6)}"]
        value = _parsed(body.text)
        if value is not None and "json" in mime:
            self._find_secrets(value, what)
            return [f"json={self._names.value(value, 4, 6)}"]
        self._find_secrets(value, what)
        return [f"data={self._names.text(body.text)}"]

    def _headers(self, headers: list[HarPair], what: str, *, with_jar: bool) -> list[str]:
        """Returns the headers that the application itself sends, as items of a dict."""
        found = []
        for pair in headers:
            name = pair.name.lower()
            if name == "content-type" and "json" not in pair.value and FORM not in pair.value:
                found.append(f'"Content-Type": {quoted(pair.value)}')
            elif name == "cookie":
                cookie = self._cookie(pair.value, what, with_jar=with_jar)
                found += [f'"Cookie": {cookie}'] if cookie else []
            elif name == "authorization" or name.startswith("x-"):
                scheme, blank, value = pair.value.partition(" ")
                secret = value if blank else scheme
                if is_secret(name):
                    self._secret(name, secret, f"the header `{pair.name}` of {what}")
                found.append(f"{quoted(pair.name)}: {self._names.text(pair.value)}")
        return found

    def _cookie(self, value: str, what: str, *, with_jar: bool) -> str:
        """Returns the source of a Cookie header; "" where the user's own cookies are all."""
        names = [part.partition("=")[0].strip() for part in value.split(";")]
        before = [name for name in names if name not in self._cookies]
        if before and not self._cookie_name:
            self._cookie_name = self._names.new("cookie", constant=True)
            self._secrets.append(
                (self._cookie_name, f"cookies of {what}: {', '.join(before)[:80]}")
            )
        if not with_jar or len(before) == len(names):
            return self._cookie_name if before else ""
        own = '"; ".join(f"{name}={value}" for name, value in user.http.cookies.items())'
        self._line(f"cookies = {own}")
        return f'f"{{{self._cookie_name}}}; {{cookies}}"' if before else "cookies"

    def _find_secrets(self, value: Any, what: str) -> None:
        for keys, text in leaves(value):
            named = [key for key in keys if isinstance(key, str)]
            if named and text and is_secret(named[-1]):
                self._secret(named[-1], text, f"the field `{named[-1]}` of {what}")

    def _secret(self, name: str, value: str, what: str) -> None:
        """Makes a value a variable of the environment, unless a reply gave it."""
        if value in self._names.known or not value:
            return
        new = self._names.new(name.removeprefix("X-").removeprefix("x-"), constant=True)
        self._names.known[value] = new
        self._secrets.append((new, what.replace("\n", " ")[:120]))

    # What comes back.

    def _to_learn(self, value: Any, later: str) -> list[Learnt]:
        """Returns the values that are sent later and are not known yet."""
        found: dict[str, Learnt] = {}
        for keys, text in leaves(value):
            known = text in self._names.known or text in found
            named = [key for key in keys if isinstance(key, str)]
            least = MIN_SECRET if named and is_secret(named[-1]) else MIN_LEARNT
            if len(text) >= least and not known and " " not in text and text in later:
                found[text] = Learnt(text, keys)
        return list(found.values())

    def _learn(self, value: Any, later: str, source: str) -> None:
        self._assign(self._to_learn(value, later), source)

    def _assign(self, learnt: list[Learnt], source: str) -> None:
        for one in learnt:
            named = [key for key in one.keys if isinstance(key, str)]
            name = self._names.new(named[-1] if named else "value")
            self._line(f"{name} = {source}{path_of(one.keys)}")
            self._names.known[one.value] = name
            self._learnt.append(name)


def _is_call(entry: HarEntry) -> bool:
    """Returns True for a request of the application, or one that sets a cookie."""
    method = entry.request.method.upper()
    if method == "OPTIONS" or entry.kind in PAGE_PARTS or not entry.reply.status:
        return False
    if method not in ("GET", "HEAD") or entry.kind in CALLS:
        return True
    sets = any(pair.name.lower() == "set-cookie" for pair in entry.reply.headers)
    return sets or (entry.kind is None and "json" in (entry.reply.content.mime or ""))


def _header(headers: list[HarPair], name: str) -> str:
    return next((pair.value for pair in headers if pair.name.lower() == name), "")


def _parsed(text: str) -> Any:
    """Returns the object or array that a text is in JSON; None for any other text."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return None if nests_deeper(value, MAX_DEPTH) else value


def _bytes_source(data: bytes) -> str:
    digits = data.hex()
    if len(digits) <= 72:
        return f'bytes.fromhex("{digits}")'
    rows = "".join(f'    "{digits[at : at + 72]}"\n' for at in range(0, len(digits), 72))
    return f"bytes.fromhex(\n{rows})"


def target_of(recording: Recording) -> str:
    """Returns the socket's URL without its query, for people."""
    return shown_url(recording.socket.request.url).partition("?")[0]
