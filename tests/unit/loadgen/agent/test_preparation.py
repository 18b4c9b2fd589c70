"""The preparation of an agent: what it gets, and why it refuses a run."""

import sys

import pytest
from msgspec.structs import replace

from loadgen.plan.feeder import Feeder
from loadgen.plan.feeder_file import with_rows
from loadgen.plan.plan import Plan
from loadgen.plan.session_file import digest
from loadgen.plan.sessions import PythonSession
from tests.unit.loadgen.agent.gathering import (
    SESSION,
    gathering,
    joined,
    plan_on,
    refusal_of,
    served,
)


async def test_a_target_that_the_owner_did_not_allow_is_refused(tmp_path):
    plan = Plan(target="ws://192.0.2.1:9/", max=10)
    async with gathering(plan, tmp_path) as found, joined(found) as running:
        assert await refusal_of(found, running) == (
            "refuses target 192.0.2.1: start the agent with --allow-target 192.0.2.1"
        )


@pytest.mark.parametrize(
    ("options", "sha256", "refusal"),
    [
        (
            {},
            digest(SESSION),
            "runs no session in Python (chat.py): start the agent with --allow-sessions",
        ),
        (
            {"allow_sessions": True},
            "0" * 64,
            ("got chat.py with another SHA-256 than the plan says: start the coordinator anew"),
        ),
    ],
)
async def test_a_session_that_is_not_allowed_or_not_the_plans_is_refused(
    server, tmp_path, options, sha256, refusal
):
    session = PythonSession(name="chat", file="chat.py", source=SESSION, sha256=sha256)
    plan = plan_on(server, sessions=(session,))
    async with gathering(plan, tmp_path) as found, joined(found, **options) as running:
        assert await refusal_of(found, running) == refusal


async def test_a_session_file_that_cannot_be_imported_here_is_refused(server, tmp_path):
    source = "import no_such_module\n" + SESSION
    session = PythonSession(name="chat", file="chat.py", source=source, sha256=digest(source))
    plan = plan_on(server, sessions=(session,))
    async with (
        gathering(plan, tmp_path) as found,
        joined(found, allow_sessions=True) as running,
    ):
        assert await refusal_of(found, running) == (
            "lacks the library no_such_module, which chat.py:1 imports: run"
            f" {sys.executable} -m pip install no_such_module on that machine"
        )


async def test_an_agent_gets_the_rows_of_users_and_each_user_has_its_own(server, tmp_path):
    source = "async def session(user):\n    user.count(user.row['id'])\n    await user.connect()\n"
    session = PythonSession(name="chat", file="chat.py", source=source, sha256=digest(source))
    users = with_rows(Feeder(rows=tuple({"id": f"u{n % 4}"} for n in range(20))), None)
    plan = plan_on(server, sessions=(session,), feeders=(users,), hold=0.5)
    async with gathering(plan, tmp_path) as found, joined(found, allow_sessions=True) as running:
        await served(running)

    assert running.pool.fanin.total.counters == {f"u{n}": 5 for n in range(4)}


async def test_rows_with_another_hash_are_refused(server, tmp_path):
    users = replace(with_rows(Feeder(rows=({"id": 1},), mode="shared"), None), sha256="0" * 64)
    plan = plan_on(server, feeders=(users,))
    async with gathering(plan, tmp_path) as found, joined(found) as running:
        assert await refusal_of(found, running) == (
            "got the rows of feeder 'users' with another SHA-256 than the plan says: start the"
            " coordinator anew"
        )
