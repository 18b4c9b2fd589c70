"""Checks a script by its steps alone, before a user plays it."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from loadgen.errors import PlanError
from loadgen.plan.byte_text import bytes_of_hex
from loadgen.plan.request import RequestError, encoded_resource, request_mistakes
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
    Ping,
    Receive,
    Repeat,
    ReplyCheck,
    RequestStep,
    Send,
    SetVars,
    Step,
    Think,
    Transaction,
    steps_in,
    texts_in,
)
from loadgen.plan.template import Template, pattern_of

Connected = frozenset[bool]
"""The possible answers to whether the session has a connection: yes, no, or either."""
MAYBE: Connected = frozenset((True, False))
FILLED = ("value", "jsonpath", "base64", "hex", "bytes")
"""The sources into whose `value` variables are put."""
GIVEN = "tsung_userid"
"""The variable that every user has."""


class ScriptError(PlanError):
    """A mistake in a step of a script."""

    def __init__(self, step: Step | None, text: str) -> None:
        super().__init__(text)
        self.step = step
        """The step; None for the script as a whole."""


class Unset(NamedTuple):
    """A variable that a step reads and no step sets."""

    step: Step
    name: str
    fatal: bool
    """True when the step needs a value; otherwise it takes the text `undefined`."""


def check(steps: Sequence[Step], files: Mapping[str, str], given: Collection[str] = ()) -> None:
    """Raises ScriptError for the first step that can't be played.

    `given` are the variables that a user begins with: parameters, and the fields of its row.
    """
    for step in steps_in(steps):
        try:
            _check_step(step, files)
        except PlanError as error:
            raise ScriptError(step, str(error)) from error
    if not any(isinstance(step, Connect) for step in steps_in(steps)):
        raise ScriptError(None, "the script never connects; give it a connect request")
    _follow(steps, frozenset((False,)))
    for unset in unset_in(steps, given):
        if unset.fatal:
            raise ScriptError(
                unset.step,
                f"variable {unset.name!r} is set nowhere; set it before, or write the value",
            )


def _check_step(step: Step, files: Mapping[str, str]) -> None:
    if isinstance(step, RequestStep):
        _check_reply_parts(step)
    if isinstance(step, Connect):
        _check_request(step)
    elif isinstance(step, HttpStep):
        _check_http(step)
    elif isinstance(step, Send):
        _check_content(step)
    elif isinstance(step, Foreach):
        pattern_of(step.include)
        pattern_of(step.exclude)
    elif isinstance(step, SetVars):
        _check_source(step, files)


def _check_reply_parts(step: RequestStep) -> None:
    """Raises PlanError for a match, a value or a check that no reply can have."""
    for match in step.match:
        if not (match.subst and Template(match.pattern).names):
            pattern_of(match.pattern)
    for extract in step.extract:
        if extract.by == "re":
            _with_a_group(extract.expr)
    forms = {match.form for match in step.match} | {extract.form for extract in step.extract}
    if "http" in forms and not isinstance(step, HttpStep):
        raise PlanError("`form` http is for the reply to a `http` step; write text, hex or base64")
    if isinstance(step, Send | Receive):
        pattern_of(step.until)
        if step.until and isinstance(step, Send) and not step.ack:
            raise PlanError("`until` waits for a reply; write `ack = true`, or leave it out")
    for reply_check in step.check:
        _check_reply_check(reply_check, step)


def _check_request(step: Connect) -> None:
    """Raises PlanError for a request that can't be sent, whatever its variables hold."""
    for key, what in request_mistakes(step.headers.items(), step.subprotocols, step.origin):
        raise PlanError(f"`{key}` {what}")
    path = Template(step.path, subst=step.subst)
    begun = path.names and path.text.startswith("%%")
    try:
        encoded_resource(f"/{path.text}" if begun or not path.text else path.text)
    except RequestError as error:
        raise PlanError(f"`path`: {error}") from error


def _check_http(step: HttpStep) -> None:
    """Raises PlanError for an HTTP request that can't be sent."""
    bodies = [name for name in ("text", "json", "form") if getattr(step, name)]
    if len(bodies) > 1:
        raise PlanError(f"a request has one body, not {' and '.join(bodies)}; leave one out")
    whole = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", step.url)
    if whole and not re.match(r"https?://[^/]", step.url, re.IGNORECASE):
        raise PlanError(
            f"`url` {step.url!r} is no HTTP URL; write http://HOST/PATH, https://HOST/PATH, or a"
            " path of the target's own host"
        )
    for name, value in step.headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[\r\n\0]", value):
            raise PlanError(f"`headers`: {name!r} is no header that can be sent; correct it")


def _check_reply_check(check: ReplyCheck, step: RequestStep) -> None:
    """Raises PlanError for a check without a condition that the reply can have."""
    for pattern in (check.pattern, check.not_pattern):
        if not (step.subst and Template(pattern).names):
            pattern_of(pattern)
    if check.status and not isinstance(step, HttpStep):
        raise PlanError(
            f"check {check.name!r}: only the reply to a `http` step has a `status`; use `pattern`"
        )
    if not (check.pattern or check.not_pattern or check.jsonpath or check.status):
        raise PlanError(
            f"check {check.name!r} has no condition; give it `pattern`, `not_pattern`, `jsonpath`,"
            " or `status` of an HTTP request"
        )
    if check.equals is not None and not check.jsonpath:
        raise PlanError(
            f"check {check.name!r}: `equals` needs the `jsonpath` whose value it is compared with"
        )


def _check_content(step: Send) -> None:
    """Raises PlanError for a message that can't be made."""
    given = [key for key in ("text", "base64", "hex") if getattr(step, key) is not None]
    if len(given) != 1:
        raise PlanError(
            f"a message has {' and '.join(map(repr, given)) or 'no content'}; write one of text,"
            " base64 and hex"
        )
    if step.bytes_of is None:
        return
    if step.frame == "text":
        raise PlanError(f"`frame` is text, and `{given[0]}` has bytes; leave `frame` out")
    content = Template(step.content, subst=step.subst)
    if not content.names:
        try:
            step.bytes_of(content.text)
        except ValueError as error:
            raise PlanError(f"`{given[0]}`: {error}") from error


def _check_source(step: SetVars, files: Mapping[str, str]) -> None:
    if step.prefix and step.source not in ("hex", "bytes"):
        raise PlanError("`prefix` is for the sources hex and bytes; leave it out")
    if step.source == "re":
        _with_a_group(step.value)
    elif step.source == "bytes" and not Template(step.value).names:
        try:
            bytes_of_hex(step.value)
        except ValueError as error:
            raise PlanError(f"`value`: {error}") from error
    elif step.source == "random_number" and step.start > step.end:
        raise PlanError(
            f"a random number from {step.start} to {step.end} runs backwards; write the smaller one"
            " first"
        )
    elif step.source == "file" and step.file not in files:
        raise PlanError(
            f"file {step.file!r} is none of the plan's files; put its text under `files`"
        )


def _with_a_group(text: str) -> None:
    if not pattern_of(text).groups:
        raise PlanError(
            f"{text!r} has no group; put parentheses round what the variable is to hold"
        )


def _follow(steps: Sequence[Step], connected: Connected) -> Connected:
    """Returns whether the session is connected after the steps.

    Raises ScriptError where a step needs a connection and the session can't have one.
    """
    for step in steps:
        if isinstance(step, Send | Receive | Ping | Close) and True not in connected:
            raise ScriptError(
                step, "the session has no connection here; put a connect request before it"
            )
        if isinstance(step, Connect | Close):
            connected = frozenset((isinstance(step, Connect),))
        elif isinstance(step, Change):
            connected = MAYBE if step.restore else frozenset((False,))
        elif isinstance(step, Abort):
            connected = MAYBE
        elif isinstance(step, If):
            connected |= _follow(step.steps, connected)
        elif isinstance(step, Transaction | For | Repeat | Foreach):
            connected = _follow(step.steps, connected)
    return connected


def unset_in(steps: Sequence[Step], given: Collection[str] = ()) -> Iterator[Unset]:
    """Yields the variables that steps read and no step sets, in their order.

    `given` are those that a user begins with.
    """
    known = {GIVEN, *given} | {name for step in steps_in(steps) for name in _set_by(step)}
    for step in steps_in(steps):
        for name in dict.fromkeys(_needed_by(step)):
            if name not in known:
                yield Unset(step, name, fatal=True)
        for name in dict.fromkeys(_named_by(step)):
            if name not in known:
                yield Unset(step, name, fatal=False)


def names_in(steps: Sequence[Step]) -> frozenset[str]:
    """Returns the names of the variables that steps read."""
    return frozenset(
        name for step in steps_in(steps) for name in (*_needed_by(step), *_named_by(step))
    )


def _set_by(step: Step) -> Iterator[str]:
    if isinstance(step, RequestStep):
        yield from (extract.var for extract in step.extract)
    elif isinstance(step, SetVars):
        yield from step.names
    elif isinstance(step, Repeat):
        yield step.name
    elif isinstance(step, For):
        yield step.var
    elif isinstance(step, Foreach):
        yield from (step.var, f"{step.var}_iter")


def _needed_by(step: Step) -> Iterator[str]:
    """Yields the variables that have to be numbers, or that are searched."""
    if isinstance(step, Think):
        yield from _names(step.seconds)
    elif isinstance(step, For):
        yield from (*_names(step.first), *_names(step.last))
    elif isinstance(step, SetVars) and step.source in ("jsonpath", "re"):
        yield step.var


def _named_by(step: Step) -> Iterator[str]:
    """Yields the variables that are put into text, or compared."""
    if isinstance(step, If | Repeat):
        yield from _compared(step.condition)
    elif isinstance(step, Foreach):
        yield step.values
    elif isinstance(step, SetVars) and step.source in FILLED:
        yield from _names(step.value)
    elif isinstance(step, RequestStep):
        yield from (name for match in step.match if match.subst for name in _names(match.pattern))
        yield from (name for text in _texts(step) if step.subst for name in _names(text))


def _texts(step: RequestStep) -> Iterator[str]:
    if isinstance(step, Connect):
        yield from (step.path, *step.headers.values())
    elif isinstance(step, HttpStep):
        yield from (step.url, step.text, *step.headers.values(), *step.form.values())
        yield from step.auth or ()
        yield from texts_in(step.json)
    elif isinstance(step, Send):
        yield step.content
    yield from (extract.expr for extract in step.extract if extract.by == "jsonpath")
    for check in step.check:
        yield from (check.pattern, check.not_pattern, check.jsonpath)
        yield from texts_in(check.equals)


def _compared(condition: Condition) -> Iterator[str]:
    yield condition.var
    yield from _names(condition.value)


def _names(text: float | str) -> tuple[str, ...]:
    return Template(text).names if isinstance(text, str) else ()
