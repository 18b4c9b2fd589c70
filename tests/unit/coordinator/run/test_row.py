"""The row of a second: its own events, and the counts of the run at its end."""

from coordinator.run.row import copied, figures_of, in_order, part_figures_of, summaries
from loadgen.stats.fanin import Second, Slice
from loadgen.stats.histogram import Histogram
from loadgen.stats.ledger import Held, Ledger
from loadgen.stats.tally import CheckCounts, Tally


def test_figures_are_of_the_second_and_of_the_run_at_its_end():
    tally = Tally(launched=3, opened=1, failed={"refused": 2}, closed={"done": 1})
    tally.ping_rtt.record(2000)
    total = Tally(launched=9, opened=7, counters={"b": 1, "a": 2}, closed={"done": 1})
    second = Second(4, tally, Held(0, 6, alive=5), cpu_s=1.23456, rss=7)

    figures = figures_of(Ledger.of(10, total), total, second)

    assert (figures.rates.launched, figures.rates.failed, figures.rates.closed) == (3, 2, 1)
    assert (figures.counts["launched"], figures.ledger.open) == (9, 6)
    assert (list(figures.counters), figures.failed) == (["a", "b"], {"refused": 2})
    assert (figures.alive, figures.cpu_s, figures.rss) == (5, 1.235, 7)
    assert list(figures.histograms) == ["ping_rtt"]


def test_part_figures_say_who_is_alive_where_life_is_verified():
    split = {"session.a": Slice(Tally(launched=4, opened=3, closed={"done": 1}), alive=2)}

    verified = part_figures_of(split, {"session.a": 2}, verified=True)["session.a"]
    unknown = part_figures_of(split, {"session.a": 2}, verified=False)["session.a"]

    assert (verified.open, verified.alive, verified.before) == (2, 2, 0)
    assert verified.counts == {"launched": 4, "opened": 3}
    assert unknown.alive is None


def test_empty_histograms_are_left_out_and_names_are_in_order():
    timed = Histogram()
    timed.record(3000)

    assert list(summaries({"empty": Histogram(), "timed": timed})) == ["timed"]
    assert list(in_order({"b": 1, "a": 2})) == ["a", "b"]


def test_checks_are_copied_as_they_stand():
    checks = {"b": CheckCounts(), "a": CheckCounts(passed=1)}
    kept = copied(checks)
    checks["a"].passed = 5

    assert [(name, one.passed) for name, one in kept.items()] == [("a", 1), ("b", 0)]
