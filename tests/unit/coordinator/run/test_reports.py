"""The reports of agents: counted once, split, and checked against their shares."""

import pytest

from coordinator.run.agents import MAX_DETAILED
from coordinator.run.run import Run
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import Loop
from loadgen.stats.delivery import Delivered
from loadgen.stats.fanin import Second, Slice
from loadgen.stats.tally import Tally
from tests.unit.coordinator.fleet import (
    PLAN,
    PUBLISHING,
    SENT,
    beat,
    begun,
    hello,
    opened,
    posted,
    ready,
    seconds,
    started,
    warnings,
    with_news,
)


def test_repeating_a_post_counts_nothing_twice():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    now = run.start + 2.0

    for _ in range(3):
        orders, _ = beat(run, [a], now, opened(1, 5, held=15), opened(0, 10))

    assert orders[0].acknowledged == 1
    assert run.ledger.opened == 15


def test_news_are_counted_once_however_often_they_are_posted():
    run = Run(PUBLISHING, 1)
    agents = started(run, ["a"])
    run.published(SENT, run.start + 0.5, run.start + 0.5)
    second = with_news(0, delivered={SENT.key: Delivered(expected=5, received=4, missed=[3])})
    for _ in range(3):
        posted(run, agents[0], seconds(second), run.start + 1.0)
    posted(run, agents[0], seconds(finished=True), run.start + 2.0)

    (line,) = run.settle_publications()

    assert (line.expected, line.received) == (5, 4)
    assert [(one.agent, one.user) for one in line.missed] == [("a", 3)]


def test_messages_without_a_stamp_are_warned_of_once():
    run = Run(PUBLISHING, 1)
    agents = started(run, ["a"])
    for number in range(2):
        second = with_news(number, unstamped="plain")
        posted(run, agents[0], seconds(second), run.start + number + 1.0)

    (warning,) = warnings(run)
    assert warning.startswith("none of the messages that users of a receive has a stamp")
    assert "the first is 'plain'" in warning


@pytest.mark.parametrize(
    ("lie", "breach"),
    [
        (Tally(launched=6, opened=6, closed={"done": 6}), "agent a: not_started is -1"),
        (Tally(launched=2, opened=3, closed={"done": 3}), "agent a: connecting is -1"),
        (Tally(launched=3, opened=3, closed={"done": 4}), "agent a: open is -1"),
        (Tally(launched=3, opened=3, lost=4), "agent a: open is -1"),
        (
            Tally(launched=3, opened=3, accepted=4, closed={"done": 3}),
            "agent a: accepted is 4 but 3 opened",
        ),
        (Tally(launched=1, late=2, failed={"x": 1}), "agent a: late is 2 but 1 were launched"),
        (
            Tally(launched=1, relaunched=2, failed={"x": 1}),
            "agent a: relaunched is 2 but 1 were launched",
        ),
        (Tally(launched=3, opened=3), "agent a ended with 3 open"),
    ],
)
def test_what_an_agent_reports_beyond_its_share_is_a_breach_though_the_sums_add_up(lie, breach):
    run = Run(Plan(max=10, rate=10.0, hold=0.0), 2)
    liar, other = started(run)
    posted(run, liar, seconds(Second(0, lie), finished=True), run.start + 1.0)
    posted(run, other, seconds(Second(0), finished=True), run.start + 1.0)
    run.tick(run.start + 1.5)

    assert run.state == "done"
    assert [text for text in run.breaches() if text.startswith("agent")] == [breach]


def test_seconds_that_no_journal_has_are_reported_as_missing():
    run = Run(PLAN, 1)
    (a,) = started(run, ["a"])
    posted(run, a, seconds(opened(0, 1)), run.start + 1.0)
    posted(run, a, seconds(opened(5, 1, held=6)), run.start + 6.0)

    (warning,) = warnings(run)
    assert warning.startswith("seconds 1 to 4 of agent a are missing")


def test_users_that_were_not_launched_count_where_agents_had_places_for_them():
    run = Run(PLAN, 2)
    agents = started(run)
    beat(run, agents, run.start + 1.0, opened(0, 10))
    assert run.reports.not_launched == 980

    small = Run(PLAN, 1)
    started(small, ["a"], holds=300)
    assert small.reports.not_launched == 300


def test_life_is_known_from_an_agents_newest_second_on():
    run = Run(PLAN, 1)
    run.join(hello("a"), 0.0)
    (joined,) = run.agents.by_id.values()
    assert run.reports.alive_of(joined) is None
    posted(run, joined.id, ready(), 0.0)
    run.tick(0.0)
    beat(run, [joined.id], run.start + 1.0, opened(0, 10, alive=9))
    assert run.reports.alive_of(joined) == 9


def test_an_agent_that_goes_on_breaks_no_law_by_what_it_holds():
    run = Run(PLAN, 1)
    (agent,) = started(run, ["a"])
    beat(run, [agent], run.start + 1.0, opened(0, 10))

    assert run.breaches() == []


TWO_SESSIONS = Plan(
    max=1000, rate=100.0, hold=5.0, sessions=(Loop(name="chatter"), Loop(name="watcher"))
)


def by_session(second, chatter):
    """Splits a second: this number of its opened connections are chatters."""
    whole = second.tally.opened
    parts = {0: chatter, 1: whole - chatter}
    second.slices = {
        place: Slice(opened(0, count).tally) for place, count in parts.items() if count
    }
    return second


def test_what_an_agent_reports_by_session_has_to_be_its_total():
    run = Run(TWO_SESSIONS, 1)
    (agent,) = started(run, ["a"])
    posted(run, agent, seconds(by_session(opened(0, 10), 4)), run.start + 1.0)
    assert run.breaches() == []
    member = run.agents.active()[0]
    sessions = run.reports.sessions_of(member)
    assert {name: one.tally.opened for name, one in sessions.items()} == {
        "chatter": 4,
        "watcher": 6,
    }

    posted(run, agent, seconds(opened(1, 5, held=15)), run.start + 2.0)

    assert "agent a: opened is 15 but 10 by session and target" in run.breaches()


def test_an_agent_without_a_share_reports_nothing_by_session():
    run = Run(TWO_SESSIONS, 2)
    run.join(hello("a"), 0.0)

    assert run.reports.sessions_of(run.fleet()[0]) == {}
    assert run.breaches() == []


def test_seconds_are_marked_where_the_agents_clock_is_apart_from_that_of_the_run():
    run = Run(PLAN, 3)
    first, *others = started(run, "abc")
    posted(run, first, begun(run, -20.0, opened(0, 5)), run.start + 1.0)
    for agent in others:
        posted(run, agent, begun(run, 0.0, opened(0, 5)), run.start + 1.0)

    (entry,) = run.tick(run.start + 1.0)
    assert entry.row.invalid == ["the clock of a and that of the run went apart by 20.0 s"]


@pytest.mark.parametrize(("count", "detailed"), [(MAX_DETAILED, True), (MAX_DETAILED + 1, False)])
def test_an_agent_of_a_large_fleet_has_no_histograms_of_its_own(count, detailed):
    run = Run(Plan(max=count, rate=1.0), count)
    ids = started(run, [f"a{number}" for number in range(count)])
    agent = run.agents.by_id[ids[-1]]

    assert run.reports.is_detailed(agent) is detailed
