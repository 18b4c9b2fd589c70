"""Compiles a script into a flat program that all its users share.

A program is a row of actions, with jumps instead of nested blocks.
The actions are numbered as Tsung numbers its own, so that a match's `loop_back` counts the same:
the beginning and the end of a transaction, a `for` and a `foreach`, the beginning of an `if` and
the end of a `repeat` are actions of their own.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from math import isfinite, nan
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple

from loadgen.errors import PlanError
from loadgen.plan.script import (
    Abort,
    Change,
    Close,
    Condition,
    Connect,
    For,
    Foreach,
    HttpStep,
    If,
    Interaction,
    Meet,
    Option,
    Ping,
    Receive,
    Repeat,
    RequestStep,
    Send,
    SetVars,
    Step,
    Think,
    Transaction,
)
from loadgen.plan.script_check import check, names_in
from loadgen.plan.sessions import Script
from loadgen.plan.template import Template, pattern_of, text_of
from loadgen.sessions.errors import ConnectFailed, ConnectionEnded
from loadgen.sessions.script.context import Action, ScriptContext, ScriptEnd
from loadgen.sessions.script.requests import (
    ReplyReader,
    close_exchange,
    connect_exchange,
    http_exchange,
    ping_action,
    request_action,
    send_action,
    send_exchange,
)
from loadgen.sessions.script.variables import set_action
from loadgen.sessions.user import Session, User
from loadgen.stats.reasons import DONE, ERROR_UNKNOWN

MAX_ACTIONS_IN_A_ROW = 256
"""Actions after which other users get their turn: a loop without think times must not stall the
worker."""


def compile_session(
    script: Script,
    files: Mapping[str, str],
    receive_timeout: float,
    columns: Collection[str] = (),
    given: Mapping[str, Any] = MappingProxyType({}),
) -> Session:
    """Returns the session that a script describes.

    `files` are texts by their ids; `receive_timeout` is in seconds; `columns` are the fields of its
    users' rows; `given` are the variables that all users begin with. Raises PlanError, which names
    the script, for a step that can't be played.
    """
    try:
        program = compile_steps(script.steps, files, receive_timeout, (*columns, *given))
    except PlanError as error:
        raise PlanError(f"session {script.name!r}: {error}") from error
    size = len(program)
    names = names_in(script.steps)
    read = names.intersection(columns)
    fixed = {name: value for name, value in given.items() if name in names}

    async def play(user: User) -> None:
        context = ScriptContext(user)
        if fixed or read:
            _begin(context, fixed, read)
        at = 0
        done = 0
        try:
            while at < size:
                following: Any = program[at](context)
                if following is not None and not isinstance(following, int):
                    following = await following
                at = at + 1 if following is None else following
                done += 1
                if done % MAX_ACTIONS_IN_A_ROW == 0:
                    await asyncio.sleep(0)
        except ScriptEnd as end:
            context.close_connections(str(end))
        except (ConnectFailed, ConnectionEnded):
            pass  # the ledger has the reason
        context.finish()

    return play


def _begin(context: ScriptContext, fixed: Mapping[str, Any], read: Collection[str]) -> None:
    """Sets the variables that a user begins with: only those that its script reads."""
    context.values.update(fixed)
    if read:
        row = context.user.row
        context.values.update((name, row[name]) for name in read)


Block = Transaction | For | Foreach | If | Repeat


class Boundary(NamedTuple):
    """The beginning or the end of a block of steps."""

    block: Block
    begins: bool
    jump: int
    """The number of the first action inside the block (for an end), or of the first one after it
    (for a beginning)."""


Entry = Step | Boundary


class Compilation(NamedTuple):
    """The parts of one script that its actions share."""

    entries: Sequence[Entry]
    """The steps and the boundaries of blocks, one for each action."""
    files: Mapping[str, str]
    replies: ReplyReader
    sent_at: dict[str, float]
    """The times at which interactions were last sent on this worker, by their ids; monotonic."""

    def ends_page(self, at: int) -> bool:
        """True when no request follows this entry of the script at once.

        The boundaries of transactions do not count.
        """
        for entry in self.entries[at + 1 :]:
            if not (isinstance(entry, Boundary) and isinstance(entry.block, Transaction)):
                return not isinstance(entry, RequestStep | Close)
        return True


def compile_steps(
    steps: Sequence[Step],
    files: Mapping[str, str],
    receive_timeout: float,
    given: Collection[str] = (),
) -> tuple[Action, ...]:
    """Returns the actions of a script's steps.

    `given` are the variables that users begin with. Raises ScriptError for a step that can't be
    played.
    """
    check(steps, files, given)
    entries: list[Entry] = []
    _flatten(steps, entries)
    keeps_messages = any(isinstance(entry, Receive) for entry in entries)
    replies = ReplyReader(receive_timeout, keeps_messages=keeps_messages)
    compilation = Compilation(entries, files, replies, {})
    return tuple(_action_of(entry, at, compilation) for at, entry in enumerate(entries))


def _flatten(steps: Sequence[Step], entries: list[Entry]) -> None:
    for step in steps:
        if not isinstance(step, Block):
            entries.append(step)
            continue
        first = len(entries)
        if not isinstance(step, Repeat):
            entries.append(Boundary(step, begins=True, jump=0))
        inside = len(entries)
        _flatten(step.steps, entries)
        if not isinstance(step, If):
            entries.append(Boundary(step, begins=False, jump=inside))
        if not isinstance(step, Repeat):
            entries[first] = Boundary(step, begins=True, jump=len(entries))


def _action_of(entry: Entry, at: int, compilation: Compilation) -> Action:
    if isinstance(entry, Boundary):
        return BOUNDARY_ACTIONS[type(entry.block)](entry.block, entry)
    return STEP_ACTIONS[type(entry)](entry, at, compilation)


# One function for each type of step: it returns the step's action.


def _connect(step: Connect, at: int, compilation: Compilation) -> Action:
    exchange = connect_exchange(step, compilation.replies)
    return request_action(exchange, at, step, ends_page=compilation.ends_page(at))


def _send(step: Send, at: int, compilation: Compilation) -> Action:
    ends_page = compilation.ends_page(at)
    if not step.ack:
        return send_action(step, ends_page=ends_page)
    return request_action(send_exchange(step, compilation.replies), at, step, ends_page=ends_page)


def _receive(step: Receive, at: int, compilation: Compilation) -> Action:
    ends_page = compilation.ends_page(at)
    return request_action(compilation.replies.reader_of(step), at, step, ends_page=ends_page)


def _http(step: HttpStep, at: int, compilation: Compilation) -> Action:
    return request_action(http_exchange(step), at, step, ends_page=compilation.ends_page(at))


def _close(step: Close, at: int, compilation: Compilation) -> Action:
    return request_action(close_exchange, at, ends_page=compilation.ends_page(at))


def _ping(step: Ping, at: int, compilation: Compilation) -> Action:
    return ping_action


def _think(step: Think, at: int, compilation: Compilation) -> Action:
    if isinstance(step.seconds, str):
        text = Template(step.seconds)
        return lambda context: context.user.think(
            max(0.0, _number(context, text.fill(context.values)))
        )
    seconds = step.seconds
    upto = step.upto
    if upto is not None:
        return lambda context: context.user.think.uniform(seconds, upto)
    if step.random:
        return lambda context: context.user.think.exponential(seconds)
    return lambda context: context.user.think(seconds)


def _set(step: SetVars, at: int, compilation: Compilation) -> Action:
    return set_action(step, compilation.files)


def _meet(step: Meet, at: int, compilation: Compilation) -> Action:
    return lambda context: context.user.meet(step.users)


def _abort(step: Abort, at: int, compilation: Compilation) -> Action:
    def abort(context: ScriptContext) -> None:
        if step.all:
            context.user.abort_run("a session came to an abort of all")
        else:
            context.user.count("abort_session")
        raise ScriptEnd(DONE)

    return abort


def _option(step: Option, at: int, compilation: Compilation) -> Action:
    def set_timeout(context: ScriptContext) -> None:
        context.timeout = step.value

    def set_read_rate(context: ScriptContext) -> None:
        context.read_rate = step.value

    return set_timeout if step.name == "connect_timeout" else set_read_rate


def _change(step: Change, at: int, compilation: Compilation) -> Action:
    async def change(context: ScriptContext) -> None:
        before = context.ws
        stored = context.stored
        context.url = step.url
        context.ws = stored if step.restore else None
        context.stored = before if step.store else None if step.restore else stored
        if before is not None and not step.store:
            await before.close()

    return change


def _interaction(step: Interaction, at: int, compilation: Compilation) -> Action:
    sent_at = compilation.sent_at

    def send(_: ScriptContext) -> None:
        sent_at[step.id] = monotonic()

    def receive(context: ScriptContext) -> None:
        if step.id in sent_at:
            context.user.took(f"tr_{step.id}", monotonic() - sent_at[step.id])

    return send if step.action == "send" else receive


STEP_ACTIONS: dict[type, Callable[[Any, int, Compilation], Action]] = {
    Connect: _connect,
    Send: _send,
    Receive: _receive,
    HttpStep: _http,
    Close: _close,
    Ping: _ping,
    Think: _think,
    SetVars: _set,
    Meet: _meet,
    Abort: _abort,
    Option: _option,
    Change: _change,
    Interaction: _interaction,
}
"""The functions that return the action of a step, by its type."""


# One function for each type of block: it returns the action at the block's beginning or end.


def _transaction(block: Transaction, boundary: Boundary) -> Action:
    name = block.name
    if boundary.begins:
        return lambda context: context.begin_transaction(name)
    return lambda context: context.end_transaction(name)


def _for(block: For, boundary: Boundary) -> Action:
    first = _whole(block.first)
    last = _whole(block.last)
    var = block.var

    def begin(context: ScriptContext) -> None:
        context.values[var] = first(context)

    def end(context: ScriptContext) -> int | None:
        value = _number(context, text_of(context.values.get(var)))
        if value >= last(context):
            return None
        context.values[var] = int(value) + block.step
        return boundary.jump

    return begin if boundary.begins else end


def _if(block: If, boundary: Boundary) -> Action:
    holds = _test_of(block.condition)
    var = block.condition.var

    def begin(context: ScriptContext) -> int | None:
        if var not in context.values:
            context.user.count("error_if_undef")
            return None
        return None if holds(context) else boundary.jump

    return begin


def _repeat(block: Repeat, boundary: Boundary) -> Action:
    holds = _test_of(block.condition)
    name = block.name
    var = block.condition.var

    def end(context: ScriptContext) -> int | None:
        values = context.values
        turn = values.get(name, 1)
        if turn > block.most:
            context.user.count("max_repeat")
            return None
        if var not in values:
            context.user.count(f"error_repeat_{name}undef")
            return None
        again = holds(context) is not block.until
        values[name] = turn + 1
        return boundary.jump if again else None

    return end


def _foreach(block: Foreach, boundary: Boundary) -> Action:
    choose = _choice_of(block)
    place = f"{block.var}_iter"

    def begin(context: ScriptContext) -> None:
        chosen = choose(context)
        if chosen is None:
            context.user.count(f"error_foreach_{block.values}undef")
        elif chosen:
            context.values[block.var] = chosen[0]
        context.values[place] = 2 if chosen else 1

    def end(context: ScriptContext) -> int | None:
        chosen = choose(context) or ()
        number = context.values[place]
        if number > len(chosen):
            return None
        context.values[block.var] = chosen[number - 1]
        context.values[place] = number + 1
        return boundary.jump

    return begin if boundary.begins else end


BOUNDARY_ACTIONS: dict[type, Callable[[Any, Boundary], Action]] = {
    Transaction: _transaction,
    For: _for,
    If: _if,
    Repeat: _repeat,
    Foreach: _foreach,
}
"""The functions that return the action of a block's boundary, by the block's type."""


def _choice_of(block: Foreach) -> Callable[[ScriptContext], Sequence[Any] | None]:
    """Returns a function that gives the values of a foreach.

    A variable that is no list is one value.
    """
    include = pattern_of(block.include) if block.include else None
    exclude = pattern_of(block.exclude) if block.exclude else None

    def fits(value: Any) -> bool:
        text = text_of(value)
        return not (include and not include.search(text)) and not (exclude and exclude.search(text))

    def choose(context: ScriptContext) -> Sequence[Any] | None:
        value = context.values.get(block.values)
        if value is None:
            return None
        return [item for item in (value if isinstance(value, list) else [value]) if fits(item)]

    return choose


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "gt": float.__gt__,
    "gte": float.__ge__,
    "lt": float.__lt__,
    "lte": float.__le__,
}


def _test_of(condition: Condition) -> Callable[[ScriptContext], bool]:
    """Returns a function that tests a condition whose variable is set.

    A text that should be a number and is not ends the session.
    """
    value = Template(condition.value)
    var = condition.var
    if condition.op in ("eq", "neq"):
        equal = condition.op == "eq"
        return lambda context: (text_of(context.values[var]) == value.fill(context.values)) is equal
    compare = _COMPARE[condition.op]
    return lambda context: compare(
        _number(context, text_of(context.values[var])),
        _number(context, value.fill(context.values)),
    )


def _whole(number: int | str) -> Callable[[ScriptContext], int]:
    if isinstance(number, int):
        return lambda _: number
    text = Template(number)
    return lambda context: int(_number(context, text.fill(context.values)))


def _number(context: ScriptContext, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise context.failed(ERROR_UNKNOWN)
    return number
