"""The orders of agents: what replies repeat, and what waits for the journal."""

from coordinator.run.progress import STEERED_IN
from coordinator.run.run import Run
from loadgen.plan.steer import PlanChange
from tests.unit.coordinator.fleet import (
    PLAN,
    PUBLISHING,
    SENT,
    beat,
    posted,
    ready,
    seconds,
    started,
    steer,
    warnings,
    with_news,
)


def test_every_agent_is_told_of_a_publication_until_it_has_counted_it():
    run = Run(PUBLISHING, 2)
    agents = started(run)
    run.published(SENT, run.start + 1.0, run.start + 1.0)

    for _ in range(2):
        orders, _ = beat(run, agents, run.start + 2.0)
        assert [(one.published, one.announced) for one in orders] == [((SENT,), 0)] * 2
    orders = [posted(run, agent, ready(announced=1), run.start + 3.0) for agent in agents]
    assert [(one.published, one.announced) for one in orders] == [((), 1)] * 2


def test_an_agent_that_drains_is_told_too():
    run = Run(PUBLISHING, 1)
    agents = started(run, ["a"])
    run.published(SENT, run.start + 1.0, run.start + 1.0)
    run.drain(run.start + 1.5)

    orders, _ = beat(run, agents, run.start + 2.0)

    assert (orders[0].do, orders[0].published) == ("drain", (SENT,))


def test_what_sessions_publish_is_told_to_all_agents():
    run = Run(PUBLISHING, 2)
    agents = started(run)
    posted(run, agents[0], seconds(with_news(0, published={SENT.key: SENT})), run.start + 1.0)

    orders, _ = beat(run, agents, run.start + 1.5)

    assert [one.published for one in orders] == [(SENT,)] * 2


def test_agents_get_a_change_until_they_have_it():
    run = Run(PLAN, 2)
    a, b = started(run)
    steer(run, 0.5, rate=50.0)
    change = PlanChange(0.5 + STEERED_IN, 200, rate=50.0)

    for _ in range(2):  # the first reply may be lost
        orders = posted(run, a, ready(), run.start + 1.0)
        assert (orders.changes, orders.steered) == ((change,), 0)
    steer(run, 1.0, max=500)
    orders = posted(run, a, ready(steered=1), run.start + 1.5)
    assert [one.max for one in orders.changes] == [500]
    assert orders.steered == 1
    assert posted(run, a, ready(steered=2), run.start + 2.0).changes == ()
    assert len(posted(run, b, ready(), run.start + 2.0).changes) == 2
    assert warnings(run) == [
        "the operator asked for rate 50/s from second 2, 1,000 planned",
        "the operator asked for max 500 from second 2, 500 planned",
    ]


def test_agents_get_no_change_that_a_resumed_run_would_not_know():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    run.record = lambda method, arguments: None
    kept = run.calls
    run.kept = lambda: kept
    steer(run, 0.5, rate=50.0)
    assert posted(run, a, ready(), run.start + 1.0).changes == ()

    kept = run.calls
    assert len(posted(run, a, ready(), run.start + 1.5).changes) == 1
