"""The merge point: what it releases, when, and what it counts."""

from copy import deepcopy

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.slices import Slices
from loadgen.stats.delays import Delays
from loadgen.stats.delivery import Delivered, News
from loadgen.stats.fanin import FanIn, Second, Settled, Slice, Source, by_session
from loadgen.stats.ledger import Held, Ledger
from loadgen.stats.peak import Peak
from loadgen.stats.tally import Tally
from tests.unit.strategies import merged, seconds

NAMES = ("a1", "a2", "a3", "a4")


def second(number: int, launched: int = 0, **counts: int) -> Second:
    return Second(number, Tally(launched=launched, **counts))


def fan_of(*names: str, patience: int = 0) -> FanIn:
    fan = FanIn(patience)
    for name in names:
        fan.expect(name)
    return fan


def settled(fan: FanIn, over: int = -1) -> list[tuple[int, list[str], list[str]]]:
    """Returns the released seconds: number, sources of its parts, missing sources."""
    return [(row.second.number, sorted(row.parts), row.missing) for row in fan.settle(over)]


@st.composite
def deliveries(draw):
    """Draws the seconds of each source, and the posts in which they arrive.

    Sources post in any order, and repeat earlier seconds at any time; the new seconds of a source
    come in order, behind those that it repeats.
    """
    reported = {
        name: [msgspec.structs.replace(tick, number=number) for number, tick in enumerate(ticks)]
        for name, ticks in zip(
            NAMES,
            draw(st.lists(st.lists(seconds, max_size=5), min_size=1, max_size=4)),
            strict=False,
        )
    }
    turns = draw(st.permutations([name for name, ticks in reported.items() for _ in ticks]))
    done = dict.fromkeys(reported, 0)
    posts = []
    for name in turns:
        again = draw(st.integers(0, done[name]))
        done[name] += 1
        posts.append((name, reported[name][again : done[name]]))
        if draw(st.booleans()):
            repeated = draw(st.sampled_from(sorted(done)))
            posts.append((repeated, reported[repeated][: done[repeated]]))
    return reported, posts


@given(deliveries(), st.integers(0, 3), st.sets(st.integers(0, 40)))
def test_any_order_and_any_repeats_give_the_same_totals(delivery, patience, pauses):
    """The totals of the run and of each source, and the rows.

    Each second is in its last released row exactly once.
    """
    reported, posts = delivery
    fan = fan_of(*reported, patience=patience)
    rows: dict[int, Settled] = {}
    for turn, (name, ticks) in enumerate(posts):
        for tick in ticks:
            fan.add(name, deepcopy(tick))
        if turn in pauses:
            rows |= {row.second.number: row for row in fan.settle()}
    for name in reported:
        fan.finish(name)
    rows |= {row.second.number: row for row in fan.settle()}

    assert fan.total == merged(tick.tally for ticks in reported.values() for tick in ticks)
    for name, ticks in reported.items():
        assert fan.sources[name].total == merged(tick.tally for tick in ticks)
    assert sorted(rows) == list(range(max(map(len, reported.values()), default=0)))
    for number, row in rows.items():
        whole = Second(number)
        for ticks in reported.values():
            if number < len(ticks):
                whole.merge(ticks[number])
        assert row.second == whole
        assert row.parts == {
            name: ticks[number] for name, ticks in reported.items() if number < len(ticks)
        }


@given(deliveries())
def test_each_second_is_taken_once(delivery):
    reported, posts = delivery
    fan = fan_of(*reported)
    taken = [(name, tick.number) for name, ticks in posts for tick in ticks if fan.add(name, tick)]

    assert sorted(taken) == sorted(
        (name, tick.number) for name, ticks in reported.items() for tick in ticks
    )


@given(deliveries(), st.sets(st.integers(0, 40)))
def test_without_patience_seconds_are_released_complete_in_order_and_once(delivery, pauses):
    reported, posts = delivery
    fan = fan_of(*reported)
    rows = []
    for turn, (name, ticks) in enumerate(posts):
        for tick in ticks:
            fan.add(name, tick)
        if turn in pauses:
            rows += settled(fan)
    rows += settled(fan)

    complete = min(map(len, reported.values()))
    assert rows == [(number, sorted(reported), []) for number in range(complete)]


def test_a_second_is_released_when_all_living_sources_have_reported():
    fan = fan_of("a1", "a2")

    fan.add("a1", second(0, launched=1))
    fan.add("a1", second(1, launched=2))
    assert settled(fan) == []

    fan.add("a2", second(0, launched=10))
    (row,) = fan.settle()
    assert row.second == second(0, launched=11)
    assert row.missing == []
    assert settled(fan) == []


def test_a_whole_row_adds_up_what_is_held_and_used():
    fan = fan_of("a1", "a2")
    fan.add("a1", Second(0, held=Held(1, 2), cpu_s=0.5, rss=100))
    fan.add("a2", Second(0, held=Held(10, 20), cpu_s=0.25, rss=1000))
    (row,) = fan.settle()

    assert row.second == Second(0, held=Held(11, 22), cpu_s=0.75, rss=1100)


def test_the_living_are_those_of_each_sources_newest_second():
    fan = fan_of("a1", "a2")
    assert fan.alive is None
    fan.add("a1", Second(0, held=Held(alive=2)))
    fan.add("a2", Second(0, held=Held(alive=3)))
    fan.add("a1", Second(1, held=Held(alive=1)))

    assert fan.alive == 4
    fan.lose("a2")
    assert fan.alive == 1


def test_a_source_owes_nothing_before_its_first_second():
    fan = fan_of("a1")
    fan.expect("a2", first=2)
    for number in range(3):
        fan.add("a1", second(number))

    assert settled(fan) == [(0, ["a1"], []), (1, ["a1"], [])]
    fan.add("a2", second(2))
    assert settled(fan) == [(2, ["a1", "a2"], [])]


def test_without_patience_a_silent_source_is_waited_for_without_a_limit():
    fan = fan_of("a1", "a2")
    for number in range(100):
        fan.add("a1", second(number))

    assert settled(fan, over=1000) == []


def test_with_patience_a_second_is_released_and_names_its_silent_sources():
    fan = fan_of("a1", "a2", "a3", patience=3)
    for number in range(4):
        fan.add("a1", second(number))
    fan.add("a2", second(0))

    assert settled(fan) == [(0, ["a1", "a2"], ["a3"])]
    assert settled(fan, over=4) == [(1, ["a1"], ["a2", "a3"])]


def test_a_second_without_any_report_is_released_by_the_callers_clock():
    fan = fan_of("a1", patience=3)

    assert settled(fan, over=2) == []
    assert settled(fan, over=3) == [(0, [], ["a1"])]


def test_a_late_arrival_corrects_its_row_and_the_corrected_row_is_whole():
    fan = fan_of("a1", "a2", patience=1)
    for number in range(2):
        fan.add("a1", second(number, launched=1))
    assert settled(fan) == [(0, ["a1"], ["a2"])]

    fan.add("a2", second(0, launched=10))
    (row,) = fan.settle()
    assert row.second == second(0, launched=11)
    assert (sorted(row.parts), row.missing) == (["a1", "a2"], [])
    assert settled(fan) == []


def test_a_row_is_corrected_for_every_late_source():
    fan = fan_of("a1", "a2", "a3", patience=1)
    for number in range(2):
        fan.add("a1", second(number))
    assert settled(fan) == [(0, ["a1"], ["a2", "a3"])]

    fan.add("a2", second(0))
    assert settled(fan) == [(0, ["a1", "a2"], ["a3"])]
    fan.add("a3", second(0))
    assert settled(fan) == [(0, ["a1", "a2", "a3"], [])]


def test_connections_of_a_lost_source_are_lost_and_the_ledger_adds_up():
    fan = fan_of("a1", "a2")
    for name in ("a1", "a2"):
        fan.add(
            name, Second(0, Tally(launched=10, opened=6, failed={"refused": 1}, closed={"done": 2}))
        )

    assert fan.lose("a1") == Tally(lost=4, failed={"lost": 3})

    ledger = Ledger.of(20, fan.total)
    assert (ledger.connecting, ledger.open, ledger.lost) == (3, 4, 4)
    assert ledger.failed == {"lost": 3, "refused": 2}
    assert ledger.breaches(Held(connecting=3, open=4)) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
        max_size=5,
    )
)
def test_nothing_is_open_or_connecting_when_all_sources_are_lost(history):
    """Holds for any history of connecting, failed, open and closed connections."""
    fan = fan_of("a1", "a2")
    for number, (connecting, failed, open_, closed) in enumerate(history):
        tally = Tally(
            launched=connecting + failed + open_ + closed,
            opened=open_ + closed,
            failed={"refused": failed},
            closed={"done": closed},
        )
        fan.add("a1" if number % 2 else "a2", Second(number, tally))
    fan.lose("a1")
    fan.lose("a2")

    ledger = Ledger.of(1000, fan.total)
    assert ledger.breaches(Held()) == []
    assert ledger.lost == sum(open_ for _, _, open_, _ in history)
    assert ledger.failed.get("lost", 0) == sum(connecting for connecting, _, _, _ in history)


def test_the_loss_is_in_the_second_after_the_last_one_reported():
    fan = fan_of("a1", "a2")
    fan.add("a1", Second(0, Tally(launched=5, opened=5), Held(open=5), cpu_s=2.5, rss=100))
    fan.add("a2", second(0))
    fan.add("a2", second(1))
    fan.lose("a1")
    first, second_ = fan.settle()

    assert first.second.tally == Tally(launched=5, opened=5)
    assert second_.second.tally == Tally(lost=5)
    unknown = Held(peak=Peak(known=False))
    assert second_.parts["a1"] == Second(1, Tally(lost=5), unknown, cpu_s=2.5, rss=0)


def test_the_seconds_that_a_lost_source_did_not_report_name_it():
    fan = fan_of("a1", "a2")
    fan.add("a1", second(0))
    fan.lose("a1", until=2)
    for number in range(4):
        fan.add("a2", second(number))

    assert [one.lost for one in fan.settle()] == [[], ["a1"], ["a1"], []]


def test_a_loss_that_is_noticed_late_is_in_a_later_row():
    fan = fan_of("a1", "a2", patience=1)
    fan.add("a1", second(0, launched=5, opened=5))
    for number in range(5):
        fan.add("a2", second(number))
    assert [number for number, _, _ in settled(fan)] == [0, 1, 2, 3]

    fan.lose("a1")
    assert settled(fan) == [(4, ["a1", "a2"], [])]


def test_reports_after_the_loss_are_ignored():
    """They would count twice: the open connections are lost already."""
    fan = fan_of("a1")
    fan.add("a1", second(0, launched=3, opened=3))
    fan.lose("a1")
    total = deepcopy(fan.total)

    assert fan.add("a1", second(1, launched=1)) is False
    assert fan.add("a1", second(9, launched=1)) is False
    assert fan.lose("a1") == Tally()
    assert fan.total == total


def test_the_loss_of_a_source_without_reports_does_not_change_the_ledger():
    fan = fan_of("a1")

    assert fan.lose("a1") == Tally()
    assert fan.total == Tally()


@pytest.mark.parametrize("end", ["finish", "lose"])
def test_an_ended_source_is_not_waited_for(end):
    fan = fan_of("a1", "a2")
    fan.add("a1", second(0))
    fan.add("a1", second(1))
    fan.add("a2", second(0))
    getattr(fan, end)("a2")

    assert [(number, missing) for number, _, missing in settled(fan)] == [(0, []), (1, [])]


def test_a_finished_source_loses_nothing():
    fan = fan_of("a1")
    fan.add("a1", second(0, launched=2, opened=2))
    fan.finish("a1")

    assert fan.lose("a1") == Tally()
    assert fan.total.lost == 0


def test_a_second_that_counts_for_several_leaves_the_others_empty():
    """After a long outage; what was held stays as it was last known."""
    fan = fan_of("a1")
    fan.add("a1", Second(0, Tally(launched=2), Held(1, 1)))
    fan.add("a1", second(1, launched=1).absorb(second(1, launched=1)))
    long = second(3, launched=5).absorb(second(2, launched=4))
    fan.add("a1", long)
    rows = {row.second.number: row.second for row in fan.settle()}

    assert (long.span, long.tally.launched) == (2, 9)
    assert [rows[number].tally.launched for number in range(4)] == [2, 2, 0, 9]
    assert fan.total.launched == 13


def test_a_second_that_counts_for_several_has_the_delays_of_all():
    one = Second(1, delays=Delays(stalls={0: 0.5}, late=1, late_by=0.2))
    two = Second(2, delays=Delays(stalls={0: 0.5}, waited=True))

    expected = Delays(stalls={0: 1.0}, late=1, late_by=0.2, waited=True)
    assert two.absorb(one).delays == expected


def test_a_source_knows_its_users():
    fan = fan_of("a1")
    fan.add(
        "a1",
        Second(
            0,
            Tally(launched=5, relaunched=2, sessions_started=5, sessions_done=1),
            Held(coming=3),
        ),
    )

    assert (fan.sources["a1"].launched, fan.sources["a1"].users) == (3, 7)


def test_the_next_second_is_the_one_after_those_released():
    fan = FanIn(first=7)
    fan.expect("a1", 7)
    assert fan.next == 7

    fan.add("a1", second(7))
    assert [number for number, _, _ in settled(fan)] == [7]
    assert fan.next == 8


def test_a_source_dies_once():
    fan = fan_of("a1")
    fan.add("a1", second(0, launched=3, opened=2, sessions_started=3))

    assert fan.lose("a1") == Tally(lost=2, failed={"lost": 1}, sessions_failed=3)
    assert fan.lose("a1") == Tally()
    assert fan.total.lost == 2


def test_news_of_publications_are_merged_over_sources_and_seconds():
    def news(key, received):
        return News(delivered={key: Delivered(expected=10, received=received)})

    fan = fan_of("a1", "a2")
    fan.add("a1", Second(0, news=news("x", 9)))
    fan.add("a2", Second(0, news=news("x", 8)).absorb(Second(0, news=news("y", 7))))
    fan.add("a1", Second(1))
    fan.add("a2", Second(1))
    first, second = (row.second for row in fan.settle())

    assert first.news.delivered == {
        "x": Delivered(expected=20, received=17),
        "y": Delivered(expected=10, received=7),
    }
    assert second.news is None


SLICES = Slices(("chatter", "watcher"), ())


def split(number: int, *slices: Slice, alive: int | None = None) -> Second:
    """Returns a second whose tally is the sum of its slices."""
    whole = merged(one.tally for one in slices)
    whole.launched -= sum(one.moved for one in slices)
    return Second(number, whole, Held(alive=alive), slices=dict(enumerate(slices)))


def test_slices_are_merged_with_their_seconds_and_add_up_to_the_totals():
    fan = fan_of("a", "b")
    first = Slice(Tally(launched=3, opened=3), alive=2), Slice(Tally(launched=1, pings=4), alive=0)
    fan.add("a", split(0, *deepcopy(first)))
    fan.add("b", split(0, *deepcopy(first)))
    fan.add("a", split(1, Slice(Tally(opened=0, closed={"done": 1}), alive=1)))

    (row,) = fan.settle()

    assert {place: one.tally.launched for place, one in row.second.slices.items()} == {0: 6, 1: 2}
    assert row.second.slices[0].alive == 4
    source = fan.sources["a"]
    assert source.slices[0] == Slice(Tally(launched=3, opened=3, closed={"done": 1}), alive=1), (
        "the living are those of the newest second"
    )
    assert source.slices[1].alive is None
    assert fan.slices[1].tally == Tally(launched=2, pings=8)
    assert source.slice_breaches(SLICES) == []


def test_a_sum_of_slices_that_is_not_the_total_is_a_breach():
    source = Source()
    wrong = split(0, Slice(Tally(launched=3, failed={"refused": 2})))
    wrong.tally.merge(Tally(launched=1, failed={"reset": 1}, delivery_lost=7))
    source.count(wrong)

    assert source.slice_breaches(SLICES) == [
        "launched is 4 but 3 by session and target",
        "failed is 3 but 2 by session and target",
    ]
    source.slices[2] = Slice(Tally(launched=1, failed={"reset": 1}))
    assert len(source.slice_breaches(SLICES)) == 2, "there is no such slice"


def test_a_user_that_connects_to_the_target_of_another_slice_is_launched_once():
    own, other = Slice(Tally(launched=1), moved=1), Slice(Tally(launched=1, opened=1))
    fan = fan_of("a")
    fan.add("a", split(0, own, other))

    assert fan.total.launched == 1
    assert fan.sources["a"].slice_breaches(SLICES) == []
    assert (own.ledger.connecting, other.ledger.open) == (0, 1)


def test_what_a_lost_source_held_is_lost_by_slice_as_well():
    fan = fan_of("a")
    started = Tally(launched=5, opened=3, sessions_started=5)
    fan.add("a", split(0, Slice(started), Slice(Tally(launched=2, opened=2), alive=2)))

    lost = fan.lose("a", until=1)
    *_, last = fan.settle()

    assert (lost.lost, lost.failed, lost.sessions_failed) == (5, {"lost": 2}, 5)
    assert last.second.slices[0].tally == Tally(lost=3, failed={"lost": 2}, sessions_failed=5)
    assert last.second.slices[1].tally == Tally(lost=2)
    assert fan.sources["a"].slice_breaches(SLICES) == []
    assert all(one.alive is None for one in fan.sources["a"].slices.values())


def test_slices_of_seconds_that_are_merged_into_one_have_the_newest_living():
    earlier = split(0, Slice(Tally(pings=1), alive=3), Slice(Tally(pings=2), alive=4))
    later = split(1, Slice(Tally(pings=4), alive=5))

    whole = later.absorb(earlier)

    assert whole.slices == {0: Slice(Tally(pings=5), alive=5), 1: Slice(Tally(pings=2))}


def test_slices_are_added_up_by_session():
    slices = Slices(("chatter", "watcher"), ("ws://a/", "ws://b/"))
    counted = {
        0: Slice(Tally(launched=4), alive=1, moved=1),
        1: Slice(Tally(launched=1)),
        3: Slice(Tally(launched=2), alive=2),
        99: Slice(Tally(launched=100)),
    }

    found = by_session(slices, counted)

    assert found == {
        "chatter": Slice(Tally(launched=4), alive=1),
        "watcher": Slice(Tally(launched=2), alive=2),
    }
    assert by_session(Slices((), ("ws://a/", "ws://b/")), counted) == {}


def test_a_source_of_many_has_no_histograms_and_all_together_have_them():
    fan = FanIn()
    fan.expect("a1", detailed=False)
    tally = Tally(opened=2)
    tally.handshake.record(400)

    fan.add("a1", Second(0, tally))

    assert fan.sources["a1"].total == Tally(opened=2)
    assert fan.total == tally
    assert [row.fresh for row in fan.settle()] == [tally]
    assert fan.total == tally


def test_the_histograms_of_many_sources_add_up_and_their_timings_too():
    names = [f"a{number}" for number in range(40)]
    fan = fan_of(*names)
    for name in names:
        tally = Tally(opened=1)
        tally.handshake.record(400)
        tally.time("own", 7)
        fan.add(name, Second(0, tally))

    before = fan.total
    (row,) = fan.settle()

    assert (before.handshake.total, before.timings["own"].total) == (40, 40)
    assert row.second.tally == row.fresh == before == fan.total


def test_the_state_of_a_second_is_merged_with_its_counts():
    whole = second(0, launched=1)

    whole.merge(Second(0, Tally(launched=2), Held(open=3), rss=4))

    assert (whole.tally.launched, whole.held.open, whole.rss) == (3, 3, 4)
