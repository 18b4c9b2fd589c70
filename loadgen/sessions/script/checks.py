"""The checks of a script's replies.

Each is counted under its name. A reply that never came fails all checks on it.
"""

from collections.abc import Callable

from loadgen.plan.byte_text import text_of_message
from loadgen.plan.jsonpath import NOTHING, find_in, is_same, json_in, path_by
from loadgen.plan.script import HttpStep, ReplyCheck, RequestStep
from loadgen.plan.template import Template, pattern_of, text_of
from loadgen.sessions.errors import CheckFailed, ConnectFailed, ConnectionEnded
from loadgen.sessions.script.context import Exchange, Reply, ScriptContext, ScriptEnd
from loadgen.stats.reasons import ERROR_CHECK

MAX_SHOWN = 2000
"""Characters of a reply that the sample of a failed check shows."""
Test = Callable[[ScriptContext, str], bool]
"""Returns whether a condition holds for a reply."""


class ReplyChecks:
    """The checks of one step."""

    def __init__(self, checks: list[tuple[ReplyCheck, list[Test]]]) -> None:
        self._checks = checks

    async def reply_of(self, exchange: Exchange, context: ScriptContext) -> Reply:
        """Returns the reply; where none comes, the checks have failed."""
        try:
            return await exchange(context)
        except (ScriptEnd, ConnectFailed, ConnectionEnded) as end:
            for check, _ in self._checks:
                context.user.check(check.name, False, sample=f"no reply came: {end}")
            raise

    def apply(self, context: ScriptContext, message: Reply) -> None:
        """Counts each check; raises ScriptEnd for one that is fatal."""
        reply = text_of_message(message, "text")
        for check, tests in self._checks:
            held = all(test(context, reply) for test in tests)
            status = f"status {context.http.status}\n" if check.status else ""
            try:
                context.user.check(
                    check.name, held, fatal=check.fatal, sample=status + reply[:MAX_SHOWN]
                )
            except CheckFailed:
                raise context.failed(ERROR_CHECK) from None


def checks_of(step: RequestStep) -> ReplyChecks:
    """Returns the checks of a step."""
    return ReplyChecks([(check, list(_tests_of(check, step))) for check in step.check])


def _tests_of(check: ReplyCheck, step: RequestStep) -> list[Test]:
    tests: list[Test] = []
    if check.status and isinstance(step, HttpStep):
        allowed = (check.status,) if isinstance(check.status, int) else check.status
        tests.append(lambda context, _: context.http.status in allowed)
    if check.pattern:
        tests.append(_pattern_test(check.pattern, subst=step.subst, wanted=True))
    if check.not_pattern:
        tests.append(_pattern_test(check.not_pattern, subst=step.subst, wanted=False))
    if check.jsonpath:
        tests.append(_path_test(check, subst=step.subst))
    return tests


def _pattern_test(text: str, *, subst: bool, wanted: bool) -> Test:
    template = Template(text, subst=subst)
    if template.names:
        return lambda context, reply: (
            (pattern_of(template.fill(context.values)).search(reply) is not None) is wanted
        )
    pattern = pattern_of(text)
    return lambda _, reply: (pattern.search(reply) is not None) is wanted


def _path_test(check: ReplyCheck, *, subst: bool) -> Test:
    path = path_by(Template(check.jsonpath, subst=subst))
    equals = check.equals
    expected = Template(equals, subst=subst) if isinstance(equals, str) else None

    def test(context: ScriptContext, reply: str) -> bool:
        found = find_in(path(context.values), json_in(reply))
        if found is NOTHING or equals is None:
            return found is not NOTHING
        if expected is not None:
            return text_of(found) == expected.fill(context.values)
        return is_same(found, equals)

    return test
