"""The parts of a run: which seconds they have, and what these add up to."""

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from coordinator.run.life import NEARLY
from coordinator.run.parts import RECENT, STEP, Parts
from coordinator.run.timeline import Timeline
from loadgen.plan.slices import NOT_SPLIT, Slices
from loadgen.stats.delays import Delays
from loadgen.stats.fanin import FanIn, Second, Slice
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally


class Story:
    """A run of agents that is told second by second."""

    def __init__(self, *names, slices=NOT_SPLIT):
        self.parts = Parts()
        self.fanin = FanIn(patience=1)
        self.timeline = Timeline(10**7, slices)
        self.open = dict.fromkeys(names or ("a",), 0)
        for name in names or ("a",):
            self.fanin.expect(name)
            self.timeline.expect(name, 10**6)

    def post(self, name, number, *, opened=0, phase="ramp", draining=False, still=0.0, **closed):
        """Adds a second of an agent, with one pong that took its number in milliseconds."""
        tally = Tally(launched=opened, opened=opened, closed=closed, pings=1, pongs=1)
        tally.ping_rtt.record(1000 * (number + 1))
        tally.count("turns")
        tally.time("turn", 1000)
        self.open[name] += opened - sum(closed.values())
        delays = Delays(stalls={1: still}) if still else Delays()
        held = Held(0, self.open[name])
        slices = {number % 2: Slice(deepcopy(tally))}
        self.fanin.add(name, Second(number, tally, held, delays=delays, slices=slices))
        self.settle(phase, draining=draining)

    def settle(self, phase="ramp", *, draining=False):
        """Adds what has settled to the parts."""
        for settled in sorted(self.fanin.settle(), key=lambda settled: settled.second.number):
            self.parts.add(self.timeline.add(settled), phase, draining=draining)

    def __getitem__(self, name):
        return self.parts.figures()[name]


def test_nothing_has_no_parts():
    assert Parts().figures() == {}


def test_each_second_is_in_the_whole_and_in_its_phase():
    story = Story()
    story.post("a", 0, opened=100)
    story.post("a", 1, phase="hold", server_1001=10)
    story.post("a", 2, phase="hold", bye=5)
    story.post("a", 3, draining=True, drained=85)

    names = ["run", "plateau", "phase.ramp", "phase.hold", "phase.drain"]
    assert list(story.parts.figures()) == names
    whole, hold, drain = story["run"], story["phase.hold"], story["phase.drain"]
    assert (whole.begin, whole.end, whole.seconds, whole.opened, whole.held) == (0, 3, 4, 100, 100)
    assert (hold.begin, hold.end, hold.seconds, hold.opened, hold.held) == (1, 2, 2, 0, 100)
    assert (hold.open_peak, hold.open_min, hold.open_end) == (90, 85, 85)
    assert (whole.open_end, story["phase.ramp"].open_end) == (0, 100)
    assert hold.closed == {"bye": 5, "server_1001": 10}
    assert (whole.unexpected, hold.unexpected, drain.unexpected) == (10, 10, 0)
    assert (drain.held, drain.open_peak, drain.open_min) == (85, 0, 0)
    assert (whole.pings, whole.counters) == (4, {"turns": 4})
    assert hold.timings["turn"].count == 2


def test_percentiles_are_of_the_valid_seconds_and_counts_are_of_all():
    story = Story()
    story.post("a", 0, opened=100)
    story.post("a", 1, still=0.5, server_1001=1)

    whole = story["run"]
    assert (whole.seconds, whole.invalid_seconds, whole.unexpected, whole.pongs) == (2, 1, 1, 2)
    assert whole.histograms["ping_rtt"].count == 1
    assert 1.0 <= whole.histograms["ping_rtt"].max < 1.1


def test_a_corrected_second_is_valid_after_all():
    story = Story("a", "b")
    for number in range(3):
        story.post("a", number, opened=10)
    assert story["run"].invalid_seconds == 2
    assert story["run"].histograms == {}

    for number in range(3):
        story.post("b", number, opened=10)

    whole = story["run"]
    assert (whole.seconds, whole.invalid_seconds, whole.opened, whole.open_peak) == (3, 0, 60, 60)
    assert whole.histograms["ping_rtt"].count == 6


def test_a_correction_that_comes_very_late_adds_its_counts_alone():
    story = Story("a", "b")
    late = RECENT + 2
    for number in range(late + 1):
        story.post("a", number, opened=100 if number == 0 else 0)
    for number in range(late + 1):
        story.post("b", number, opened=50 if number == 0 else 0)

    whole, ramp = story["run"], story["phase.ramp"]
    assert whole.seconds == ramp.seconds == late + 1
    assert (whole.opened, ramp.opened) == (150, 150)
    assert whole.pongs == 2 * (late + 1)
    assert whole.invalid_seconds >= 1
    assert whole.histograms["ping_rtt"].count == 2 * (whole.seconds - whole.invalid_seconds)


def test_a_drop_on_the_plateau_is_in_it():
    story = Story()
    for number in range(10):
        story.post("a", number, opened=100)
    story.post("a", 10, phase="hold")
    story.post("a", 11, phase="hold", server_1001=600)
    story.post("a", 12, draining=True, drained=400)

    plateau = story["plateau"]
    assert (plateau.begin, plateau.end) == (9, 11)
    assert (plateau.open_peak, plateau.open_min, plateau.held) == (1000, 400, 1000)
    assert plateau.unexpected == 600


def test_a_run_that_never_opened_anything_has_no_plateau():
    story = Story()
    for number in range(RECENT + 5):
        story.post("a", number)

    assert "plateau" not in story.parts.figures()


def test_a_long_drain_is_not_on_the_plateau():
    story = Story()
    story.post("a", 0, opened=1000)
    story.post("a", 1)
    for number in range(2, RECENT + 10):
        story.post("a", number, draining=True, drained=1)

    assert (story["plateau"].begin, story["plateau"].end) == (0, 1)
    assert story["phase.drain"].seconds == RECENT + 8


def test_a_slow_ramp_to_many_connections_is_kept_in_few_segments():
    story = Story()
    seconds = 3000
    for number in range(seconds):
        story.post("a", number, opened=1000)

    begin = NEARLY * seconds - 1
    assert begin <= story["plateau"].begin <= begin * STEP + 1
    assert story["plateau"].end == seconds - 1
    assert story["plateau"].histograms["ping_rtt"].count == story["plateau"].seconds


changes = st.tuples(st.integers(0, 50), st.integers(0, 50), st.sampled_from([0.0, 0.0, 0.5]))


@given(st.lists(changes, max_size=RECENT + 20), st.integers(0, 5))
def test_the_parts_are_what_their_seconds_add_up_to(story_of, drain):
    """The oracle keeps every second; the last `drain` ones are of the drain."""
    story = Story()
    levels, valid = [], []
    last = len(story_of) - drain
    for number, (opened, ends, still) in enumerate(story_of):
        level = levels[-1] if levels else 0
        closed = min(ends, level + opened)
        levels.append(level + opened - closed)
        valid.append(not still)
        story.post("a", number, opened=opened, still=still, draining=number >= last, reset=closed)

    figures = story.parts.figures()
    if not levels:
        assert figures == {}
        return
    whole = figures["run"]
    assert whole.open_min == min(levels)
    assert (whole.open_peak, whole.seconds) == (max(levels), len(levels))
    assert whole.invalid_seconds == valid.count(False)
    assert sum(one.seconds for name, one in figures.items() if "phase." in name) == len(levels)
    on = levels[: max(0, last)]
    if not any(on):
        assert "plateau" not in figures
        return
    begin = next(at for at, level in enumerate(on) if level >= NEARLY * max(on))
    plateau = figures["plateau"]
    assert (plateau.begin, plateau.end) == (begin, len(on) - 1)
    assert (plateau.open_min, plateau.open_peak) == (min(on[begin:]), max(on))
    pings = plateau.histograms.get("ping_rtt")
    assert (pings.count if pings else 0) == valid[begin : len(on)].count(True)


BY_SESSION = Slices(("even", "odd"), ())


def test_each_session_is_a_part_of_all_seconds_with_what_its_users_did():
    story = Story(slices=BY_SESSION)
    story.post("a", 0, opened=100)
    story.post("a", 1, opened=40, still=0.5)
    story.post("a", 2, server_1001=30)
    story.post("a", 3, draining=True, drained=40)

    even, odd, whole = story["session.even"], story["session.odd"], story["run"]
    for one in (even, odd):
        assert (one.begin, one.end, one.seconds, one.invalid_seconds) == (0, 3, 4, 1)
    assert (even.opened, even.held, even.open_peak, even.open_min) == (100, 100, 100, 70)
    assert (odd.opened, odd.held, odd.open_peak, odd.open_min) == (40, 40, 40, 0)
    assert (even.open_end, odd.open_end) == (70, 0)
    assert (even.closed, odd.closed) == ({"server_1001": 30}, {"drained": 40})
    assert (even.unexpected, odd.unexpected) == (30, 0)
    assert (even.histograms["ping_rtt"].count, odd.histograms["ping_rtt"].count) == (2, 1)
    assert even.pongs + odd.pongs == whole.pongs == 4
    assert even.counters["turns"] + odd.counters["turns"] == whole.counters["turns"]


def test_the_figures_of_sessions_are_made_where_they_are_wanted():
    story = Story(slices=BY_SESSION)
    story.post("a", 0, opened=100)

    assert list(story.parts.figures({"session.odd"})) == ["session.odd"]


def test_a_session_keeps_its_seconds_and_what_comes_very_late():
    story = Story("a", "b", slices=BY_SESSION)
    late = RECENT + 2
    for number in range(late + 1):
        story.post("a", number, opened=100 if number == 0 else 0)
    for number in range(late + 1):
        story.post("b", number, opened=50 if number == 0 else 0)

    even, odd, whole = story["session.even"], story["session.odd"], story["run"]
    assert even.seconds == odd.seconds == whole.seconds == late + 1
    assert (even.opened, odd.opened) == (150, 0)
    assert even.pongs + odd.pongs == whole.pongs
    assert even.histograms["ping_rtt"].count + odd.histograms["ping_rtt"].count == (
        whole.histograms["ping_rtt"].count
    )
