"""Requests to a coordinator's port, and what they find."""

from tests.unit.coordinator.fleet import SECRET, opened, posted, seconds, started


async def error_of(reply):
    """Returns the status and the text of a refusal."""
    return reply.status, (await reply.json())["error"]


def posts_of(agent):
    """Returns the path at which an agent posts."""
    return f"/v1/agents/{agent}.{SECRET}/seconds"


def with_a_second(run):
    """Starts the run and settles its first second.

    Returns the ids of its agents and the entry.
    """
    agents = started(run)
    for agent in agents:
        posted(run, agent, seconds(opened(0, 10)), run.start + 1.0)
    (entry,) = run.tick(run.start + 1.5)
    return agents, entry
