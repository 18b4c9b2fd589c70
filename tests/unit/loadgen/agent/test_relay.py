"""The relay of orders to real workers: each once, when they can take it."""

from time import monotonic

from loadgen.agent.clock import ClockFilter
from loadgen.agent.orders import WorkerOrders
from loadgen.agent.relay import Relay
from loadgen.plan.shares import Share
from loadgen.plan.steer import PlanChange
from loadgen.stats.delivery import Published
from loadgen.wire import Orders, Start
from tests.unit.loadgen.agent.test_pool import HELD, jobs_on, opened, pool_of

ORDERS = Orders(
    0,
    "pause",
    Start(Share(), 0.0),
    gates=(5.0,),
    met=(3,),
    delay=1.0,
    changes=(PlanChange(50.0, 20, rate=50.0),),
    published=(Published("here-run.0", 0, 1_000_000),),
)


def relay_to(pool):
    sent = WorkerOrders()
    return sent, Relay(pool, sent, ClockFilter("here"))


async def test_workers_that_have_their_jobs_get_each_order_once(server):
    async with pool_of(*jobs_on(server.port, HELD)) as pool:
        sent, relay = relay_to(pool)
        await opened(pool, 20)
        for _ in range(2):
            relay.pass_on(ORDERS, monotonic(), 1, have_jobs=True)

        assert (sent.pace.paused, sent.pace.delay) == (True, 1.0)
        assert (sent.steered, sent.announced) == (1, 1)
        assert (sent.new_gates(ORDERS), sent.new_meetings(ORDERS)) == ([], [])
        assert sent.new_pace(ORDERS) is None


async def test_workers_without_jobs_are_given_nothing_that_they_could_not_keep():
    async with pool_of() as pool:
        sent, relay = relay_to(pool)
        relay.pass_on(ORDERS, monotonic(), 0, have_jobs=False)

    assert sent.new_pace(ORDERS) is not None
    assert (sent.steered, sent.announced, sent.reassigned) == (0, 0, 0)
