"""The journal of a run brings a new run to the same state.

The new run replays its calls.
"""

from copy import deepcopy
from math import inf
from threading import Event
from time import monotonic

import msgspec
import pytest

from coordinator.report.summary import summary_of
from coordinator.run.agents import digest_of
from coordinator.run.gathering import RefusedError
from coordinator.run.recorded import argument_types
from coordinator.run.run import Run
from coordinator.storage import journal
from coordinator.storage.disk import Disk
from coordinator.storage.journal import FILE, Journal, read_head, read_snapshot, replay
from coordinator.storage.snapshot import freeze
from loadgen.errors import OperatorError
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.plan.sessions import Loop
from loadgen.stats.delivery import Delivered, News, Published
from loadgen.stats.fanin import Second, Slice
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from tests.processes import PATIENCE
from tests.unit.coordinator.fleet import SECRET, hello, opened, posted, ready, seconds, started
from tests.unit.coordinator.folders import journal_head

PLAN = Plan(
    max=999,
    rate=100.0,
    publish=Publish(),
    sessions=(Loop(name="chatter"), Loop(name="watcher")),
)
SENT = Published("here-run.0", 0, 1_000_000, "my files")


def head(**changes):
    return journal_head(PLAN, wanted=3, **changes)


@pytest.fixture
def begin(tmp_path):
    """Returns a function that opens the journal of a run; closes all of them."""
    journals = []

    def open_journal(run=None, how=lambda path: Journal.begin(path, head())):
        journals.append(how(tmp_path))
        if run is not None:
            run.record = journals[-1].record
        return journals[-1]

    yield open_journal
    for opened_journal in journals:
        opened_journal.close()


def by_session(second):
    """Gives all that happened in a second to the watchers."""
    second.slices = {1: Slice(deepcopy(second.tally), alive=3)}
    return second


def eventful(run):
    """Plays losses, repeats, refusals and a late agent; returns the rows.

    The run ends by hand.
    """
    rows = []

    def tick(now):
        rows.extend(entry.row for entry in run.tick(now))

    a, b, c = started(run, ["a", "b", "c"])
    for number in range(3):
        for agent in (a, b, c)[: 3 - number]:
            posted(
                run,
                agent,
                seconds(by_session(opened(number, 20, held=20 * (number + 1)))),
                run.start + number + 1.0,
            )
            posted(
                run,
                agent,
                seconds(by_session(opened(number, 20, held=20 * (number + 1)))),
                run.start + number + 1.1,
            )
        tick(run.start + number + 1.2)
    with pytest.raises(RefusedError):
        run.join(hello(wire=99), run.start + 4.0, "")
    run.connection_broke(c, run.start + 4.0)
    run.published(SENT, run.start + 3.9, run.start + 4.0)
    run.publication_failed("http_503", run.start + 4.0)
    for step in range(12):
        posted(run, a, ready(), run.start + 4.0 + step / 4)
        tick(run.start + 4.0 + step / 4)
    run.lose_agent("b", "was killed")
    late = run.join(hello("late"), run.start + 7.0, digest_of(SECRET)).id
    posted(run, late, ready(notes=("here",)), run.start + 7.0)
    run.abort("failed>1%", run.start + 7.4)
    run.drain(run.start + 7.5)
    posted(
        run,
        a,
        seconds(
            by_session(
                Second(
                    3,
                    Tally(closed={"drained": 60}, sessions_done=60),
                    Held(),
                    news=News(
                        delivered={SENT.key: Delivered(expected=60, received=59, missed=[7])}
                    ),
                )
            )
        ),
        run.start + 8.0,
    )
    tick(run.start + 8.0)
    return rows


def state_of(run, now):
    return (
        run.settle_publications(),
        summary_of(run, (), now),
        run.state,
        run.start,
        run.progress.gates,
        [agent.planned for agent in run.agents.by_id.values()],
    )


def test_a_replayed_run_has_the_state_of_the_first_one(begin, tmp_path):
    run = Run(PLAN, 3, key="k")
    begin(run)
    rows = eventful(run)

    again = Run(PLAN, 3, key="k")
    repeated = [entry.row for entry in replay(tmp_path, again)]

    assert repeated == rows
    assert state_of(again, run.start + 9.0) == state_of(run, run.start + 9.0)
    assert again.total == run.total
    watchers = again.parts.figures()["session.watcher"]
    assert (watchers.opened, watchers.lost) == (run.total.opened, run.total.lost)
    assert run.breaches() == []
    orders = [
        each.post(agent, ready(), run.start + 9.0)
        for each in (run, again)
        for agent in list(run.agents.by_id)
    ]
    assert orders[: len(orders) // 2] == orders[len(orders) // 2 :]


@pytest.mark.parametrize("ticks", [1, 3, 5, 8, 12, 17])
def test_a_run_is_resumed_from_a_snapshot_and_the_calls_after_it(
    begin, tmp_path, monkeypatch, ticks
):
    """At any time: it has the state of the run, and the rows from then on."""
    run = Run(PLAN, 3, key="k")
    written, tick, ticked = begin(run), Run.tick, []
    run.kept = lambda: written.kept

    def tick_and_compact(self, now):
        entries = tick(self, now)
        ticked.append(entries)
        if len(ticked) == ticks:
            written.compact(freeze(run, ["rest"]), lambda: ({"tsung.log": 7}, {3: 4}))
        return entries

    monkeypatch.setattr(Run, "tick", tick_and_compact)
    rows = eventful(run)
    monkeypatch.undo()

    again = Run(PLAN, 3, key="k")
    snapshot = read_snapshot(tmp_path)
    assert snapshot is not None
    assert (snapshot.sizes, snapshot.places) == ({"tsung.log": 7}, {3: 4})
    assert snapshot.restore(again) == ["rest"]
    before = sum(map(len, ticked[:ticks]))
    repeated = [entry.row for entry in replay(tmp_path, again)]

    assert repeated == rows[before:]
    assert state_of(again, run.start + 9.0) == state_of(run, run.start + 9.0)
    assert again.total == run.total
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    with pytest.raises(OperatorError, match="coordinator lives"):
        Journal.reopen(tmp_path)
    written.close()
    begin(how=Journal.reopen).go_on(again.calls)
    orders = [
        each.orders(agent, run.start + 9.0)
        for each in (run, again)
        for agent in list(run.agents.by_id)
    ]
    assert orders[: len(orders) // 2] == orders[len(orders) // 2 :]


def test_a_snapshot_stands_between_the_calls_before_and_after_it(begin, tmp_path):
    """Calls may be recorded while the disk has to write those before it."""
    written, go, waits, over = begin(), Event(), Event(), Event()
    written.disk.start()
    written.disk.do(lambda: (waits.set(), go.wait(PATIENCE)))
    assert waits.wait(PATIENCE)
    written.record("tick", (1.0,))
    written.compact(b"state", lambda: ({}, {}))
    written.record("tick", (2.0,))
    go.set()
    written.disk.do(over.set)
    assert over.wait(PATIENCE)
    written.disk.stop()

    assert [*replayed(tmp_path)] == [b'["tick",2.0]']
    assert written.kept == 2


def replayed(folder):
    """Returns the calls in a journal."""
    with (folder / FILE).open("rb") as file:
        return [line.strip() for line in file if line.startswith(b"[")]


def test_a_journal_goes_on_where_a_snapshot_can_not_be_written(begin, tmp_path):
    def full():
        raise OSError(28, "No space left on device")

    written = begin()
    written.record("tick", (1.0,))
    written.compact(b"state", full)
    written.record("tick", (2.0,))

    assert replayed(tmp_path) == [b'["tick",1.0]', b'["tick",2.0]']
    assert read_snapshot(tmp_path) is None
    assert written.kept == 2


def test_a_journal_is_long_when_its_calls_are(begin, monkeypatch):
    monkeypatch.setattr(journal, "MAX_TAIL", 40)
    written = begin()
    assert not written.is_long
    for number in range(4):
        written.record("tick", (float(number),))
    assert written.is_long
    written.compact(b"a state", lambda: ({}, {}))
    assert not written.is_long
    for number in range(8):
        written.record("tick", (float(number),))
    assert written.is_long, "the state is small"
    written.grows = True
    assert not written.is_long


def test_a_damaged_snapshot_is_one_line(begin, tmp_path):
    written = begin()
    written.compact(b"state", lambda: ({}, {}))
    snapshot = read_snapshot(tmp_path)
    assert snapshot is not None
    with pytest.raises(OperatorError, match="snapshot in the journal is damaged"):
        snapshot.restore(Run(PLAN, 3))
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data.replace(b'"sizes":{}', b'"sizes":7'))
    with pytest.raises(OperatorError, match=r"second line of journal\.ndjson is damaged"):
        read_snapshot(tmp_path)


def test_the_journal_is_for_its_owner_alone(begin, tmp_path):
    begin()

    (journal,) = tmp_path.rglob("journal.ndjson")
    assert journal.stat().st_mode & 0o777 == 0o600


def test_a_torn_line_is_left_out_and_the_lines_after_it_count(begin, tmp_path):
    run = Run(PLAN, 3, key="k")
    written = begin(run)
    agents = started(run, ["a", "b", "c"])
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'["post","k-0",{"seconds":[{"num')
    written.close()
    begin(run, how=Journal.reopen)
    posted(run, agents[0], seconds(opened(0, 5)), run.start + 1.0)

    again = Run(PLAN, 3, key="k")
    assert list(replay(tmp_path, again)) == []

    assert again.ledger.opened == 5


def test_the_journal_of_a_run_whose_coordinator_lives_is_not_opened(begin, tmp_path):
    begin()

    with pytest.raises(OperatorError, match="coordinator lives"):
        Journal.reopen(tmp_path)


def test_every_call_that_changes_a_run_is_recorded():
    assert argument_types(Run).keys() >= {
        "join",
        "post",
        "tick",
        "pause",
        "resume",
        "drain",
        "stop",
        "connection_broke",
        "lose_agent",
        "fail_gathering",
        "abort",
    }


def test_the_head_has_what_was_asked_for(begin, tmp_path):
    asked = head(tsung_log="json", on_loss="abort")
    begin(how=lambda path: Journal.begin(path, asked))

    assert read_head(tmp_path) == asked


def test_the_clock_needs_an_offset_only_after_a_reboot():
    assert head().clock_offset() == 0.0
    assert head(boot="another", clock=monotonic() + 500.0).clock_offset() == pytest.approx(
        500.0, abs=1.0
    )


def test_a_moment_of_the_run_has_its_wall_time():
    assert head(wall=1_800_000_000.0, clock=50.0).wall_time(62.5) == 1_800_000_012.5


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no run directory"),
        (b"{", "damaged"),
        (b'{"version":"0.0.1"}\n', "the run is of loadgen 0.0.1"),
        (b'{"version":"%s"}\n' % journal.VERSION.encode(), "damaged"),
    ],
)
def test_a_run_that_can_not_be_resumed_is_an_error_with_the_reason(tmp_path, content, complaint):
    if content is not None:
        (tmp_path / FILE).write_bytes(content)

    with pytest.raises(OperatorError, match=complaint):
        read_head(tmp_path)


def test_a_run_that_is_over_has_no_journal_and_is_not_resumed(begin, tmp_path):
    begin().end()
    (tmp_path / "summary.json").write_bytes(msgspec.json.encode({}))

    with pytest.raises(OperatorError, match="that run is over"):
        read_head(tmp_path)


def test_a_journal_that_can_not_be_written_is_removed(begin, tmp_path, monkeypatch):
    written = begin()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(written._file, "append", full)
    written.record("drain", (1.0,))
    written.record("drain", (2.0,))

    assert "No space left" in written.complaint
    assert not (tmp_path / FILE).exists()


@pytest.fixture
def standstill():
    """A disk that stands still until its event is set, but for 1,000 bytes."""
    disk, goes_on = Disk(most=1000), Event()
    disk.start()
    disk.do(goes_on.wait)
    yield disk, goes_on
    goes_on.set()
    disk.stop()


async def test_calls_are_kept_once_the_disk_has_them(begin, tmp_path, standstill):
    disk, goes_on = standstill
    written = begin(how=lambda path: Journal.begin(path, head(), disk))
    for _ in range(3):
        written.record("drain", (1.0,))
    await written.written()
    assert written.kept == 0

    goes_on.set()
    assert await disk.done(PATIENCE)
    assert written.kept == 3
    assert (tmp_path / FILE).read_bytes().count(b'["drain",1.0]\n') == 3
    await written.written()


async def test_a_journal_is_given_up_when_too_much_waits(begin, tmp_path, standstill):
    disk, goes_on = standstill
    written = begin(how=lambda path: Journal.begin(path, head(), disk))
    for _ in range(100):
        written.record("drain", (1.0,))

    assert "its disk stands still" in written.complaint
    assert written.kept == inf, "no answer waits for it"
    goes_on.set()
    assert await disk.done(PATIENCE)
    assert not (tmp_path / FILE).exists()
