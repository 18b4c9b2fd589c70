"""A script as a flat program that all its users share: one act a step, jumps instead of nesting.

The acts are numbered as Tsung numbers its own, so that a match's `loop_back` counts the same: the
beginning and the end of a transaction, a `for` and a `foreach`, the beginning of an `if` and the
end of a `repeat` are acts of their own.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import singledispatch
from math import isfinite, nan
from time import monotonic
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
    If,
    Interaction,
    Meet,
    Option,
    Ping,
    Receive,
    Repeat,
    Send,
    SetVars,
    Step,
    Think,
    Transaction,
)
from loadgen.plan.script_check import check
from loadgen.plan.sessions import Script
from loadgen.plan.template import Template, pattern_of, text_of
from loadgen.sessions.errors import ConnectFailed, ConnectionEnded
from loadgen.sessions.script.context import Act, ScriptContext, ScriptEnd
from loadgen.sessions.script.requests import (
    Reception,
    closes,
    connects,
    pings,
    request,
    sends,
    tells,
)
from loadgen.sessions.script.variables import sets
from loadgen.sessions.user import Session, User
from loadgen.stats.reasons import DONE, ERROR_UNKNOWN

PATIENCE = 256
"""Acts in a row, after which others get their turn: a loop without think times must not stall
the worker."""


def player_of(script: Script, files: Mapping[str, str], receive_timeout: float) -> Session:
    """The session that plays this script; raises PlanError, naming the script, where it can't be
    played."""
    try:
        program = program_of(script.steps, files, receive_timeout)
    except PlanError as error:
        raise PlanError(f"session {script.name!r}: {error}") from error
    size = len(program)

    async def play(user: User) -> None:
        context = ScriptContext(user)
        at = acts = 0
        try:
            while at < size:
                went: Any = program[at](context)
                if went is not None and not isinstance(went, int):
                    went = await went
                at = at + 1 if went is None else went
                acts += 1
                if acts % PATIENCE == 0:
                    await asyncio.sleep(0)
        except ScriptEnd as over:
            context.close(str(over))
        except (ConnectFailed, ConnectionEnded):
            pass  # the ledger has the reason
        context.finish()

    return play


class Edge(NamedTuple):
    """The beginning or the end of a block of steps."""

    block: Transaction | For | Foreach | If | Repeat
    begins: bool
    other: int
    """The number of the first act inside (for an end), or of the first one behind it (for a
    beginning)."""


class CompileContext(NamedTuple):
    """What acts are made from, besides their steps."""

    flat: Sequence[Step | Edge]
    files: Mapping[str, str]
    reception: Reception
    sent: dict[str, float]
    """When the sides of interactions were last sent, on this worker."""


def program_of(
    steps: Sequence[Step], files: Mapping[str, str], receive_timeout: float
) -> tuple[Act, ...]:
    """The acts of these steps; raises Unsound for one that can't be played."""
    check(steps, files)
    flat: list[Step | Edge] = []
    _flatten(steps, flat)
    keeps = any(isinstance(step, Receive) for step in flat)
    stage = CompileContext(flat, files, Reception(receive_timeout, keeps=keeps), {})
    return tuple(act_of(step, at, stage) for at, step in enumerate(flat))


def _flatten(steps: Sequence[Step], flat: list[Step | Edge]) -> None:
    for step in steps:
        if not isinstance(step, Transaction | For | Foreach | If | Repeat):
            flat.append(step)
            continue
        first = len(flat)
        if not isinstance(step, Repeat):
            flat.append(Edge(step, begins=True, other=0))
        _flatten(step.steps, flat)
        if not isinstance(step, If):
            flat.append(Edge(step, begins=False, other=first + (not isinstance(step, Repeat))))
        if not isinstance(step, Repeat):
            flat[first] = Edge(step, begins=True, other=len(flat))


def _ends_page(at: int, flat: Sequence[Step | Edge]) -> bool:
    """Whether no request follows at once, as the steps are written; transactions do not count."""
    for step in flat[at + 1 :]:
        if not (isinstance(step, Edge) and isinstance(step.block, Transaction)):
            return not isinstance(step, Connect | Send | Receive | Close)
    return True


@singledispatch
def act_of(step: Any, at: int, stage: CompileContext) -> Act:
    """The act of one step."""
    raise AssertionError(step)


@act_of.register
def _(step: Connect, at: int, stage: CompileContext) -> Act:
    return request(connects(step, stage.reception), at, step, ends_page=_ends_page(at, stage.flat))


@act_of.register
def _(step: Send, at: int, stage: CompileContext) -> Act:
    ends_page = _ends_page(at, stage.flat)
    if not step.ack:
        return tells(step, ends_page=ends_page)
    return request(sends(step, stage.reception), at, step, ends_page=ends_page)


@act_of.register
def _(step: Receive, at: int, stage: CompileContext) -> Act:
    return request(stage.reception.reply, at, step, ends_page=_ends_page(at, stage.flat))


@act_of.register
def _(step: Close, at: int, stage: CompileContext) -> Act:
    return request(closes, at, ends_page=_ends_page(at, stage.flat))


@act_of.register
def _(step: Ping, at: int, stage: CompileContext) -> Act:
    return pings


@act_of.register
def _(step: Think, at: int, stage: CompileContext) -> Act:
    if isinstance(step.seconds, str):
        text = Template(step.seconds)
        return lambda context: context.user.think(
            max(0.0, _number(context, text.fill(context.values)))
        )
    seconds, upto = step.seconds, step.upto
    if upto is not None:
        return lambda context: context.user.think.uniform(seconds, upto)
    if step.random:
        return lambda context: context.user.think.exponential(seconds)
    return lambda context: context.user.think(seconds)


@act_of.register
def _(step: SetVars, at: int, stage: CompileContext) -> Act:
    return sets(step, stage.files)


@act_of.register
def _(step: Meet, at: int, stage: CompileContext) -> Act:
    return lambda context: context.user.meet(step.users)


@act_of.register
def _(step: Abort, at: int, stage: CompileContext) -> Act:
    def act(context: ScriptContext) -> None:
        if step.all:
            context.user.abort_run("a session came to an abort of all")
        else:
            context.user.count("abort_session")
        raise ScriptEnd(DONE)

    return act


@act_of.register
def _(step: Option, at: int, stage: CompileContext) -> Act:
    def set_timeout(context: ScriptContext) -> None:
        context.timeout = step.value

    def set_read_rate(context: ScriptContext) -> None:
        context.read_rate = step.value

    return set_timeout if step.name == "connect_timeout" else set_read_rate


@act_of.register
def _(step: Change, at: int, stage: CompileContext) -> Act:
    async def act(context: ScriptContext) -> None:
        before, kept = context.ws, context.aside
        context.url, context.ws = step.url, kept if step.restore else None
        context.aside = before if step.store else None if step.restore else kept
        if before is not None and not step.store:
            await before.close()

    return act


@act_of.register
def _(step: Interaction, at: int, stage: CompileContext) -> Act:
    sent = stage.sent

    def send(_: ScriptContext) -> None:
        sent[step.id] = monotonic()

    def receive(context: ScriptContext) -> None:
        if step.id in sent:
            context.user.took(f"tr_{step.id}", monotonic() - sent[step.id])

    return send if step.action == "send" else receive


@act_of.register
def _(edge: Edge, at: int, stage: CompileContext) -> Act:
    return edge_of(edge.block, edge)


@singledispatch
def edge_of(block: Any, edge: Edge) -> Act:
    """The act at the beginning or the end of a block."""
    raise AssertionError(block)


@edge_of.register
def _(block: Transaction, edge: Edge) -> Act:
    name = block.name
    return (lambda p: p.enter(name)) if edge.begins else (lambda p: p.quit(name))


@edge_of.register
def _(block: For, edge: Edge) -> Act:
    first, last, var, back = _whole(block.first), _whole(block.last), block.var, edge.other

    def begin(context: ScriptContext) -> None:
        context.values[var] = first(context)

    def end(context: ScriptContext) -> int | None:
        value = _number(context, text_of(context.values.get(var)))
        if value >= last(context):
            return None
        context.values[var] = int(value) + block.step
        return back

    return begin if edge.begins else end


@edge_of.register
def _(block: If, edge: Edge) -> Act:
    holds, name = _holds(block.condition), block.condition.var

    def act(context: ScriptContext) -> int | None:
        if name not in context.values:
            context.user.count("error_if_undef")
            return None
        return None if holds(context) else edge.other

    return act


@edge_of.register
def _(block: Repeat, edge: Edge) -> Act:
    holds, name, var = _holds(block.condition), block.name, block.condition.var

    def act(context: ScriptContext) -> int | None:
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
        return edge.other if again else None

    return act


@edge_of.register
def _(block: Foreach, edge: Edge) -> Act:
    chosen, place = _chosen(block), f"{block.var}_iter"

    def begin(context: ScriptContext) -> None:
        found = chosen(context)
        if found is None:
            context.user.count(f"error_foreach_{block.values}undef")
        elif found:
            context.values[block.var] = found[0]
        context.values[place] = 2 if found else 1

    def end(context: ScriptContext) -> int | None:
        found, number = chosen(context) or (), context.values[place]
        if number > len(found):
            return None
        context.values[block.var] = found[number - 1]
        context.values[place] = number + 1
        return edge.other

    return begin if edge.begins else end


def _chosen(block: Foreach) -> Callable[[ScriptContext], Sequence[Any] | None]:
    """The values that a foreach goes through; a variable that is no list has one."""
    include = pattern_of(block.include) if block.include else None
    exclude = pattern_of(block.exclude) if block.exclude else None

    def fits(value: Any) -> bool:
        text = text_of(value)
        return not (include and not include.search(text)) and not (exclude and exclude.search(text))

    def chosen(context: ScriptContext) -> Sequence[Any] | None:
        value = context.values.get(block.values)
        if value is None:
            return None
        return [item for item in (value if isinstance(value, list) else [value]) if fits(item)]

    return chosen


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "gt": float.__gt__,
    "gte": float.__ge__,
    "lt": float.__lt__,
    "lte": float.__le__,
}


def _holds(condition: Condition) -> Callable[[ScriptContext], bool]:
    """Whether a condition holds whose variable is set; what should be a number and is none ends
    the session."""
    value, var = Template(condition.value), condition.var
    if condition.op in ("eq", "neq"):
        equal = condition.op == "eq"
        return lambda p: (text_of(p.values[var]) == value.fill(p.values)) is equal
    compare = _COMPARE[condition.op]
    return lambda p: compare(_number(p, text_of(p.values[var])), _number(p, value.fill(p.values)))


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
