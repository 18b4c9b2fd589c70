"""The pings of a connection, against the websockets library on a socket pair."""

from time import monotonic

import pytest
from websockets.frames import Opcode

from loadgen.net.pings import MAX_OVERTAKEN
from loadgen.plan.life import PONG_TIMEOUT
from tests.unit.wire_ends import THINK, opened, until


async def test_a_pong_is_measured_from_when_its_ping_was_due():
    async with opened() as (connection, _, far, recorder):
        due = monotonic() - 0.5
        connection.send_ping(due)
        ping = await far.frame()
        assert ping.opcode is Opcode.PING
        await far.flush()
        await until(lambda: recorder.tally.pongs == 1)
        assert recorder.tally.ping_rtt.summary()["max"] >= 500


async def test_a_late_pong_is_measured_against_its_own_ping():
    """Two pings are out; the answer to the first arrives after the second was sent."""
    async with opened() as (connection, _, far, recorder):
        first = monotonic() - 10
        connection.send_ping(first)
        connection.send_ping(first + THINK)
        ping = await far.frame()
        await far.send_frame(Opcode.PONG, ping.data)
        await until(lambda: recorder.tally.pongs == 1)
        assert recorder.tally.ping_rtt.summary()["max"] >= 10_000
        assert connection.owed


def pong(number):
    """Returns the payload of the pong to a ping."""
    return number.to_bytes(4, "big")


def settled(tally):
    """Returns what became of all pings: pongs, skipped, missing and cut."""
    found = (tally.pongs, tally.pongs_skipped, tally.pongs_missing, tally.pings_cut)
    assert sum(found) == tally.pings == tally.ping_rtt.total
    return found


async def test_a_newer_pong_answers_the_older_pings_when_it_comes():
    async with opened() as (connection, diary, far, recorder):
        first = monotonic() - 10
        for number in range(3):
            connection.send_ping(first + number * THINK)
        await far.send_frame(Opcode.PONG, pong(3))
        await until(lambda: recorder.tally.pongs == 1)
        assert not connection.owed
        assert recorder.tally.ping_rtt.total == 1  # the pongs of the others may still come
        before = monotonic()
        far.sock.close()
        await until(diary.over.is_set)
        assert settled(recorder.tally) == (1, 2, 0, 0)
        longest = recorder.tally.ping_rtt.summary()["max"] / 1000
        assert 10 <= longest <= 1.01 * (before - first)


async def test_an_overtaken_pong_that_comes_counts_once_by_its_own_arrival():
    async with opened() as (connection, diary, far, recorder):
        first = monotonic() - 10
        for number in range(3):
            connection.send_ping(first + number * THINK)
        for number in (3, 1, 1, 3):
            await far.send_frame(Opcode.PONG, pong(number))
        await far.send_frame(Opcode.TEXT, b"after them")
        await until(lambda: recorder.tally.messages_received == 1)
        assert recorder.tally.pongs == recorder.tally.ping_rtt.total == 2
        assert recorder.tally.ping_rtt.summary()["max"] >= 10_000
        far.sock.close()
        await until(diary.over.is_set)
        assert settled(recorder.tally) == (2, 1, 0, 0)


async def test_an_overtaken_ping_is_skipped_once_it_is_too_old():
    async with opened() as (connection, _, far, recorder):
        connection.send_ping(100.0)
        connection.send_ping(100.0 + THINK)
        await far.send_frame(Opcode.PONG, pong(2))
        await until(lambda: recorder.tally.pongs == 1)
        connection.send_ping(100.0 + PONG_TIMEOUT - 0.1)
        assert recorder.tally.pongs_skipped == 0
        connection.send_ping(100.0 + PONG_TIMEOUT)
        assert recorder.tally.pongs_skipped == 1
        assert connection.overtaken is None
        await far.send_frame(Opcode.PONG, pong(1))  # now it is too late
        await far.send_frame(Opcode.PONG, pong(4))
        await until(lambda: recorder.tally.pongs == 2)
        assert recorder.tally.pongs_skipped == 1


async def test_only_some_overtaken_pings_are_kept():
    async with opened() as (connection, diary, far, recorder):
        first = monotonic()
        count = MAX_OVERTAKEN + 6
        for _ in range(count):
            connection.send_ping(first)
        await far.send_frame(Opcode.PONG, pong(count))
        await until(lambda: recorder.tally.pongs == 1)
        assert recorder.tally.pongs_skipped == 5
        connection.cut("storm")
        await until(lambda: diary.entries == ["opened", "storm"])
        assert settled(recorder.tally) == (1, count - 1, 0, 0)


async def test_pings_that_nothing_answers_are_missing_and_as_slow_as_they_are_old():
    async with opened() as (connection, diary, far, recorder):
        connection.send_ping(monotonic() - 10)
        connection.send_ping(monotonic() - 8)
        far.sock.close()
        await until(lambda: diary.entries == ["opened", "reset"])
        assert settled(recorder.tally) == (0, 0, 2, 0)
        assert recorder.tally.ping_rtt.summary()["max"] >= 10_000
        assert recorder.tally.ping_rtt.summary()["p50"] >= 8_000


async def test_a_pong_after_our_close_is_not_missing():
    async with opened() as (connection, diary, far, recorder):
        connection.send_ping(monotonic())
        connection.begin_close("done")
        await far.frame()
        await far.frame()
        await far.flush()  # the pong, and the answer to the close
        far.sock.close()
        await until(lambda: diary.entries == ["opened", "done"])
        assert settled(recorder.tally) == (1, 0, 0, 0)
        assert recorder.tally.drained_unanswered == 0


@pytest.mark.parametrize("closing", [False, True])
async def test_pings_of_a_connection_that_the_plan_cuts_are_not_the_servers_fault(closing):
    async with opened() as (connection, diary, _, recorder):
        connection.send_ping(monotonic())
        if closing:
            connection.begin_close("drained")
        connection.cut("storm")
        await until(lambda: diary.entries == ["opened", "drained" if closing else "storm"])
        assert settled(recorder.tally) == (0, 0, 0, 1)
        assert recorder.tally.drained_unanswered == 0


async def test_a_pong_without_a_ping_is_not_counted():
    async with opened() as (_, _, far, recorder):
        await far.send_frame(Opcode.PONG, b"\0\0\0\1")
        await far.send_frame(Opcode.TEXT, b"after it")
        await until(lambda: recorder.tally.messages_received == 1)
        assert recorder.tally.pongs == 0


async def test_appwrite_ping_and_pong_are_counted_and_measured():
    async with opened() as (connection, _, far, recorder):
        connection.send_app_ping(monotonic())
        assert (await far.frame()).data == b'{"type":"ping"}'
        await far.send_frame(Opcode.TEXT, b'{"type":"pong"}')
        await until(lambda: recorder.tally.pongs == 1)
        assert (
            recorder.tally.pings,
            recorder.tally.messages_sent,
            recorder.tally.messages_received,
        ) == (1, 1, 1)


async def test_a_ping_without_an_answer_in_time_ends_it():
    async with opened() as (connection, diary, _, recorder):
        connection.send_ping(100.0)
        connection.send_ping(100.0 + PONG_TIMEOUT - 0.1)
        assert diary.entries == ["opened"]
        connection.send_ping(100.0 + PONG_TIMEOUT)
        await until(lambda: diary.entries == ["opened", "ping_timeout"])
        assert recorder.tally.pings == 2
