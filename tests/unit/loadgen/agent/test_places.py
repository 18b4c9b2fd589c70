"""The places that redirects lead to: resolved, or refused."""

import pytest
from msgspec.structs import replace

from loadgen.agent.places import resolve_place
from loadgen.net.allowed import AllowedTargets
from loadgen.plan.plan import Plan
from tests.unit.loadgen.agent.test_jobs import part_of

PART = part_of(Plan(max=10))
PART = PART._replace(
    settings=replace(PART.settings, allowed_targets=AllowedTargets(("127.0.0.1",)))
)


async def test_a_place_that_the_owner_allows_is_resolved():
    found = await resolve_place("ws://127.0.0.1:9/there", PART)

    assert not isinstance(found, str)
    assert (found.url, found.addresses) == ("ws://127.0.0.1:9/there", ("127.0.0.1",))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (
            "ws://192.0.2.1/",
            "refuses target 192.0.2.1: start the agent with --allow-target 192.0.2.1",
        ),
        ("ws://no-such-host.invalid/", "can't go there: "),
    ],
)
async def test_another_place_is_refused_with_the_reason(url, why):
    found = await resolve_place(url, PART)

    assert isinstance(found, str)
    assert found.startswith(why)
