"""What a script does on connections: connect, send, receive, ping and close, and what follows
from a reply."""

import html
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, NoReturn

import msgspec

from loadgen.plan.script import Connect, Extract, Match, Receive, Send
from loadgen.plan.template import Template, pattern_of
from loadgen.sessions.script.context import Act, ScriptContext, ScriptEnd, Unasked
from loadgen.sessions.script.jsonpath import NOTHING, find_in, path_by
from loadgen.stats.reasons import DONE, ERROR_JSON_UNPARSABLE, ERROR_TIMEOUT

DUMPED = 200
"""How much of a reply is shown, in characters."""
Exchange = Callable[[ScriptContext], Awaitable[str]]
"""Sends a request and awaits its reply, as text."""
Asking = Connect | Send | Receive
"""The steps whose reply is looked at."""
Verdict = int | None
"""The step to go on with; None: the next one."""


class Reception:
    """How replies are received on one worker: how long they are awaited, and whether messages
    wait to be received."""

    def __init__(self, timeout: float, *, keeps: bool) -> None:
        self.timeout = timeout
        self.keeps = keeps
        self._unasked: Unasked | None = None

    def begin(self, context: ScriptContext) -> None:
        """A connection has opened."""
        if not self.keeps:
            if (
                self._unasked is None
            ):  # an empty one is false, and one for each user would be a quarter of its memory
                self._unasked = Unasked(context.user)
            context.socket.inbox = self._unasked

    async def reply(self, context: ScriptContext) -> str:
        """The next message, as text."""
        try:
            message = await context.socket.receive(self.timeout)
        except TimeoutError:
            raise context.failed(ERROR_TIMEOUT) from None
        return message if isinstance(message, str) else message.decode(errors="replace")


def connects(step: Connect, reception: Reception) -> Exchange:
    """Opens a connection; one that is open already is closed before."""
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
        reception.begin(context)
        return ""

    return exchange


def _message_of(step: Send) -> Callable[[ScriptContext], str | bytes]:
    text = Template(step.text, subst=step.subst)
    binary = step.frame == "binary"
    if not text.names:
        ready = text.text.encode() if binary else text.text
        return lambda _: ready
    if binary:
        return lambda context: text.fill(context.values).encode()
    return lambda context: text.fill(context.values)


def sends(step: Send, reception: Reception) -> Exchange:
    """Sends a message and awaits the next one from the server."""
    message = _message_of(step)

    async def exchange(context: ScriptContext) -> str:
        socket = context.socket
        if socket.inbox:
            socket.inbox.clear()
        await socket.send(message(context))
        return await reception.reply(context)

    return exchange


def tells(step: Send, *, ends_page: bool) -> Act:
    """Sends a message that has no reply."""
    message = _message_of(step)

    async def act(context: ScriptContext) -> None:
        began = monotonic()
        await context.socket.send(message(context))
        context.user.count("request_noack")
        context.turned(began, ends_page=ends_page)

    return act


async def closes(context: ScriptContext) -> str:
    """Closes the connection and awaits the server's end."""
    socket, context.ws = context.socket, None
    await socket.close()
    return ""


async def pings(context: ScriptContext) -> None:
    """Sends a PING and awaits its PONG."""
    await context.socket.ping()


def request(exchange: Exchange, at: int, step: Asking | None = None, *, ends_page: bool) -> Act:
    """A request with its reply: what is taken from that, and where it goes on."""
    extract = _extracts(step.extract, subst=step.subst) if step is not None else None
    judge = _judge(step.match, at) if step is not None and step.match else None

    async def act(context: ScriptContext) -> Verdict:
        began = monotonic()
        reply = await exchange(context)
        context.answered(began, ends_page=ends_page)
        if extract is not None:
            extract(context, reply)
        return await judge(context, reply) if judge is not None else None

    return act


def _extracts(
    extracts: Sequence[Extract], *, subst: bool
) -> Callable[[ScriptContext, str], None] | None:
    if not extracts:
        return None
    by = {"re": _by_expression, "jsonpath": _by_path, "header": _by_header}
    found = [(extract.var, by[extract.by](extract, subst)) for extract in extracts]

    def take(context: ScriptContext, reply: str) -> None:
        for name, find in found:
            value = find(context, reply)
            if value is not NOTHING:
                context.values[name] = value

    return take


Finder = Callable[[ScriptContext, str], Any]
"""What it finds; NOTHING: the variable stays as it is."""


def _by_expression(extract: Extract, subst: bool) -> Finder:
    pattern = pattern_of(extract.expr)

    def find(_: ScriptContext, reply: str) -> str:
        match = pattern.search(reply)
        value = (match[1] or "") if match else ""
        return html.unescape(value) if extract.decode else value

    return find


def _by_path(extract: Extract, subst: bool) -> Finder:
    path = path_by(Template(extract.expr, subst=subst))

    def find(context: ScriptContext, reply: str) -> Any:
        try:
            value = msgspec.json.decode(reply)
        except (msgspec.DecodeError, RecursionError):
            context.user.count(ERROR_JSON_UNPARSABLE)
            return NOTHING
        found = find_in(path(context.values), value)
        return "" if found is NOTHING else found

    return find


def _by_header(extract: Extract, subst: bool) -> Finder:
    name = extract.expr.lower()
    return lambda context, _: context.socket.headers.get(name, "")


def _judge(matches: Sequence[Match], at: int) -> Callable[[ScriptContext, str], Awaitable[Verdict]]:
    """Goes through the matches."""
    rules = [(match, _finds(match)) for match in matches]

    async def judge(context: ScriptContext, reply: str) -> Verdict:
        for match, finds in rules:
            found = finds(context, reply)
            context.user.count("match" if found else "nomatch")
            if found is not (match.when == "match"):
                _forget(context, match)
            elif match.do in ("log", "dump"):
                context.user.remark(_told(match, reply))
            elif match.do == "loop":
                return await _loop(context, match, at)
            elif match.do == "restart":
                return _restart(context, match)
            elif match.do in ("abort", "abort_test"):
                _abort(context, match)
        return None

    return judge


def _told(match: Match, reply: str) -> str:
    """What an agent's log says of a match that is to be logged; a dumped one shows the reply, or
    its beginning."""
    what = f"{match.when} of {match.pattern!r}" + (f" ({match.name})" if match.name != "-" else "")
    return f"{what}: {reply[:DUMPED]!r}" if match.do == "dump" else what


def _finds(match: Match) -> Callable[[ScriptContext, str], bool]:
    template = Template(match.pattern, subst=match.subst)
    if not template.names:
        pattern = pattern_of(match.pattern)
        return lambda _, reply: pattern.search(reply) is not None
    return lambda context, reply: (
        pattern_of(template.fill(context.values)).search(reply) is not None
    )


def _forget(context: ScriptContext, match: Match) -> None:
    if match.do == "loop":
        context.loops = 0
    elif match.do == "restart":
        context.restarts = 0


async def _loop(context: ScriptContext, match: Match, at: int) -> Verdict:
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


def _restart(context: ScriptContext, match: Match) -> Verdict:
    if context.restarts >= match.max_restart:
        context.user.count("match_restart_abort")
        raise ScriptEnd(DONE)
    context.restarts += 1
    context.user.count("match_restart")
    return 0
