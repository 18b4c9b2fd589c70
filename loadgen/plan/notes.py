"""Mistakes and remarks that the rows and texts of a plan show."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from loadgen.errors import PlanError
from loadgen.plan.feeder import Feeder, Ranks
from loadgen.plan.plan import Plan
from loadgen.plan.script import Send, located_in
from loadgen.plan.script_check import unset_in
from loadgen.plan.sessions import Script
from loadgen.plan.template import Template, text_of

MAX_COUNTED = 4_000_000
"""Users whose sessions are drawn to count those of a feeder; of more users their part is taken."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def users_of(feeder: Feeder, plan: Plan) -> int:
    """Returns how many of the plan's users have a row of a feeder."""
    specs = plan.session_specs
    fed = [place for place, spec in enumerate(specs) if feeder.feeds(spec.name)]
    total = plan.total
    if len(fed) == len(specs):
        return total
    counted = min(total, MAX_COUNTED)
    return Ranks(plan.session_of, fed)(counted) * total // counted


def check_rows(plan: Plan) -> None:
    """Raises PlanError where users have no row, or their rows lack a field."""
    for place, feeder in enumerate(plan.feeders):
        users = users_of(feeder, plan)
        if feeder.mode == "unique" and feeder.at_end == "fail" and users > feeder.count:
            raise PlanError(
                f"`feeders[{place}]`: {feeder.name!r} has {_rows(feeder)} for {users:,} users; ask"
                ' for fewer users, or say what becomes of the others: `at_end` = "stop" or "wrap",'
                ' or `mode` = "shared"'
            )
    if plan.feeders:
        _check_variables(plan)


def _check_variables(plan: Plan) -> None:
    """Raises PlanError where the request of a user can't be filled from its row."""
    used: set[str] = set()
    for at, text in _requests(plan):
        names = Template(text).names
        used.update(names)
        if names and at == "transport.headers.host":
            raise PlanError(f"`{at}` reads {names[0]!r} from rows; write one host for all users")
        for spec in plan.session_specs:
            for name in names:
                if name not in plan.columns_of(spec.name):
                    raise PlanError(
                        f"`{at}` reads {name!r}, and the users of session {spec.name!r} have no"
                        f" such field: {', '.join(plan.columns_of(spec.name)) or 'they have none'}"
                    )
    for place, feeder in enumerate(plan.feeders):
        read = [at for at, column in enumerate(feeder.columns) if column in used]
        if read:
            _check_values(feeder, place, read)


def _check_values(feeder: Feeder, place: int, read: Sequence[int]) -> None:
    """Raises PlanError for a value that can't stand in a request."""
    for number, line in enumerate(feeder.table.splitlines(), 1):
        row = msgspec.json.decode(line)
        for at in read:
            if _CONTROL.search(text_of(row[at])):
                raise PlanError(
                    f"`feeders[{place}]`: {feeder.columns[at]!r} of row {number} has a control"
                    " character, which no request may have; leave it out"
                )


def _requests(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yields place and text of what may have variables in requests of users."""
    for place, server in enumerate(plan.servers):
        yield f"targets[{place}].url" if plan.targets else "target", server.url
    for name, value in plan.transport.headers.items():
        yield f"transport.headers.{name.lower() if name.lower() == 'host' else name}", value


def notes_on(plan: Plan) -> Iterator[str]:
    """Yields a line for each thing in a plan that may not be what its author means."""
    for place, feeder in enumerate(plan.feeders):
        users = users_of(feeder, plan)
        if feeder.mode == "unique" and users > feeder.count:
            what = (
                "rows repeat after that"
                if feeder.endless
                else f"{users - feeder.count:,} users end as no_row"
            )
            yield f"feeders[{place}]: {_rows(feeder)} for {users:,} users; {what}"
    if not plan.feeders:
        for at, text in _requests(plan):
            for name in Template(text).names:
                yield f"{at}: no feeder has {name!r}; %%{name}%% is sent as it stands"
    for place, session in enumerate(plan.sessions):
        if isinstance(session, Script):
            yield from _notes_on_script(session, plan, f"sessions[{place}]")


def _notes_on_script(session: Script, plan: Plan, at: str) -> Iterator[str]:
    places = {id(step): where for where, step in located_in(session.steps, at)}
    for unset in unset_in(session.steps, plan.variables_of(session.name)):
        yield f"{places[id(unset.step)]}: {unset.name!r} is set nowhere; its text is `undefined`"
    for where, step in located_in(session.steps, at):
        if isinstance(step, Send) and step.frame == "binary" and step.bytes_of is None:
            odd = next((sign for sign in step.content if not sign.isascii()), "")
            if odd:
                yield (
                    f"{where}.text: it is sent as UTF-8, {odd!r} as the bytes"
                    f" {odd.encode().hex(' ')}; write other bytes as `hex` or `base64`"
                )


def _rows(feeder: Feeder) -> str:
    return f"{feeder.count:,} row{'' if feeder.count == 1 else 's'}"
