"""tsung.log, read by the rules of Tsung's own readers."""

from statistics import mean, pstdev

import pytest

from coordinator.report.summary import summary_of
from coordinator.run.run import Run
from coordinator.tsung.log import TsungLog
from loadgen.plan.plan import Plan
from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from tests.unit.coordinator.fleet import posted, seconds, started
from tests.unit.tsung_reader import means, read_json, read_text, totals

BEGAN = 1_600_000_000.4
ENDS = {
    "done": 3,
    "drained": 5,
    "server_1001": 2,
    "reset": 1,
    "ping_timeout": 1,
    "error_KeyError": 2,
    "rejected_1008": 1,
}


def second(number, *, sessions=20, timings=(), **fields):
    """Returns a second in which every session ends as soon as it began."""
    tally = Tally(
        launched=18,
        opened=15,
        bytes_sent=900,
        bytes_received=800,
        pings=4,
        pongs=3,
        messages_sent=7,
        messages_received=6,
        sessions_started=sessions,
        sessions_done=sessions,
        failed={"refused": 1, "no_fd": 1, "http_503": 1},
        closed=dict(ENDS),
        **fields,
    )
    for value in (100, 300, 2000):
        tally.connect.record(value)
        tally.handshake.record(2 * value)
    for name, value in timings:
        tally.time(name, value)
    return Second(number, tally, Held(), rss=1)


def logged(form, *posts, plan=None, scripted=False):
    """Returns the log of a run with these posts, and the summary of the run."""
    run = Run(plan or Plan(max=1000, hold=600.0), 1)
    (agent,) = started(run, ["a"])
    log, text, now = TsungLog(form, BEGAN, scripted=scripted), b"", run.start
    for post in posts:
        now = run.start + max((one.number for one in post.seconds), default=0) + 1.0
        posted(run, agent, post, now)
        for entry in run.tick(now):
            text += log.add(entry)
    return (text + log.end(BEGAN + 30.5)).decode(), summary_of(run, [], now)


def test_a_dump_every_ten_seconds_and_one_at_the_end():
    text, _ = logged("text", *(seconds(second(number)) for number in range(25)))

    assert [dump.at for dump in read_text(text)] == [1_600_000_010, 1_600_000_020, 1_600_000_025]
    assert text.splitlines()[-1] == "EndMonitor:{1600,30,900000}"


def test_a_run_that_ends_with_an_interval_has_no_empty_dump():
    text, _ = logged("text", *(seconds(second(number)) for number in range(20)))

    assert [dump.at for dump in read_text(text)] == [1_600_000_010, 1_600_000_020]


def test_the_counts_are_the_summarys():
    text, summary = logged("text", *(seconds(second(number)) for number in range(13)))
    counted = totals(read_text(text))

    assert counted["websocket_succ"] == summary.opened == 13 * 15
    assert counted["users_count"] == summary.sessions_started == counted["finish_users_count"]
    assert (counted["size_rcv"], counted["size_sent"]) == (
        summary.bytes_received,
        summary.bytes_sent,
    )
    assert (counted["websocket_ping"], counted["websocket_pong"]) == (
        summary.pings,
        summary.pongs,
    )
    assert counted["connect"] == summary.histograms["connect"].count
    assert counted["request"] == summary.histograms["handshake"].count
    assert (counted["request_noack"], counted["async_unknown_data_rcv"]) == (13 * 7, 13 * 6)
    errors = {
        name: count / 13
        for name, count in counted.items()
        if name.startswith(("error", "websocket_fail"))
    }
    assert errors == {
        "error_connect_econnrefused": 1,
        "error_connect_emfile": 1,
        "websocket_fail": 1,
        "error_closed": 2,
        "error_inet_econnreset": 1,
        "error_timeout": 1,
        "error_KeyError": 2,
        "error_rejected_1008": 1,
    }
    wanted = ("done", "drained")
    ended = sum(count for reason, count in summary.closed.items() if reason not in wanted)
    assert sum(errors.values()) * 13 == summary.total_failed + ended


def test_a_sample_has_its_interval_its_extremes_and_everything_before():
    values = [[(10 * number + one) * 1000 for one in (1, 5, 9)] for number in range(12)]
    posts = [
        seconds(second(n, timings=[("tr_login", value) for value in values[n]])) for n in range(12)
    ]

    first, last = read_text(logged("text", *posts)[0])

    early, late = (
        [value / 1000 for second in part for value in second] for part in (values[:10], values[10:])
    )
    count, average, deviation, highest, lowest, global_mean, global_count = last.values["tr_login"]
    assert (count, global_count) == (len(late), len(early))
    assert average == pytest.approx(mean(late), rel=0.01)
    assert deviation == pytest.approx(pstdev(late), rel=0.05)
    assert (highest, lowest) == (pytest.approx(119, rel=0.01), pytest.approx(1, rel=0.01))
    assert global_mean == pytest.approx(mean(early), rel=0.01)
    assert global_mean == first.values["tr_login"][1]
    assert first.values["tr_login"][5:] == [0, 0]


def test_a_statistic_stays_in_later_dumps_with_nothing_new():
    quiet = [seconds(Second(number, Tally(), Held())) for number in range(1, 12)]
    first, last = read_text(logged("text", seconds(second(0)), *quiet)[0])

    assert last.values["connect"][:3] == [0, 0, 0]
    assert last.values["connect"][3:5] == first.values["connect"][3:5]
    assert last.values["connect"][6] == 3
    assert last.values["websocket_succ"] == [0, 15]
    assert "page" not in first.values


def test_users_and_connected_are_the_present_numbers():
    up = Second(0, Tally(launched=9, opened=8, sessions_started=9), Held(connecting=1, open=8))
    down = Second(
        11, Tally(closed={"drained": 5}, sessions_done=6, failed={"timeout": 1}), Held(open=3)
    )
    still = [Second(number, Tally(), Held(connecting=1, open=8)) for number in range(1, 11)]
    first, last = read_text(logged("text", *(seconds(one) for one in (up, *still, down)))[0])

    assert (first.values["users"], first.values["connected"]) == ([9, 9], [8, 8])
    assert (last.values["users"], last.values["connected"]) == ([3, 9], [-5, 3])


def test_sessions_of_a_dead_agent_are_over():
    run = Run(Plan(max=10, hold=600.0), 2)
    ids = started(run)
    log = TsungLog("text", BEGAN)
    for agent in ids:
        posted(
            run,
            agent,
            seconds(Second(0, Tally(launched=3, opened=3, sessions_started=3), Held(open=3))),
            run.start + 1,
        )
    text = b"".join(log.add(entry) for entry in run.tick(run.start + 1))
    run.lose_agent("b", "died")
    posted(run, ids[0], seconds(Second(1, Tally(), Held(open=3))), run.start + 2)
    text += b"".join(log.add(entry) for entry in run.tick(run.start + 2))

    (dump,) = read_text((text + log.end(BEGAN)).decode())
    assert (dump.values["users"], dump.values["connected"], dump.values["error_lost"]) == (
        [3, 6],
        [3, 3],
        [3, 3],
    )


def test_names_of_sessions_own_are_one_word_and_do_not_replace_others():
    own = {"bad reply": 2, "bad-reply": 1, "users_count": 5, "match": 4}
    posts = [
        seconds(
            second(
                number,
                counters=dict(own),
                timings=[("tr_a b", 1000), ("a_b", 1000), ("request", 1000)],
            )
        )
        for number in range(11)
    ]
    counted = totals(read_text(logged("text", *posts)[0]))

    assert (counted["bad_reply"], counted["own_users_count"], counted["match"]) == (33, 55, 44)
    assert counted["users_count"] == 220
    assert (counted["tr_a_b"], counted["tr_request"], counted["request"]) == (22, 11, 33)


def test_scripts_count_their_requests_and_their_errors_themselves():
    timings = [
        ("request", 1000),
        ("request", 3000),
        ("page", 4000),
        ("session", 9000),
        ("tr_login", 2000),
        ("own", 1),
    ]
    own = {"request_noack": 3, "error_KeyError": 2, "error_unknown": 1}
    posts = [seconds(second(number, counters=dict(own), timings=timings)) for number in range(11)]
    dumps = read_text(logged("text", *posts, scripted=True)[0])
    counted = totals(dumps)

    assert {
        name: counted[name] / 11 for name in ("request", "page", "session", "tr_login", "tr_own")
    } == {
        "request": 2,
        "page": 1,
        "session": 1,
        "tr_login": 1,
        "tr_own": 1,
    }
    assert counted["request_noack"] == 33
    assert "async_unknown_data_rcv" not in counted
    assert counted["error_KeyError"] == 22, (
        "counted by the session, and not again as the end of its connection"
    )
    assert list(means(dumps, "request")) == [pytest.approx(2, rel=0.01)] * 2


def test_a_correction_counts_in_the_interval_that_is_open():
    run = Run(Plan(max=1000, hold=600.0), 2)
    a, b = started(run)
    log, text = TsungLog("text", BEGAN), b""
    for number in range(16):
        posted(run, a, seconds(second(number)), run.start + number + 1)
        posted(run, b, seconds(), run.start + number + 1)
        text += b"".join(log.add(entry) for entry in run.tick(run.start + number + 1))
    posted(run, b, seconds(*(second(number) for number in range(16))), run.start + 16)
    text += b"".join(log.add(entry) for entry in run.tick(run.start + 16))
    dumps = read_text((text + log.end(BEGAN)).decode())

    assert totals(dumps)["websocket_succ"] == run.total.opened == 2 * 16 * 15
    assert dumps[0].values["websocket_succ"][0] == 10 * 15


def test_the_json_form_says_the_same_as_the_text():
    posts = [
        seconds(second(n, counters={"200": 1, "match": 2}, timings=[("tr_x", 1500)]))
        for n in range(23)
    ]
    (text, _), (json, _) = logged("text", *posts), logged("json", *posts)

    written = [(dump.at, dump.values) for dump in read_json(json)]
    assert written == [
        (
            dump.at,
            {"http_200" if name == "200" else name: values for name, values in dump.values.items()},
        )
        for dump in read_text(text)
    ]


def test_a_remark_stands_before_the_next_dump_and_only_there():
    log, text = TsungLog("text", BEGAN), b""
    log.remark("asked by hand: max 5")
    text = log.end(BEGAN + 1.0) + log.end(BEGAN + 2.0)

    assert text.splitlines()[0] == b"# asked by hand: max 5"
    assert text.count(b"asked by hand") == 1
