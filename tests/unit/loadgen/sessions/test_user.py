"""Users and their sessions, against the websockets library's server."""

import socket
from time import monotonic

import pytest

from loadgen.plan.params import read_only
from loadgen.sessions.errors import ConnectFailed
from loadgen.sessions.inbox import MAX_UNREAD, UNREAD
from loadgen.sessions.receiver import Subscription
from loadgen.stats.deliveries import Deliveries
from loadgen.stats.delivery import stamp_of
from tests.processes import refusing_port
from tests.unit.loadgen.sessions.echo_server import load
from tests.unit.loads import idle_user
from tests.unit.timing import MS
from tests.unit.wire_ends import until


async def test_a_session_talks_to_its_server():
    said = []

    async def session(user):
        ws = await user.connect()
        await ws.send("text")
        said.append(await ws.receive(timeout=5))
        await ws.send(b"\x00bytes")
        await ws.send_json({"a": [1, "ü"]})
        said.append(await ws.receive())
        said.append(await ws.receive())
        assert 0 < await ws.ping(timeout=5) < 5
        assert ws.open
        await ws.close()
        assert not ws.open

    async with load(session) as (running, server):
        assert (await running.over()).closed == {"done": 1}
        assert said == ["text", b"\x00bytes", '{"a":[1,"ü"]}']
        tally = running.tally
        assert (tally.messages_sent, tally.messages_received, tally.pings, tally.pongs) == (
            3,
            3,
            1,
            1,
        )
        await until(lambda: server.codes == [1000])


async def test_a_connection_asks_for_a_path_with_own_headers_and_subprotocols():
    async def session(user):
        ws = await user.connect(
            "/else?a=1", headers={"X-Own": "7"}, subprotocols=["chat"], origin="http://here"
        )
        assert (ws.subprotocol, ws.headers["upgrade"]) == ("chat", "websocket")
        await user.think(30)

    async with load(session, subprotocols=["chat"]) as (running, server):
        await until(lambda: running.ledger.open == 1)
        request = server.connections[0].request
        assert request.path == "/else?a=1"
        assert (request.headers["X-Own"], request.headers["Origin"]) == ("7", "http://here")


async def test_one_subprotocol_may_be_a_text_as_in_browsers():
    async def session(user):
        ws = await user.connect(subprotocols="chat")
        user.count(f"chose_{ws.subprotocol}")

    async with load(session, subprotocols=["chat"]) as (running, _):
        assert (await running.over()).closed == {"done": 1}
        assert running.tally.counters == {"chose_chat": 1}


async def test_thinking_takes_its_time_whichever_way_it_is_drawn():
    took = []

    async def session(user):
        ws = await user.connect()
        for think in (user.think(0.1), user.think.uniform(0.1, 0.12), user.think.exponential(0.02)):
            begin = monotonic()
            await think
            took.append(monotonic() - begin)
        await ws.close()

    async with load(session) as (running, _):
        assert (await running.over()).closed == {"done": 1}
        assert took[0] >= 0.1
        assert took[1] >= 0.1


async def test_a_message_that_does_not_come_in_time_is_a_timeout_and_the_session_goes_on():
    late = []

    async def session(user):
        ws = await user.connect()
        try:
            await ws.receive(timeout=40 * MS)
        except TimeoutError:
            late.append(user.number)
        await ws.send("now")
        late.append(await ws.receive(timeout=30))

    async with load(session) as (running, _):
        assert (await running.over()).closed == {"done": 1}
        assert late == [0, "now"]


async def test_unread_messages_are_kept_and_the_oldest_are_dropped_and_counted():
    got = []

    async def session(user):
        ws = await user.connect()
        for number in range(MAX_UNREAD + 10):
            await ws.send(str(number))
        while user.recorder.tally.messages_received < MAX_UNREAD + 10:
            await user.think(20 * MS)
        got.append(await ws.receive())

    async with load(session) as (running, _):
        assert (await running.over()).closed == {"done": 1}
        assert got == ["10"]
        assert running.tally.counters == {UNREAD: 10}


async def test_messages_are_dropped_until_one_fits():
    async def session(user):
        ws = await user.connect()
        for text in ("a", "b", "the one", "c"):
            await ws.send(text)
        assert (
            await ws.receive_until(lambda message: message.startswith("the"), timeout=5)
            == "the one"
        )
        assert await ws.receive() == "c"

    async with load(session) as (running, _):
        assert (await running.over()).closed == {"done": 1}


async def test_counters_timings_and_transactions_are_recorded():
    async def session(user):
        ws = await user.connect()
        user.count("logins")
        user.count("items", 5)
        with user.time("echo"):
            await ws.send("x")
            await ws.receive()
        with user.transaction("buy"):
            await user.think(20 * MS)
        with pytest.raises(LookupError), user.transaction("fail"):
            raise LookupError

    async with load(session, max=3) as (running, _):
        await running.over()
        assert running.tally.counters == {"logins": 3, "items": 15, "tr_fail_failed": 3}
        assert {name: timing.total for name, timing in running.tally.timings.items()} == {
            "echo": 3,
            "tr_buy": 3,
        }


async def test_the_same_user_draws_the_same_numbers_in_every_run():
    drawn = []

    async def session(user):
        await user.connect()
        drawn.append((user.number, user.random.random()))

    for _ in range(2):
        async with load(session, max=3) as (running, _):
            await running.over()
    assert sorted(drawn)[::2] == sorted(drawn)[1::2]
    assert len(set(drawn)) == 3


async def test_every_message_is_sent_or_unsent_in_the_end():
    """The second message is too long for the server, which closes in its middle."""

    async def session(user):
        ws = await user.connect()
        await ws.send("hello")
        await ws.receive()
        await ws.send(bytes(1 << 24))

    async with load(session) as (running, _):
        await running.over()
        tally = running.tally
        assert tally.messages_sent + tally.messages_unsent == 2
        assert tally.messages_sent <= 1 + (tally.bytes_sent >> 24)
        assert tally.sessions_failed == 1


async def test_a_session_may_connect_again_and_each_connection_is_in_the_ledger():
    async def session(user):
        for _ in range(3):
            ws = await user.connect()
            await ws.close()

    async with load(session, max=2) as (running, _):
        ledger = await running.over()
        assert (ledger.planned, ledger.launched, ledger.opened, ledger.closed) == (
            6,
            6,
            6,
            {"done": 6},
        )
        assert running.tally.relaunched == 4


async def test_a_session_may_hold_several_connections():
    async def session(user):
        one, two = await user.connect(), await user.connect()
        await one.send("1")
        await two.send("2")
        assert (await two.receive(), await one.receive()) == ("2", "1")
        await user.think(30)

    async with load(session) as (running, _):
        await until(lambda: running.tally.messages_received == 2)
        assert running.engine.held().open == 2
        running.engine.drain(monotonic())
        assert (await running.over()).closed == {"drained": 2}


async def test_a_failed_connect_may_be_tried_again():
    async def session(user):
        for _ in range(3):
            with pytest.raises(ConnectFailed, match="refused"):
                await user.connect()

    async with load(session, port=refusing_port()) as (running, _):
        ledger = await running.over()
        assert (ledger.planned, ledger.failed) == (3, {"refused": 3})


REQUESTS = {
    "a resource with a line break": ({"resource": "/x HTTP/1.1\r\nX-Injected: yes"}, r"'\r'"),
    "a resource that is none": ({"resource": "hold"}, "'hold' does not begin with /"),
    "a header with a line break": ({"headers": {"X-Name": "a\nb"}}, "`headers.X-Name` has"),
    "a header that has no name": ({"headers": {"X Name": "a"}}, "has the name 'X Name'"),
    "a header of the handshake": ({"headers": {"Upgrade": "h2c"}}, "`headers.Upgrade` belongs"),
    "a subprotocol as a header": (
        {"headers": {"Sec-WebSocket-Protocol": "chat"}},
        "by the key `subprotocols`",
    ),
    "an origin with a NUL": ({"origin": "http://here\0"}, "`headers.Origin` has the character"),
    "a subprotocol that is none": ({"subprotocols": ["a\r\nb"]}, "`subprotocols[0]` is 'a"),
}


@pytest.mark.parametrize(("request_", "why"), REQUESTS.values(), ids=REQUESTS)
async def test_a_request_that_can_not_be_sent_is_a_failure_with_a_sample(request_, why):
    async def session(user):
        await user.connect(**request_)

    async with load(session, max=3) as (running, server):
        assert (await running.over()).failed == {"bad_request": 3}
        assert server.connections == []
        sample = running.recorder.samples["bad_request"]
        assert sample.startswith("user 0: ")
        assert why in sample


async def test_a_session_may_go_on_after_a_request_that_can_not_be_sent():
    async def session(user):
        for resource in ("/\n", "/\r"):
            with pytest.raises(ConnectFailed, match="bad_request"):
                await user.connect(resource)
        ws = await user.connect("/a b")
        await ws.close()

    async with load(session) as (running, server):
        ledger = await running.over()
        assert (ledger.planned, ledger.failed) == (3, {"bad_request": 2})
        assert ledger.closed == {"done": 1}
        assert server.connections[0].request.path == "/a%20b"


async def test_requests_that_can_not_be_sent_for_ever_leave_others_their_turn():
    async def session(user):
        while True:
            try:
                await user.connect("/\n")
            except ConnectFailed:
                user.count("again")

    async with load(session, max=2) as (running, _):
        await until(lambda: running.tally.counters.get("again", 0) > 20)
        running.engine.drain(monotonic())
        assert set((await running.over()).failed) == {"bad_request"}


async def test_a_connect_may_be_given_less_time():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        async def session(user):
            await user.connect(timeout=40 * MS)

        async with load(session, port=silent.getsockname()[1]) as (running, _):
            assert (await running.over()).failed == {"timeout": 1}


@pytest.mark.parametrize(
    ("circumstances", "reason"),
    [
        ({"port": refusing_port}, "refused"),
        ({"ports": range(24_600, 24_600)}, "no_local_port"),
        ({"refuse": True}, "http_503"),
    ],
)
async def test_a_connect_that_fails_raises_in_the_session_and_is_counted_once(
    circumstances, reason
):
    recorded = []

    async def session(user):
        try:
            await user.connect()
        except ConnectFailed as end:
            recorded.append(str(end))
            raise

    circumstances = {
        name: value() if callable(value) else value for name, value in circumstances.items()
    }
    async with load(session, max=4, **circumstances) as (running, _):
        ledger = await running.over()
        assert (ledger.launched, ledger.failed, ledger.opened, ledger.closed) == (
            4,
            {reason: 4},
            0,
            {},
        )
        assert recorded == [reason] * 4
        assert (running.tally.sessions_done, running.tally.sessions_failed) == (0, 4)


async def test_a_slow_reader_makes_its_server_wait():
    """Bytes are read at 400,000 a second; after the last chunk there is no wait."""
    size, pieces = 8192, 40

    async def session(user):
        ws = await user.connect(read_rate=400_000.0)
        await ws.send("go")
        for _ in range(pieces + 1):
            await ws.receive(timeout=30)

    async with load(session) as (running, server):
        await until(lambda: running.tally.messages_received == 1)
        begin = monotonic()
        for _ in range(pieces):
            await server.connections[0].send(bytes(size))
        assert (await running.over()).closed == {"done": 1}
        assert monotonic() - begin >= size * pieces / 400_000 / 2
        assert running.tally.bytes_received >= size * pieces


async def test_users_wait_for_each_other_until_the_fleet_reports_that_enough_have_come():
    async def session(user):
        ws = await user.connect()
        await user.meet(10)
        await ws.close()

    async with load(session, max=3) as (running, _):
        await until(lambda: running.tally.counters.get("meet_10") == 3)
        assert running.ledger.open == 3
        running.population.met(10)
        running.population.met(10)
        assert (await running.over()).closed == {"done": 3}


async def test_a_session_stamps_what_it_publishes():
    stamps = []

    async def session(user):
        user.recorder.deliveries = Deliveries(
            lambda payload: payload, lambda resource: (), grace=5.0, publisher="here-run-1"
        )
        stamps.extend(user.stamp(channel) for channel in ("", "room", ""))

    async with load(session) as (running, _):
        await running.over()

    found = [stamp_of(stamp.encode()) for stamp in stamps]
    assert [(one.stream, one.number) for one in found] == [
        ("here-run-1.0", 0),
        ("here-run-1.1", 0),
        ("here-run-1.0", 1),
    ]


async def test_a_session_of_a_plan_without_publications_can_not_stamp():
    async def session(user):
        user.stamp()

    async with load(session) as (running, _):
        assert (await running.over()).failed == {"error_RuntimeError": 1}


async def test_a_subscribed_session_has_a_connection_whose_receipts_are_measured():
    kinds = []

    async def session(user):
        for receives in (False, True):
            user.scenario.receives = receives
            ws = await user.connect()
            kinds.append(isinstance(ws, Subscription))
            await ws.close()

    async with load(session) as (running, _):
        running.recorder.deliveries = Deliveries(
            lambda payload: payload, lambda resource: (), grace=5.0
        )
        await running.over()
    assert kinds == [False, True]


async def test_a_check_counts_its_result_and_goes_on():
    got = []

    async def session(user):
        await user.connect()
        got.append(user.check("token", ""))
        got.append(user.check("token", "abc"))

    async with load(session) as (running, _):
        assert (await running.over()).closed == {"done": 1}
        tally, samples = running.tally, running.recorder.samples

    assert got == [False, True]
    assert (tally.checks["token"].passed, tally.checks["token"].failed) == (1, 1)
    assert samples["check.token"].startswith("user 0: check 'token' failed: the condition was ''")
    assert 'got.append(user.check("token", ""))' in samples["check.token"], "the author's line"


async def test_the_sample_of_a_check_is_what_was_checked_of_the_first_failure():
    async def session(user):
        await user.connect()
        for answer in ("first", {"b": 2}):
            user.check("x" * 100, False, sample=answer)
            user.check("object", False, sample={"a": 1})

    async with load(session) as (running, _):
        await running.over()
        samples = running.recorder.samples

    assert "first" in samples["check." + "x" * 80]
    assert "{'a': 1}" in samples["check.object"]


async def test_a_fatal_check_ends_the_session():
    async def session(user):
        await user.connect()
        user.check("token", True, fatal=True)
        user.check("token", None, fatal=True)

    async with load(session) as (running, _):
        assert (await running.over()).closed == {"error_CheckFailed": 1}
        assert running.tally.sessions_failed == 1


def test_a_user_reads_the_plans_parameters_and_what_setup_returned():
    user = idle_user()
    with pytest.raises(RuntimeError, match=r"user.data needs a plan with \[setup\]"):
        _ = user.data
    with pytest.raises(KeyError, match="no parameter 'room'"):
        _ = user.params["room"]

    user.scenario.params, user.scenario.data = read_only({"room": "lobby"}), {"id": 5}

    assert (user.params["room"], user.data["id"]) == ("lobby", 5)
