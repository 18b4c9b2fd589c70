"""The requests of a script, one at a time, on a connection to an echo server."""

import re
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve

from loadgen.plan.plan import Plan
from loadgen.plan.script import (
    Connect,
    Extract,
    HttpStep,
    Match,
    Receive,
    ReplyCheck,
    Send,
)
from loadgen.plan.sessions import Script
from loadgen.sessions.script.compile import compile_session
from loadgen.sessions.script.context import ScriptContext, ScriptEnd
from loadgen.sessions.script.requests import (
    MAX_DUMP_LENGTH,
    ReplyReader,
    close_exchange,
    connect_exchange,
    request_action,
    send_exchange,
    url_at,
)
from tests.unit.http_load import http_load
from tests.unit.loads import Load

REPLIES = ReplyReader(5.0, keeps_messages=False)


@asynccontextmanager
async def under_way(session):
    """A load with this session, on a server that sends every message back."""

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        plan = Plan(rate=500.0, max=1, hold=0.0)
        port = server.sockets[0].getsockname()[1]
        running = Load(plan, port, source="127.0.9.6", ports=range(25_200, 25_300), session=session)
        try:
            yield running
        finally:
            await running.end()


async def played(step, **changes):
    """Sends one message; returns the action's result, its context and the load."""
    found = []

    async def session(user):
        context = ScriptContext(user)
        for name, value in changes.items():
            setattr(context, name, value)
        await connect_exchange(Connect(), REPLIES)(context)
        action = request_action(send_exchange(step, REPLIES), 7, step, ends_page=True)
        try:
            found.append(await action(context))
        except ScriptEnd as end:
            found.append(str(end))
        found.append(context)
        await close_exchange(context)

    async with under_way(session) as running:
        assert (await running.over()).closed == {"done": 1}
        return found[0], found[1], running


@pytest.mark.parametrize(
    ("match", "following"),
    [
        (Match(pattern="x"), None),
        (Match(pattern="x", do="loop", loop_back=3, sleep_loop=0.0), 4),
        (Match(pattern="x", do="loop", loop_back=30, sleep_loop=0.0), 0),
        (Match(pattern="x", do="restart"), 0),
        (Match(pattern="x", do="abort"), "done"),
        (Match(pattern="y", when="nomatch", do="restart"), 0),
        (Match(pattern="y", do="restart"), None),
    ],
)
async def test_a_match_says_which_action_is_next(match, following):
    assert (await played(Send(text="x", ack=True, match=(match,))))[0] == following


async def test_a_match_that_does_not_apply_resets_its_count():
    match = Match(pattern="y", do="loop")
    _, context, _ = await played(Send(text="x", ack=True, match=(match,)), loops=5, restarts=2)

    assert (context.loops, context.restarts) == (0, 2)


async def test_a_dump_shows_the_beginning_of_a_long_reply():
    text = "x" * 1000
    match = Match(pattern="x", do="dump")
    _, _, running = await played(Send(text=text, ack=True, match=(match,)))

    (line,) = running.recorder.take_remarks()
    assert line.endswith(f": {text[:MAX_DUMP_LENGTH]!r}")


async def test_values_are_taken_from_a_reply_before_its_matches_are_applied():
    step = Send(
        text="id=7",
        ack=True,
        extract=(Extract(var="id", expr=r"id=(\d)"), Extract(var="miss", expr="no(.)")),
        match=(Match(pattern="=%%_id%%", subst=True, do="restart"),),
    )
    following, context, _ = await played(step)

    assert following == 0
    assert (context.values["id"], context.values["miss"]) == ("7", "")


async def http(*steps):
    """Plays a script with HTTP requests and then connects; returns the tally."""
    session = compile_session(Script(name="s", steps=(*steps, Connect(path="/ws"))), {}, 5.0)
    async with http_load(session) as (running, _):
        await running.over()
        return running.tally


TOKEN = Extract(var="token", by="jsonpath", expr="token")


async def test_values_of_an_http_reply_go_into_later_requests():
    shown = ReplyCheck(name="shown", pattern='"key": "t-u1 c-u1 blue"')
    sid = Extract(var="sid", by="cookie", expr="sid")
    room = Extract(var="room", by="header", expr="x-room")
    login = {"user": "u%%_tsung_userid%%", "more": [1, "%%_tsung_userid%%"]}
    tally = await http(
        HttpStep(method="POST", url="/login", json=login, subst=True, extract=(TOKEN, sid)),
        HttpStep(url="/me", extract=(room,)),
        HttpStep(
            url="/me?room=%%_room%%",
            headers={"X-Key": "%%_token%% %%_sid%% %%_room%%"},
            subst=True,
            name="me",
            check=(shown,),
        ),
    )

    assert tally.checks["shown"].passed == 1
    assert (tally.http_replies, tally.timings["http_me"].total) == ({"200": 3}, 1)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"text": "a %%_tsung_userid%%", "subst": True}, "a 1"),
        ({"text": "a %%_x%%"}, "a %%_x%%"),
        ({"json": {"a": ["%%_x%%"]}}, r"{\"a\": [\"%%_x%%\"]}"),
        ({"form": {"a b": "%%_tsung_userid%%&"}, "subst": True}, "a+b=1%26"),
        ({}, ""),
    ],
)
async def test_a_body_is_text_json_or_a_form(body, sent):
    check = ReplyCheck(name="sent", pattern=re.escape(f'"body": "{sent}"'))
    step = HttpStep(method="PUT", url="/me", check=(check,), **body)

    assert (await http(step)).checks["sent"].passed == 1


async def test_a_request_without_a_reply_ends_the_session():
    tally = await http(HttpStep(url="http://10.255.255.1/"))

    assert tally.http_failed == {"not_allowed": 1}
    assert (tally.counters["error_http"], tally.sessions_failed) == (1, 1)
    assert tally.opened == 0


async def test_the_head_of_an_http_reply_can_be_matched():
    ends = {"when": "nomatch", "do": "abort"}
    step = HttpStep(
        url="/me",
        match=(
            Match(pattern=r"^HTTP/1\.1 200 OK\r\n", form="http", **ends),
            Match(pattern="X-Room: blue(?s:.*)\r\n\r\n{", form="http", **ends),
            Match(pattern="X-Room", do="abort"),
            Match(pattern="%%_tsung_userid%%00", subst=True, form="http", do="dump"),
        ),
        extract=(Extract(var="room", expr="X-Room: (.*)\r", form="http"),),
    )
    again = HttpStep(url="/me?%%_room%%", subst=True, match=(Match(pattern="blue"),))
    tally = await http(step, again)

    assert (tally.counters["match"], tally.counters["nomatch"]) == (3, 2)
    assert tally.opened == 1


async def test_basic_authentication_and_redirects_are_as_the_step_says():
    form = {"form": {"user": "u1"}, "method": "POST", "redirects": False}
    seen = ReplyCheck(name="302", status=302)
    tally = await http(
        HttpStep(url="/form", check=(seen,), auth=("u%%_tsung_userid%%", "p"), subst=True, **form)
    )

    assert tally.checks["302"].passed == 1
    assert tally.http_replies == {"302": 1}


@pytest.mark.parametrize(
    ("target", "url", "found"),
    [
        ("", "/a", "/a"),
        ("ws://b:81/c", "/a", "http://b:81/a"),
        ("wss://b/c", "/a?d", "https://b/a?d"),
        ("ws://b:81/c", "http://d/a", "http://d/a"),
    ],
)
def test_a_path_belongs_to_the_target_that_the_session_changed_to(target, url, found):
    assert url_at(target, url) == found


async def test_a_reply_may_be_a_certain_message():
    """The server sends each message back; the second one is awaited."""
    sent = []

    async def session(user):
        context = ScriptContext(user)
        await connect_exchange(Connect(), REPLIES)(context)
        for text in ("one", "two"):
            await context.socket.send(text)
        read = REPLIES.reader_of(Receive(until="^7477", until_form="hex"))
        sent.append(await read(context))

    async with under_way(session) as running:
        await running.over()

    assert sent == ["two"]
    assert running.tally.counters["async_unknown_data_rcv"] == 1
