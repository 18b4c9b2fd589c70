"""Scripts, played against the websockets library's server in one event loop."""

import gc
import re
import socket
import tracemalloc
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import get_args

import pytest
from websockets.asyncio.server import serve

from loadgen.errors import PlanError
from loadgen.plan.plan import Plan
from loadgen.plan.script import (
    Abort,
    Change,
    Close,
    Condition,
    Connect,
    Extract,
    For,
    Foreach,
    If,
    Interaction,
    Match,
    Option,
    Ping,
    Receive,
    Repeat,
    Send,
    SetVars,
    Step,
    Think,
    Transaction,
)
from loadgen.plan.sessions import Script
from loadgen.sessions.script.compile import (
    BOUNDARY_ACTIONS,
    STEP_ACTIONS,
    Block,
    compile_session,
)
from loadgen.sessions.script.context import UNASKED
from tests.processes import free_port, refusing_port
from tests.unit.loads import Load
from tests.unit.timing import MS
from tests.unit.wire_ends import until

SOURCE = "127.0.9.5"
PORTS = range(24_500, 24_900)
HUSH = "hush"
"""A part of messages that the server does not answer."""
USER = '{"user":{"id":41,"roles":["a","b","admin"]}}'


class Server:
    """The far side: records and echoes messages, answers `json`, sends news unasked."""

    def __init__(self):
        self.got = []
        self.requests = []
        self.codes = []

    def greet(self, connection, request, response):
        response.headers["Set-Cookie"] = "lb=node3; Path=/"
        response.headers["Set-Cookie"] = "cors=yes; Partitioned"

    async def hold(self, connection):
        self.requests.append(connection.request)
        async for message in connection:
            self.got.append(message)
            if message == "unasked":
                await connection.send("news")
            if message == "leave":
                await connection.close(1001)
            elif HUSH not in str(message):
                await connection.send(USER if message == "json" else message)
        self.codes.append(connection.close_code)


@asynccontextmanager
async def playing(*steps, files=None, patience=5.0, port=None, own=0, given=None, **changes):
    """A script under way against a fresh server; the end drains users that are left."""
    server = Server()
    async with serve(
        server.hold,
        "127.0.0.1",
        own,
        compression=None,
        ping_interval=None,
        process_response=server.greet,
    ) as listening:
        port = port or listening.sockets[0].getsockname()[1]
        plan = Plan(
            **{"rate": 500.0, "max": 1, "hold": 0.0, "target": f"ws://127.0.0.1:{port}/"} | changes
        )
        script = Script(name="script", steps=steps)
        session = compile_session(script, files or {}, patience, given=given or {})
        running = Load(plan, port, source=SOURCE, ports=PORTS, session=session)
        try:
            yield running, server
        finally:
            await running.end()


async def played(*steps, **changes):
    """Plays a script; returns ledger, counters, how often names are timed, server."""
    async with playing(*steps, **changes) as (running, server):
        ledger = await running.over()
        tally = running.tally
        timed = {name: timing.total for name, timing in tally.timings.items()}
        await until(lambda: len(server.codes) == ledger.opened)
        return ledger, tally.counters, timed, server


def say(text, **more):
    """Returns a step that sends a message without a reply."""
    return Send(text=f"{text} {HUSH}", **more)


def said(server):
    """Returns the texts of `say` that the server got."""
    return [message.removesuffix(f" {HUSH}") for message in server.got]


CONNECT = Connect()


def test_every_type_of_step_has_a_function():
    """A type of loadgen/plan/script.py that neither table knows can't be played."""
    union, _ = get_args(Step)

    assert STEP_ACTIONS.keys() | BOUNDARY_ACTIONS.keys() == set(get_args(union))
    assert not STEP_ACTIONS.keys() & BOUNDARY_ACTIONS.keys()
    assert set(get_args(Block)) == BOUNDARY_ACTIONS.keys()


async def test_a_session_connects_sends_and_closes():
    ledger, counters, timed, server = await played(
        CONNECT, Send(text="ask", ack=True), say("tell", frame="binary"), Ping(), Close()
    )

    assert server.got == ["ask", b"tell hush"]
    assert server.codes == [1000]
    assert ledger.closed == {"done": 1}
    assert counters == {"request_noack": 1}
    assert timed == {"request": 3, "page": 2, "session": 1}


async def test_requests_without_a_think_time_between_them_are_a_page():
    _, _, timed, _ = await played(
        CONNECT,
        Transaction(name="t", steps=(Send(text="a", ack=True),)),
        Think(seconds=0.02),
        Send(text="b", ack=True),
    )

    assert timed == {"request": 3, "page": 2, "session": 1, "tr_t": 1}


async def test_a_connection_asks_for_what_its_step_says_with_variables_put_in():
    _, _, _, server = await played(
        SetVars(names=("id",), source="value", value="7"),
        Connect(
            path="/users/%%_id%%", subst=True, headers={"X-User": "%%_id%%"}, origin="http://here"
        ),
        Close(),
        Connect(path="/users/%%_id%%"),
    )

    first, second = server.requests
    assert (first.path, first.headers["X-User"], first.headers["Origin"]) == (
        "/users/7",
        "7",
        "http://here",
    )
    assert second.path == "/users/%%_id%%"


async def test_what_a_variable_holds_does_not_change_the_request():
    value = "/x HTTP/1.1\r\nX-Injected: yes"
    ledger, _, _, server = await played(
        SetVars(names=("next",), source="value", value=value),
        Connect(path="/a"),
        Connect(path="%%_next%%", subst=True),
        Send(text="never"),
    )

    assert (ledger.failed, ledger.closed) == ({"bad_request": 1}, {"done": 1})
    assert [request.path for request in server.requests] == ["/a"]


async def test_a_session_that_connects_again_makes_another_connection():
    ledger, _, _, server = await played(CONNECT, Close(), Think(seconds=0.02), CONNECT, CONNECT)

    assert (ledger.planned, ledger.opened, ledger.closed) == (3, 3, {"done": 3})
    assert server.codes == [1000] * 3


@pytest.mark.parametrize(
    ("bounds", "turns"),
    [
        ({"first": 1, "last": 3}, ["1", "2", "3"]),
        ({"first": 1, "last": 8, "step": 3}, ["1", "4", "7", "10"]),
        ({"first": 5, "last": 1}, ["5"]),
        ({"first": "%%_low%%", "last": "%%_high%%"}, ["2", "3"]),
    ],
)
async def test_a_for_counts_up_to_its_end_inclusive_and_at_least_once(bounds, turns):
    _, _, _, server = await played(
        CONNECT,
        SetVars(names=("low",), source="value", value="2"),
        SetVars(names=("high",), source="random_number", start=3, end=3),
        For(var="i", steps=(say("%%_i%%", subst=True),), **bounds),
    )

    assert said(server) == turns


async def test_a_text_that_is_no_number_ends_the_session_as_tsung_counts_it():
    ledger, counters, _, server = await played(
        SetVars(names=("many",), source="value", value="many"),
        CONNECT,
        For(var="i", first=1, last="%%_many%%", steps=(say("once"),)),
        say("not reached"),
    )

    assert said(server) == ["once"]
    assert (ledger.closed, counters["error_unknown"]) == ({"error_unknown": 1}, 1)


async def test_a_repeat_goes_on_while_its_condition_holds_up_to_its_most():
    condition = Condition(var="x", op="eq", value="1")
    _, counters, _, server = await played(
        CONNECT,
        SetVars(names=("x",), source="value", value="1"),
        Repeat(name="loop", most=2, condition=condition, steps=(say("again"),)),
        Repeat(name="other", until=True, condition=condition, steps=(say("once"),)),
        Repeat(name="third", condition=Condition(var="y", value="1"), steps=(say("undefined"),)),
    )

    assert said(server) == ["again", "again", "again", "once", "undefined"]
    assert (counters["max_repeat"], counters["error_repeat_thirdundef"]) == (1, 1)


@pytest.mark.parametrize(
    ("op", "value", "holds"),
    [
        ("eq", "10", True),
        ("eq", "10.0", False),
        ("neq", "9", True),
        ("gt", "9", True),
        ("gt", "10", False),
        ("gte", "10.0", True),
        ("lt", "9", False),
        ("lte", "%%_x%%", True),
    ],
)
async def test_an_if_compares_equality_as_text_and_order_as_numbers(op, value, holds):
    _, _, _, server = await played(
        CONNECT,
        SetVars(names=("x",), source="value", value="10"),
        If(condition=Condition(var="x", op=op, value=value), steps=(say("inside"),)),
        say("behind"),
    )

    assert said(server) == ["inside"] * holds + ["behind"]


async def test_an_if_on_an_unset_variable_does_its_steps_and_counts_it():
    _, counters, _, server = await played(
        CONNECT, If(condition=Condition(var="x", value="1"), steps=(say("inside"),))
    )

    assert said(server) == ["inside"]
    assert counters["error_if_undef"] == 1


@pytest.mark.parametrize(
    ("filters", "turns"),
    [
        ({}, ["a", "b", "admin"]),
        ({"include": "^a"}, ["a", "admin"]),
        ({"exclude": "^a"}, ["b"]),
        ({"include": "z"}, ["undefined"]),
    ],
)
async def test_a_foreach_goes_through_a_list_from_a_reply(filters, turns):
    _, _, _, server = await played(
        CONNECT,
        Send(
            text="json", ack=True, extract=(Extract(var="roles", by="jsonpath", expr="user.roles"),)
        ),
        Foreach(var="role", values="roles", steps=(say("%%_role%%", subst=True),), **filters),
    )

    assert said(server)[1:] == turns


async def test_a_foreach_over_no_list_is_done_once():
    _, counters, _, server = await played(
        CONNECT,
        SetVars(names=("one",), source="value", value="single"),
        Foreach(var="x", values="one", steps=(say("%%_x%%", subst=True),)),
        Foreach(var="y", values="none", steps=(say("%%_y%%", subst=True),)),
    )

    assert said(server) == ["single", "undefined"]
    assert counters["error_foreach_noneundef"] == 1


async def test_variables_come_from_replies():
    extract = (
        Extract(var="word", expr="w=(\\w+)"),
        Extract(var="entity", expr="e=(\\S+)", decode=True),
        Extract(var="miss", expr="nothing(.)"),
        Extract(var="path", by="jsonpath", expr="a.b"),
    )
    _, counters, _, server = await played(
        Connect(extract=(Extract(var="upgrade", by="header", expr="Upgrade"),)),
        Send(text="w=word e=&lt;&amp;", ack=True, extract=extract),
        Send(text="json", ack=True, extract=(Extract(var="id", by="jsonpath", expr="$.user.id"),)),
        say("%%_upgrade%%,%%_word%%,%%_entity%%,%%_miss%%,%%_path%%,%%_id%%", subst=True),
    )

    assert said(server)[-1] == "websocket,word,<&,,undefined,41"
    assert counters["error_json_unparsable"] == 1


async def test_variables_come_from_headers_and_cookies():
    extract = (
        Extract(var="all", by="header", expr="set-cookie"),
        Extract(var="lb", by="cookie", expr="lb"),
        Extract(var="cors", by="cookie", expr="cors"),
        Extract(var="none", by="cookie", expr="none"),
    )
    _, _, _, server = await played(
        Connect(extract=extract),
        say("%%_all%%|%%_none%%", subst=True),
        Connect(headers={"Cookie": "lb=%%_lb%%; cors=%%_cors%%"}, subst=True),
    )

    assert said(server) == ["lb=node3; Path=/, cors=yes; Partitioned|"]
    assert server.requests[1].headers["Cookie"] == "lb=node3; cors=yes"


async def test_variables_come_from_other_variables():
    _, _, _, server = await played(
        SetVars(names=("text",), source="value", value='{"a":{"b":[7,8]}} id=9'),
        SetVars(names=("id",), source="re", var="text", value="id=(\\d)"),
        SetVars(names=("json",), source="re", var="text", value="(.*) "),
        SetVars(names=("b",), source="jsonpath", var="json", value="a.b[1]"),
        SetVars(names=("host", "port"), source="server"),
        SetVars(names=("empty", "rest"), source="value", value=""),
        CONNECT,
        say("%%_id%% %%_b%% %%_host%% [%%_rest%%] %%_tsung_userid%%", subst=True),
    )

    assert said(server) == ["9 8 127.0.0.1 [] 1"]


async def test_random_values_are_those_of_the_users_number():
    draw = (
        SetVars(names=("n", "m"), source="random_number", start=1, end=10**9),
        SetVars(names=("s",), source="random_string", length=12),
        SetVars(names=("u",), source="urandom_string", length=30),
        CONNECT,
        say("%%_n%% %%_m%% %%_s%% %%_u%%", subst=True),
    )
    first, again, other = [said((await played(*draw, max=2, seed=seed))[3]) for seed in (1, 1, 2)]

    assert sorted(first) == sorted(again)
    assert set(first).isdisjoint(other)
    assert len(set(first)) == 2
    assert re.fullmatch(r"\d+ \d+ [a-z]{12} [a-z]{30}", first[0])


async def test_lines_of_a_file_are_taken_in_the_order_of_the_users_numbers():
    draw = SetVars(names=("name", "word", "more"), source="file", file="users")
    _, _, _, server = await played(
        draw,
        CONNECT,
        say("%%_name%%/%%_word%%/%%_more%%", subst=True),
        draw,
        say("%%_name%%", subst=True),
        files={"users": "ann;1\nbob;2;x;y\ncyd;3\n\n"},
        max=4,
    )

    assert sorted(said(server)) == sorted(
        ["ann/1/", "bob", "bob/2/x", "cyd", "cyd/3/", "ann", "ann/1/", "bob"]
    )


async def test_random_lines_are_lines_of_the_file():
    _, _, _, server = await played(
        SetVars(names=("name",), source="file", file="users", order="random", delimiter=","),
        CONNECT,
        say("%%_name%%", subst=True),
        files={"users": "ann,1\nbob,2"},
        max=20,
    )

    assert set(said(server)) == {"ann", "bob"}


async def test_a_match_sends_its_request_again_up_to_a_number_of_times():
    _, counters, _, server = await played(
        CONNECT,
        say("before"),
        Send(
            text="x",
            ack=True,
            match=(Match(pattern="^x$", do="loop", max_loop=2, loop_back=1, sleep_loop=0.02),),
        ),
        say("behind"),
    )

    assert said(server) == ["before", "x", "before", "x", "before", "x", "behind"]
    assert (counters["match"], counters["match_loop"]) == (3, 3)


async def test_a_match_begins_the_session_anew_up_to_a_number_of_times_and_variables_stay():
    _, counters, _, server = await played(
        SetVars(names=("n",), source="file", file="numbers"),
        CONNECT,
        Send(
            text="%%_n%%",
            subst=True,
            ack=True,
            match=(Match(pattern="3", when="nomatch", do="restart"),),
        ),
        say("behind"),
        files={"numbers": "1\n2\n3"},
    )

    assert said(server) == ["1", "2", "3", "behind"]
    assert (counters["nomatch"], counters["match"], counters["match_restart"]) == (2, 1, 2)


async def test_a_match_that_restarts_in_vain_aborts_the_session():
    ledger, counters, _, server = await played(
        CONNECT,
        Send(text="x", ack=True, match=(Match(pattern="x", do="restart", max_restart=1),)),
        say("not reached"),
    )

    assert said(server) == ["x", "x"]
    assert (counters["match_restart"], counters["match_restart_abort"]) == (1, 1)
    assert ledger.closed == {"done": 2}


async def test_the_first_match_that_decides_is_the_last_that_is_looked_at():
    matches = (
        Match(pattern="%%_word%%", subst=True, do="log"),
        Match(pattern="other"),
        Match(pattern="x", do="abort"),
        Match(pattern="x"),
    )
    _, counters, _, server = await played(
        CONNECT,
        SetVars(names=("word",), source="value", value="x"),
        Send(text="x", ack=True, match=matches),
        say("not reached"),
    )

    assert said(server) == ["x"]
    assert {name: counters[name] for name in ("match", "nomatch", "match_stop")} == {
        "match": 2,
        "nomatch": 1,
        "match_stop": 1,
    }


async def test_a_reply_that_does_not_come_in_time_ends_the_session():
    ledger, counters, timed, _ = await played(
        CONNECT, Send(text=HUSH, ack=True), say("not reached"), patience=0.05
    )

    assert ledger.closed == {"error_timeout": 1}
    assert (counters["error_timeout"], timed["request"], timed["session"]) == (1, 1, 1)


async def test_the_end_of_its_connection_ends_the_session_wherever_it_is():
    for waiting in (Think(seconds=30.0), Send(text=HUSH, ack=True)):
        ledger, _, timed, _ = await played(
            CONNECT, Transaction(name="t", steps=(say("leave now"), Send(text="leave"), waiting))
        )

        assert ledger.closed == {"server_1001": 1}
        assert (timed["tr_t"], timed["session"]) == (1, 1)


async def test_a_connection_that_fails_ends_the_session():
    async with playing(CONNECT, say("x"), port=refusing_port(), max=3) as (running, _):
        assert (await running.over()).failed == {"refused": 3}
        assert running.tally.timings["session"].total == 3


async def test_a_message_that_came_unasked_is_no_reply_and_is_counted():
    _, counters, _, server = await played(
        CONNECT,
        Send(text="unasked"),
        Think(seconds=200 * MS),
        Send(text="x", ack=True, match=(Match(pattern="^x$"),)),
    )

    assert server.got == ["unasked", "x"]
    assert (counters["match"], counters[UNASKED]) == (1, 2)


async def test_a_script_that_receives_gets_messages_that_came_before():
    _, counters, _, _ = await played(
        CONNECT,
        Send(text="unasked"),
        Think(seconds=200 * MS),
        Receive(match=(Match(pattern="^news$"),)),
        Receive(match=(Match(pattern="^unasked$"),)),
    )

    assert counters["match"] == 2
    assert UNASKED not in counters


async def test_an_abort_step_ends_the_session():
    ledger, counters, _, server = await played(CONNECT, say("before"), Abort(), say("not reached"))

    assert said(server) == ["before"]
    assert (ledger.closed, counters["abort_session"]) == ({"done": 1}, 1)


@pytest.mark.parametrize(
    ("step", "counter"),
    [
        (Abort(all=True), None),
        (Send(text="x", ack=True, match=(Match(pattern="x", do="abort_test"),)), "match_stop_test"),
    ],
)
async def test_a_session_may_end_the_whole_run(step, counter):
    async with playing(CONNECT, step, say("not reached")) as (running, server):
        await running.over()
        assert running.recorder.abort
        assert counter is None or running.tally.counters[counter] == 1
        assert "not reached" not in said(server)


async def test_a_stored_connection_is_restored():
    port = free_port()
    # Both targets are one server: the test is which connection is used.
    url = f"ws://127.0.0.1:{port}/"
    ledger, _, _, server = await played(
        Connect(path="/a"),
        Change(url=url, store=True),
        Connect(path="/b"),
        say("b"),
        Change(url=url, restore=True),
        say("a"),
        own=port,
        target=url,
    )

    assert [request.path for request in server.requests] == ["/a", "/b"]
    assert said(server) == ["b", "a"]
    assert ledger.closed == {"done": 2}


async def test_a_target_that_is_none_of_the_plans_fails_the_session():
    ledger, _, _, _ = await played(
        CONNECT, Change(url="ws://127.0.0.1:1/"), Think(seconds=0.02), CONNECT
    )

    assert ledger.opened == 1


async def test_an_interaction_is_timed_from_one_user_to_another():
    _, _, timed, _ = await played(
        Interaction(id="x", action="receive"),
        CONNECT,
        Interaction(id="x", action="send"),
        Think(seconds=0.1),
        Interaction(id="x", action="receive"),
        max=2,
    )

    assert timed["tr_x"] >= 2


async def test_an_option_gives_later_connections_less_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with playing(
            Option(name="connect_timeout", value=0.1), CONNECT, port=silent.getsockname()[1]
        ) as (
            running,
            _,
        ):
            assert (await running.over()).failed == {"timeout": 1}


async def test_a_loop_without_think_times_gives_others_their_turn():
    async with playing(
        CONNECT,
        For(
            var="i", first=1, last=10**9, steps=(SetVars(names=("x",), source="value", value="1"),)
        ),
        max=2,
    ) as (running, _):
        await until(lambda: running.ledger.open == 2)


async def test_the_times_of_a_think_are_drawn_as_its_step_says():
    _, _, timed, _ = await played(
        SetVars(names=("t",), source="value", value="0.02"),
        CONNECT,
        Transaction(name="fixed", steps=(Think(seconds=0.06),)),
        Transaction(name="variable", steps=(Think(seconds="%%_t%%"),)),
        Transaction(name="even", steps=(Think(seconds=0.02, upto=0.04),)),
        Transaction(name="exponential", steps=(Think(seconds=0.02, random=True),)),
    )

    assert set(timed) >= {"tr_fixed", "tr_variable", "tr_even", "tr_exponential"}


async def test_a_user_drained_while_it_thinks_ends_no_session():
    async with playing(CONNECT, Think(seconds=30)) as (running, _):
        await until(lambda: running.ledger.open == 1)
        running.engine.drain(monotonic())
        await until(lambda: running.engine.finished)
        assert running.ledger.closed == {"drained": 1}
        assert "session" not in running.tally.timings


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (SetVars(names=("x",), source="file", file="users"), "'users' is none of the plan's files"),
        (SetVars(names=("x",), source="random_number", start=2, end=1), "runs backwards"),
        (SetVars(names=("x",), source="re", var="y", value="a"), "no group"),
        (Send(text="x", ack=True, match=(Match(pattern="("),)), "no regular expression"),
        (Send(text="x", ack=True, match=(Match(pattern="[[:alpha:]]"),)), "no regular expression"),
    ],
)
def test_a_step_that_cannot_be_done_is_refused_before_the_run(step, what):
    with pytest.raises(PlanError, match=re.escape(what)) as caught:
        compile_session(Script(name="mine", steps=(CONNECT, step)), {}, 5.0)

    assert str(caught.value).startswith("session 'mine': ")


async def test_an_idle_user_of_a_dozen_steps_takes_less_than_five_kib():
    """The user, its coroutine, its variables, its connection, its place on the wheel."""
    steps = (
        SetVars(names=("a", "b"), source="file", file="users"),
        Connect(path="/%%_a%%", subst=True),
        Transaction(
            name="t",
            steps=(
                Send(
                    text="json",
                    ack=True,
                    extract=(Extract(var="id", by="jsonpath", expr="user.id"),),
                ),
                Send(text="%%_id%%", subst=True, ack=True, match=(Match(pattern="4"),)),
                say("x"),
            ),
        ),
        For(
            var="i",
            first=1,
            last=1000,
            steps=(Think(seconds=30.0), Send(text="%%_i%%", subst=True, ack=True)),
        ),
        Close(),
    )
    users = 300
    async with playing(*steps, files={"users": "ann;1\nbob;2"}, max=users + 50, rate=200.0) as (
        running,
        _,
    ):
        await until(lambda: running.ledger.open >= 50)
        gc.collect()
        tracemalloc.start()
        try:
            before = running.ledger.open
            await until(lambda: running.tally.counters.get("request_noack", 0) == users + 50, 30)
            gc.collect()
            mine = tracemalloc.take_snapshot().filter_traces(
                [
                    tracemalloc.Filter(
                        True, str(Path(compile_session.__code__.co_filename).parent / "*")
                    )
                ]
            )
        finally:
            tracemalloc.stop()
        taken = sum(stat.size for stat in mine.statistics("filename")) / (
            running.ledger.open - before
        )
        assert taken < 5 * 1024, taken


async def test_a_logged_match_is_a_line_and_a_dumped_one_shows_its_reply():
    matches = Match(pattern="x", do="log", name="first"), Match(pattern="x", do="dump")
    async with playing(CONNECT, Send(text="x", ack=True, match=matches)) as (running, _):
        await running.over()
        assert running.recorder.take_remarks() == (
            "user 0: match of 'x' (first)",
            "user 0: match of 'x': 'x'",
        )


async def test_the_parameters_of_a_plan_are_variables_until_a_step_sets_them():
    *_, server = await played(
        CONNECT,
        say("%%room%% %%_turns%%", subst=True),
        SetVars(names=("room",), source="value", value="not %%room%%"),
        say("%%room%%", subst=True),
        given={"room": "lobby", "turns": 3, "unread": "x"},
    )

    assert said(server) == ["lobby 3", "not lobby"]
