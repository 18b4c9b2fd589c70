"""A fleet made of plain values.

Its agents join, post and fall silent when a test says so.
"""

from msgspec.structs import replace

from coordinator.run.agents import digest_of
from coordinator.run.run import Run
from coordinator.run.steering import Wish
from loadgen.machine.limits import Limit
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.plan.setup import SetupSpec
from loadgen.stats.delivery import News, Published
from loadgen.stats.fanin import Second, Settled
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from loadgen.stats.vitals import WorkerVitals
from loadgen.wire import WIRE, ErrandResult, Hello, Post
from tests.unit.strategies import merged

PLAN = Plan(max=1000, rate=100.0, hold=5.0)
FIX = "raise --max-connections"


SECRET = "sesame"
"""The secret of each agent."""


def hello(name="host", holds=64_000, wire=WIRE):
    """Returns the hello of an agent whose machine holds `holds` connections."""
    mine = Limit("max_connections", holds, f"--max-connections {holds}", FIX)
    memory = Limit("memory", 1_000_000, "16 GiB", "add memory")
    return Hello(name, wire, "0.1.0", holds, (mine, memory), {"cpus": 2})


def ready(**fields):
    """Returns a post of an agent that is ready."""
    return Post(ready=True, **fields)


def opened(number, count, *, held=None, rtt=4000, alive=None):
    """Returns a second in which `count` connections opened.

    At its end the agent holds `held` connections, by default the same number; of these, `alive`
    answered lately.
    """
    tally = Tally(launched=count, opened=count, pings=count, pongs=count, sessions_started=count)
    for _ in range(count):
        tally.handshake.record(3000)
        tally.ping_rtt.record(rtt)
    holds = Held(0, count if held is None else held, alive=alive)
    return Second(number, tally, holds, cpu_s=0.1 * number, rss=1 << 20)


def drained(number, count):
    """Returns a second in which all `count` connections of an agent were closed."""
    return Second(
        number,
        Tally(closed={"drained": count}, sessions_done=count),
        Held(),
        cpu_s=0.1 * number,
        rss=1 << 20,
    )


def seconds(*items, finished=False):
    """Returns a post with seconds."""
    return ready(
        seconds=items, finished=finished, workers=(WorkerVitals(0, 0.5, 1 << 20),), agent_cpu_s=0.25
    )


def started(run, names=("a", "b"), now=0.0, **fields):
    """Joins agents and starts the run; returns their ids.

    Its second 0 begins at `run.start`.
    """
    ids = [run.join(hello(name, **fields), now, digest_of(SECRET)).id for name in names]
    for agent in ids:
        posted(run, agent, ready(), now)
    assert run.tick(now) == []
    assert run.state == "running"
    return ids


def posted(run, agent, post, now):
    """Posts from an agent; returns its orders, as the port sends them."""
    run.post(agent, post, now)
    return run.orders(agent, now)


def steer(run, age, **wish):
    """Has the operator ask for a change at an age of the run."""
    run.steer(Wish(**wish), run.start + age)


def warnings(run):
    """Returns the warnings for the operator since the last call."""
    return [notice.text for notice in run.notices.take() if not notice.agent]


def beat(run, agents, now, *items, **fields):
    """Posts the same seconds from each agent, then ticks.

    Returns the orders and the entries.
    """
    orders = [posted(run, agent, seconds(*items, **fields), now) for agent in agents]
    return orders, run.tick(now)


def alive(run, agents, start, end):
    """Posts nothing new from each agent every second from `start` to `end`."""
    now = start
    while now < end:
        beat(run, agents, now)
        now += 1.0


def entries(run, *posts):
    """Posts from the one agent of a run, each in its time; yields what settles."""
    (agent,) = started(run, ["a"])
    for post in posts:
        now = run.start + max((second.number for second in post.seconds), default=0) + 1.0
        posted(run, agent, post, now)
        yield from run.tick(now)


def counted():
    """Returns a run of two agents, and its first second, which has failures."""
    run = Run(PLAN, 2)
    agents = started(run)
    for agent in agents:
        second = opened(0, 10)
        second.tally.failed, second.tally.launched = {"refused": 2}, 12
        posted(run, agent, seconds(second), run.start + 1.0)
    (entry,) = run.tick(run.start + 1.0)
    return run, entry.row


PUBLISHING = Plan(max=1000, rate=100.0, hold=10.0, publish=Publish(grace=2.0))
SENT = Published("here-run.0", 0, 1_000_000)


def with_news(number, **news):
    """A second of an agent that has news about publications."""
    second = opened(number, 5)
    second.news = News(**news)
    return second


PREPARED = replace(PLAN, setup=SetupSpec(file="prepare.py", teardown="teardown"))


def gathered(plan=PREPARED, wanted=2):
    """Returns a run whose agents are ready, and their ids; setup is under way."""
    run = Run(plan, wanted)
    ids = [run.join(hello(name), 0.0).id for name in ("a", "b")]
    for agent in ids:
        posted(run, agent, ready(), 0.0)
    run.tick(0.0)
    return run, ids


def waits(run, agents, start, end):
    """Posts that agents are ready, and ticks, twice a second from `start` to `end`."""
    for step in range(int(2 * start), int(2 * end)):
        for agent in agents:
            posted(run, agent, ready(), step / 2)
        run.tick(step / 2)


def prepared():
    """Returns a run that has started with data of its setup, and its agents' ids."""
    run, ids = gathered()
    posted(run, ids[0], ready(errand=ErrandResult(1, b"[1]")), 1.0)
    run.tick(1.0)
    assert run.state == "running"
    return run, ids


def begun(run, apart, *items):
    """Returns a post of an agent whose second 0 began `apart` seconds late."""
    return replace(seconds(*items), began=run.start + apart)


def first_release(second, parts, missing=(), lost=()):
    """Returns a second as it is first released: all counts of its parts are fresh."""
    fresh = merged(part.tally for part in parts.values())
    return Settled(second, parts, list(missing), list(lost), fresh)
