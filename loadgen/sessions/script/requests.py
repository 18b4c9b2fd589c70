"""The requests of a script: connect, send, receive, http, ping and close.

A reply gives values to variables, is checked, and its matches decide where the script goes on.
"""

import base64
import html
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, NoReturn

from loadgen.net.url import TargetUrl
from loadgen.plan.byte_text import text_of_message
from loadgen.plan.jsonpath import NOTHING, find_in, json_in, path_by
from loadgen.plan.script import (
    Connect,
    Extract,
    HttpStep,
    Match,
    Receive,
    ReplyForm,
    RequestStep,
    Send,
)
from loadgen.plan.template import Template, pattern_of
from loadgen.sessions.errors import HttpFailed
from loadgen.sessions.script.checks import checks_of
from loadgen.sessions.script.context import (
    UNASKED,
    Action,
    Exchange,
    Reply,
    ScriptContext,
    ScriptEnd,
    UnaskedInbox,
)
from loadgen.stats.reasons import DONE, ERROR_HTTP, ERROR_JSON_UNPARSABLE, ERROR_TIMEOUT

MAX_DUMP_LENGTH = 200
"""Characters of a reply that a `dump` shows."""
NextAction = int | None
"""The number of the action to go on with; None: the next one."""


class ReplyReader:
    """Receives the replies of one script on one worker."""

    def __init__(self, timeout: float, *, keeps_messages: bool) -> None:
        """`timeout` is in seconds.

        `keeps_messages`: a step of the script may receive messages that came before it.
        """
        self._timeout = timeout
        self._keeps_messages = keeps_messages
        self._unasked: UnaskedInbox | None = None

    def opened(self, context: ScriptContext) -> None:
        """Gives a new connection its inbox."""
        if self._keeps_messages:
            return
        # Subtle: all users share one inbox, which is empty and so false: one for each user would
        # take a quarter of a user's memory.
        if self._unasked is None:
            self._unasked = UnaskedInbox(context.user)
        context.socket.inbox = self._unasked

    async def read(self, context: ScriptContext) -> Reply:
        """Returns the next message; without one in time the session ends."""
        try:
            return await context.socket.receive(self._timeout)
        except TimeoutError:
            raise context.failed(ERROR_TIMEOUT) from None

    def reader_of(self, step: Send | Receive) -> Exchange:
        """Returns the function that takes a step's reply.

        Messages before the one that the step awaits count as unasked.
        """
        if not step.until:
            return self.read
        pattern = pattern_of(step.until)

        async def read_until(context: ScriptContext) -> Reply:
            while True:
                message = await self.read(context)
                if pattern.search(text_of_message(message, step.until_form)):
                    return message
                context.user.count(UNASKED)

        return read_until


def connect_exchange(step: Connect, replies: ReplyReader) -> Exchange:
    """Returns an exchange that opens a connection, after it closed the last one."""
    path = Template(step.path, subst=step.subst)
    headers = {name: Template(value, subst=step.subst) for name, value in step.headers.items()}

    async def exchange(context: ScriptContext) -> str:
        if context.ws is not None:
            await context.ws.close()
        values = context.values
        context.ws = await context.user.connect(
            path.fill(values),
            headers={name: value.fill(values) for name, value in headers.items()},
            subprotocols=step.subprotocols,
            origin=step.origin,
            url=step.url or context.url,
            timeout=context.timeout,
            read_rate=context.read_rate,
        )
        replies.opened(context)
        return ""

    return exchange


def _message_of(step: Send) -> Callable[[ScriptContext], str | bytes]:
    text = Template(step.content, subst=step.subst)
    bytes_of = step.bytes_of or (str.encode if step.frame == "binary" else None)
    if not text.names:
        ready = text.text if bytes_of is None else bytes_of(text.text)
        return lambda _: ready
    if bytes_of is None:
        return lambda context: text.fill(context.values)

    def filled(context: ScriptContext) -> bytes:
        return bytes_of(text.fill(context.values))

    return filled


def send_exchange(step: Send, replies: ReplyReader) -> Exchange:
    """Returns an exchange that sends a message and takes the next one as its reply."""
    message = _message_of(step)
    read = replies.reader_of(step)

    async def exchange(context: ScriptContext) -> Reply:
        socket = context.socket
        if socket.inbox:
            socket.inbox.empty()
        await socket.send(message(context))
        return await read(context)

    return exchange


def http_exchange(step: HttpStep) -> Exchange:
    """Returns an exchange that sends an HTTP request."""
    url = Template(step.url, subst=step.subst)
    headers = {name: Template(value, subst=step.subst) for name, value in step.headers.items()}
    auth = [Template(part, subst=step.subst) for part in step.auth or ()]
    body = _body_of(step)

    async def exchange(context: ScriptContext) -> str:
        values = context.values
        filled = {name: value.fill(values) for name, value in headers.items()}
        if auth:
            pair = ":".join(part.fill(values) for part in auth)
            filled["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        try:
            context.reply = await context.user.http.request(
                step.method.upper(),
                url_at(context.url, url.fill(values)),
                name=step.name,
                headers=filled,
                timeout=step.timeout,
                allow_redirects=step.redirects,
                **body(values),
            )
        except HttpFailed:
            raise context.failed(ERROR_HTTP) from None
        return await context.reply.text(errors="replace")

    return exchange


def url_at(target: str, url: str) -> str:
    """Returns a URL for HTTP; a path is one of the target's host, if there is one."""
    if not target or not url.startswith("/"):
        return url
    parts = TargetUrl.parse(target)
    return f"{'https' if parts.secure else 'http'}://{parts.host_header}{url}"


def _body_of(step: HttpStep) -> Callable[[Mapping[Any, Any]], dict[str, Any]]:
    """Returns a function that gives the body as the argument of a request."""
    if step.text:
        text = Template(step.text, subst=step.subst)
        return lambda values: {"data": text.fill(values).encode()}
    if step.form:
        fields = {name: Template(value, subst=step.subst) for name, value in step.form.items()}
        return lambda values: {"data": {name: one.fill(values) for name, one in fields.items()}}
    if step.json is not None:
        return lambda values: {"json": _filled(step.json, values) if step.subst else step.json}
    return lambda _: {}


def _filled(value: Any, values: Mapping[Any, Any]) -> Any:
    """Returns a JSON value with a user's values in its texts."""
    if isinstance(value, str):
        return Template(value).fill(values)
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    return value


def send_action(step: Send, *, ends_page: bool) -> Action:
    """Returns an action that sends a message without a reply."""
    message = _message_of(step)

    async def send(context: ScriptContext) -> None:
        began = monotonic()
        await context.socket.send(message(context))
        context.user.count("request_noack")
        context.request_done(began, ends_page=ends_page)

    return send


async def close_exchange(context: ScriptContext) -> str:
    """Closes the connection and awaits the server's end."""
    socket = context.socket
    context.ws = None
    await socket.close()
    return ""


async def ping_action(context: ScriptContext) -> None:
    """Sends a PING and awaits its PONG."""
    await context.socket.ping()


def request_action(
    exchange: Exchange, at: int, step: RequestStep | None = None, *, ends_page: bool
) -> Action:
    """Returns the action of a request and its reply.

    It takes values from the reply and applies the matches. `at` is the action's number.
    """
    extract = _extraction_of(step) if step is not None else None
    match = _matching_of(step.match, at) if step is not None and step.match else None
    checks = checks_of(step) if step is not None and step.check else None

    async def request(context: ScriptContext) -> NextAction:
        began = monotonic()
        if checks is None:
            reply = await exchange(context)
        else:
            reply = await checks.reply_of(exchange, context)
        context.reply_received(began, ends_page=ends_page)
        if extract is not None:
            extract(context, reply)
        if checks is not None:
            checks.apply(context, reply)
        return await match(context, reply) if match is not None else None

    return request


def _extraction_of(step: RequestStep) -> Callable[[ScriptContext, Reply], None] | None:
    if not step.extract:
        return None
    by = {"re": _by_expression, "jsonpath": _by_path, "header": _by_header, "cookie": _by_cookie}
    finders = [(extract.var, by[extract.by](extract, step)) for extract in step.extract]

    def extract_all(context: ScriptContext, reply: Reply) -> None:
        for name, find in finders:
            value = find(context, reply)
            if value is not NOTHING:
                context.values[name] = value

    return extract_all


def _text_of(context: ScriptContext, reply: Reply, form: ReplyForm) -> str:
    """Returns a reply as text; in the form `http` behind its status line and headers."""
    if form != "http":
        return text_of_message(reply, form)
    got = context.http
    version = got.version or (1, 1)
    head = [f"HTTP/{version[0]}.{version[1]} {got.status} {got.reason}"]
    head += [f"{name}: {value}" for name, value in got.headers.items()]
    return "\r\n".join([*head, "", text_of_message(reply, "text")])


Finder = Callable[[ScriptContext, Reply], Any]
"""Returns what it finds in a reply; NOTHING: the variable stays as it is."""


def _by_expression(extract: Extract, step: RequestStep) -> Finder:
    pattern = pattern_of(extract.expr)

    def find(context: ScriptContext, reply: Reply) -> str:
        match = pattern.search(_text_of(context, reply, extract.form))
        value = (match[1] or "") if match else ""
        return html.unescape(value) if extract.decode else value

    return find


def _by_path(extract: Extract, step: RequestStep) -> Finder:
    path = path_by(Template(extract.expr, subst=step.subst))

    def find(context: ScriptContext, reply: Reply) -> Any:
        value = json_in(reply)
        if value is NOTHING:
            context.user.count(ERROR_JSON_UNPARSABLE)
            return NOTHING
        found = find_in(path(context.values), value)
        return "" if found is NOTHING else found

    return find


def _by_header(extract: Extract, step: RequestStep) -> Finder:
    name = extract.expr
    if isinstance(step, HttpStep):
        return lambda context, _: ", ".join(context.http.headers.getall(name, ()))
    return lambda context, _: context.socket.headers.get(name, "")


def _by_cookie(extract: Extract, step: RequestStep) -> Finder:
    name = extract.expr
    if isinstance(step, HttpStep):
        return lambda context, _: context.user.http.cookies.get(name, "")
    return lambda context, _: context.socket.cookies.get(name, "")


def _matching_of(
    matches: Sequence[Match], at: int
) -> Callable[[ScriptContext, Reply], Awaitable[NextAction]]:
    """Returns a function that applies the matches, up to the first that decides."""
    rules = [(match, _test_of(match)) for match in matches]

    async def apply(context: ScriptContext, reply: Reply) -> NextAction:
        for match, test in rules:
            found = test(context, reply)
            context.user.count("match" if found else "nomatch")
            if found is not (match.when == "match"):
                _reset_count(context, match)
            elif match.do in ("log", "dump"):
                context.user.remark(_remark_of(match, context, reply))
            elif match.do == "loop":
                return await _loop(context, match, at)
            elif match.do == "restart":
                return _restart(context, match)
            elif match.do in ("abort", "abort_test"):
                _abort(context, match)
        return None

    return apply


def _remark_of(match: Match, context: ScriptContext, reply: Reply) -> str:
    """Returns the log's line for a match; a `dump` shows the beginning of the reply."""
    what = f"{match.when} of {match.pattern!r}" + (f" ({match.name})" if match.name != "-" else "")
    if match.do != "dump":
        return what
    return f"{what}: {_text_of(context, reply, match.form)[:MAX_DUMP_LENGTH]!r}"


def _test_of(match: Match) -> Callable[[ScriptContext, Reply], bool]:
    template = Template(match.pattern, subst=match.subst)
    form = match.form
    if not template.names:
        pattern = pattern_of(match.pattern)
        return lambda context, reply: pattern.search(_text_of(context, reply, form)) is not None
    return lambda context, reply: (
        pattern_of(template.fill(context.values)).search(_text_of(context, reply, form)) is not None
    )


def _reset_count(context: ScriptContext, match: Match) -> None:
    if match.do == "loop":
        context.loops = 0
    elif match.do == "restart":
        context.restarts = 0


async def _loop(context: ScriptContext, match: Match, at: int) -> NextAction:
    context.user.count("match_loop")
    if context.loops >= match.max_loop:
        context.loops = 0
        return None
    context.loops += 1
    if match.sleep_loop:
        await context.user.pause(match.sleep_loop)
    return max(0, at - match.loop_back)


def _abort(context: ScriptContext, match: Match) -> NoReturn:
    if match.do == "abort_test":
        context.user.count("match_stop_test")
        context.user.abort_run(f"a reply, when {match.when}, of {match.pattern!r}")
    else:
        context.user.count("match_stop")
    raise ScriptEnd(DONE)


def _restart(context: ScriptContext, match: Match) -> NextAction:
    if context.restarts >= match.max_restart:
        context.user.count("match_restart_abort")
        raise ScriptEnd(DONE)
    context.restarts += 1
    context.user.count("match_restart")
    return 0
