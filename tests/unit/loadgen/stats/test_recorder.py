"""The tally of a second, and the masks of a worker."""

from loadgen.stats.delays import Delays
from loadgen.stats.fanin import Slice
from loadgen.stats.recorder import (
    MAX_CHECK_SAMPLES,
    MAX_OWN_NAMES,
    MAX_REMARK_LENGTH,
    MAX_SAMPLES,
    Recorder,
    microseconds,
    sendable,
)
from loadgen.stats.tally import MAX_NAMES, Tally


def test_a_swapped_tally_is_whole_and_the_next_one_empty():
    recorder = Recorder(seed=1)
    recorder.tally.launched += 3
    recorder.tally.failed["refused"] = 1
    recorder.tally.handshake.record(1500)
    tally = recorder.swap()
    assert (tally.launched, tally.failed, tally.handshake.total) == (3, {"refused": 1}, 1)
    assert recorder.tally == Tally()
    recorder.tally.failed["reset"] = 1
    recorder.tally.handshake.record(2500)
    assert (tally.failed, tally.handshake.total) == ({"refused": 1}, 1)
    assert recorder.swap().failed == {"reset": 1}


def test_the_living_were_heard_in_this_second_or_the_window_before():
    recorder = Recorder(seed=1, window=2)
    recorder.heard[0] += 3
    first = recorder.heard
    recorder.swap()
    first[0] -= 1
    recorder.heard[0] += 1
    assert recorder.alive == 3
    recorder.swap()
    assert recorder.alive == 3
    recorder.swap()
    assert recorder.alive == 1


def test_without_a_window_no_life_is_known():
    recorder = Recorder(seed=1)
    recorder.heard[0] += 1
    recorder.swap()

    assert recorder.alive is None


def test_delays_are_taken_once():
    recorder = Recorder(seed=1)
    recorder.delays.launched_late(0.5)

    assert recorder.take_delays() == Delays(late=1, late_by=0.5)
    assert recorder.take_delays() == Delays()


def test_masks_repeat_with_their_seed_and_differ_without():
    first, again, other = (
        [recorder.bits(32) for _ in range(8)] for recorder in (Recorder(seed) for seed in (1, 1, 2))
    )
    assert first == again != other
    assert len(set(first)) == 8


def test_durations_are_recorded_in_whole_microseconds():
    assert [microseconds(seconds) for seconds in (0.0, 0.000_000_9, 0.25, 30.0)] == [
        0,
        0,
        250_000,
        30_000_000,
    ]


def test_the_first_user_of_a_reason_is_its_sample():
    recorder = Recorder(seed=1)
    recorder.sample("refused", 7, "nothing listens")
    recorder.sample("refused", 8, "nothing listens")

    assert recorder.take_samples() == {"refused": "user 7: nothing listens"}
    recorder.sample("refused", 9, "nothing listens")
    assert recorder.take_samples() == {}


def test_a_reason_is_claimed_once_and_its_sample_taken_once():
    recorder = Recorder(1)

    assert [recorder.claim("http_503") for _ in range(2)] == [True, False]
    recorder.samples["http_503"] = "sample"
    assert recorder.take_samples() == {"http_503": "sample"}
    assert not recorder.claim("http_503")
    assert recorder.take_samples() == {}
    assert recorder.claim("http_429")


def test_the_reasons_with_a_sample_are_bounded():
    recorder = Recorder(1)

    assert sum(recorder.claim(f"http_{status}") for status in range(1000)) == MAX_SAMPLES


def test_remarks_are_bounded_until_they_are_taken():
    recorder = Recorder(1)
    for number in range(100):
        recorder.remark(str(number))
    taken = recorder.take_remarks()
    recorder.remark("again")

    assert taken == tuple(str(number) for number in range(len(taken)))
    assert 0 < len(taken) < 100
    assert recorder.take_remarks() == ("again",)


def test_texts_of_sessions_can_be_sent_whatever_they_are():
    recorder = Recorder(1)
    recorder.remark("\ud800" + "x" * 10 * MAX_REMARK_LENGTH)
    recorder.samples["error_X"] = "a\udfffb"

    (remark,) = recorder.take_remarks()
    assert remark.startswith("\\ud800xxx")
    assert len(remark.encode()) < MAX_REMARK_LENGTH + 10
    assert recorder.take_samples() == {"error_X": "a\\udfffb"}
    assert sendable(5) == "5"


def test_checks_leave_room_for_the_samples_of_other_reasons():
    recorder = Recorder(1)

    claimed = [recorder.claim(f"check.{number}", MAX_CHECK_SAMPLES) for number in range(200)]

    assert claimed.count(True) == MAX_CHECK_SAMPLES
    assert recorder.claim("error_ValueError")


def test_a_user_that_makes_up_names_leaves_others_theirs():
    recorder = Recorder(1)
    recorder.name_for("counters", "logins", 1)
    made_up = [recorder.name_for("counters", f"a{number}", 2) for number in range(1000)]

    assert made_up == [*(f"a{number}" for number in range(MAX_OWN_NAMES)), *["other"] * 900]
    names = [recorder.name_for("counters", name, user) for name, user in (("logins", 2), ("b", 3))]
    assert names == ["logins", "b"]
    assert recorder.name_for("timings", "a\n", 2) == "a_"


def test_all_users_together_name_no_more_than_a_tally_keeps():
    recorder = Recorder(1)
    names = {recorder.name_for("checks", f"{user}", user) for user in range(1000)}

    assert len(names - {"other"}) == MAX_NAMES


def test_a_slice_has_its_own_tally_which_is_a_part_of_the_workers():
    recorder = Recorder(seed=1)
    one, other = recorder.of_slice(0), recorder.of_slice(1)
    assert recorder.of_slice(0) is one
    one.tally.launched += 2
    one.moved += 1
    other.tally.launched += 3
    other.tally.handshake.record(1500)
    recorder.tally.loop_lag.record(10)

    slices = recorder.take_slices()
    tally = recorder.swap()

    assert slices[0] == Slice(Tally(launched=2), moved=1)
    assert slices[1].tally.launched == 3
    assert (tally.launched, tally.handshake.total, tally.loop_lag.total) == (4, 1, 1)
    assert recorder.take_slices() == {}, "a slice in which nothing happened is left out"


def test_a_slice_shares_samples_names_remarks_and_the_wish_to_end_with_its_worker():
    recorder = Recorder(seed=1)
    one, other = recorder.of_slice(0), recorder.of_slice(1)
    one.sample("refused", 3, "no listener")
    other.sample("refused", 4, "no listener either")
    one.remark("hello")
    assert one.name_for("counters", "logins", 1) == "logins"
    other.ask_for_end("enough")
    one.ask_for_end("too much")

    assert recorder.take_samples() == {"refused": "user 3: no listener"}
    assert one.samples == {}
    assert recorder.take_remarks() == ("hello",)
    assert recorder.take_remarks() == ()
    assert recorder.abort == "enough"
    assert Recorder(seed=1).abort == ""


def test_the_living_of_a_worker_are_those_of_its_slices():
    recorder = Recorder(seed=1, window=1)
    one, other = recorder.of_slice(0), recorder.of_slice(1)
    one.heard[0] += 2
    other.heard[0] += 3
    slices = recorder.take_slices()
    recorder.swap()
    assert (slices[0].alive, slices[1].alive, recorder.alive) == (2, 3, 5)

    other.heard[0] += 1
    slices = recorder.take_slices()
    recorder.swap()

    assert {place: slice_.alive for place, slice_ in slices.items()} == {1: 1}
    assert recorder.alive == 1
