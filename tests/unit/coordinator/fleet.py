"""A fleet made of plain values: agents that join, speak and fall silent when a test says so."""

from loadgen.machine.limits import Limit
from loadgen.plan.plan import Plan
from loadgen.stats.fanin import Second
from loadgen.stats.tally import Held, Tally, WorkerVitals
from loadgen.wire import WIRE, Hello, Post

PLAN = Plan(max=1000, rate=100.0, hold=5.0)
MEND = "raise --max-connections"


def hello(name="host", holds=64_000, wire=WIRE):
    limit = Limit("max_connections", holds, f"--max-connections {holds}", MEND)
    return Hello(name, wire, "0.1.0", holds, (limit,), {"cpus": 2})


def ready(**fields):
    return Post(ready=True, **fields)


def opened(number, count, *, held=None, rtt=4000):
    """A second in which so many connections opened; `held` is how many its agent then holds."""
    tally = Tally(launched=count, opened=count, pings=count, pongs=count, sessions_started=count)
    for _ in range(count):
        tally.handshake.record(3000)
        tally.ping_rtt.record(rtt)
    return Second(
        number, tally, Held(0, count if held is None else held), cpu_s=0.1 * number, rss=1 << 20
    )


def drained(number, count):
    """A second in which all of so many connections were closed."""
    return Second(
        number,
        Tally(closed={"drained": count}, sessions_done=count),
        Held(),
        cpu_s=0.1 * number,
        rss=1 << 20,
    )


def seconds(*items, finished=False):
    return ready(
        seconds=items, finished=finished, workers=(WorkerVitals(0, 0.5, 1 << 20),), agent_cpu_s=0.25
    )


def started(run, names=("a", "b"), now=0.0, **fields):
    """Lets agents join and the run start; returns their ids, with second 0 to begin at
    `run.start`."""
    ids = [run.join(hello(name, **fields), now).id for name in names]
    for agent in ids:
        run.post(agent, ready(), now)
    assert run.tick(now) == []
    assert run.state == "running"
    return ids


def warnings(run):
    """What the operator is told, since it was last asked."""
    return [news.text for news in run.notices.take() if not news.agent]


def beat(run, agents, now, *items, **fields):
    """Each of the agents posts the same seconds; then time passes."""
    orders = [run.post(agent, seconds(*items, **fields), now) for agent in agents]
    return orders, run.tick(now)


def alive(run, agents, start, end):
    """Agents that say nothing new every second from start to end."""
    now = start
    while now < end:
        beat(run, agents, now)
        now += 1.0


def entries(run, *posts):
    """Yields what settles while the one agent of a run sends its posts, each in its time."""
    (agent,) = started(run, ["a"])
    for post in posts:
        now = run.start + max((second.number for second in post.seconds), default=0) + 1.0
        run.post(agent, post, now)
        yield from run.tick(now)
