"""Sessions without their secrets."""

import msgspec
import pytest

from loadgen.plan.publish import Publish
from loadgen.plan.redaction import (
    redacted_body,
    redacted_params,
    redacted_publish,
    redacted_session,
)
from loadgen.plan.reply import AutoReply
from loadgen.plan.script import (
    Change,
    Connect,
    For,
    HttpStep,
    Match,
    Receive,
    ReplyCheck,
    Send,
    SetVars,
    Transaction,
)
from loadgen.plan.secrets import HIDDEN
from loadgen.plan.sessions import Loop, PythonSession, Script

SECRET = "s3cr3t"
STEPS = (
    SetVars(names=("key",), source="value", value=SECRET),
    HttpStep(
        url="/login",
        method="POST",
        headers={"X-Key": SECRET},
        json={"user": "me", "more": [{"password": SECRET, "age": 7}]},
        check=(ReplyCheck(name="token", jsonpath="token", equals=SECRET),),
    ),
    HttpStep(url="/form", form={"password": SECRET}, text=SECRET, auth=(SECRET, SECRET)),
    Connect(
        headers={"Authorization": SECRET},
        path=f"/ws?token={SECRET}",
        subprotocols=("talk", f"{SECRET}-{'0' * 20}"),
    ),
    Change(url=f"ws://a/?token={SECRET}"),
    Receive(match=(Match(pattern="x", form="hex"),)),
    Transaction(
        name="talk",
        steps=(
            For(
                var="i",
                first=1,
                last=2,
                steps=(
                    Send(text=SECRET),
                    Send(base64=SECRET),
                    Receive(check=(ReplyCheck(name="one", jsonpath="n", equals=1),)),
                ),
            ),
        ),
    ),
)


@pytest.mark.parametrize(
    "session",
    [
        Script(name="a", steps=STEPS),
        PythonSession(name="a", file="a.py", source=f"KEY = {SECRET!r}"),
        Loop(name="a"),
    ],
)
def test_what_a_session_sends_is_hidden(session):
    replies = (
        AutoReply(match="2", send=SECRET),
        AutoReply(json={"key": SECRET}, hex="5e"),
        AutoReply(match="3", base64="c3Nz"),
    )
    session = redacted_session(msgspec.structs.replace(session, reply=replies))

    assert SECRET not in str(session)
    assert {(one.send, one.hex, one.base64) for one in session.reply} == {(HIDDEN, "", "")}
    assert [what for one in session.reply for what in one.mistakes()] == []


def test_the_rest_of_a_script_stays():
    shown = redacted_session(Script(name="a", steps=STEPS))

    login = shown.steps[1]
    assert (login.url, login.method, login.check[0].name) == ("/login", "POST", "token")
    assert login.headers == {"X-Key": HIDDEN}
    assert login.json == {"user": HIDDEN, "more": [{"password": HIDDEN, "age": 7}]}
    assert login.text == ""
    assert (shown.steps[3].path, shown.steps[3].subprotocols) == (
        "/ws?token=…",
        ("talk", "hidden-2"),
    )
    assert (shown.steps[4].url, shown.steps[5].match[0].form) == ("ws://a/?token=…", "hex")
    send, _, receive = shown.steps[6].steps[0].steps
    assert (send.text, send.hex, send.frame) == (HIDDEN, None, None)
    assert receive.check[0].equals == 1


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (f"{SECRET} {{{{stamp}}}}", "{{stamp}}"),
        (
            {"key": SECRET, "data": ["{{stamp}}", f"{SECRET}{{{{stamp}}}}", 1]},
            {"key": HIDDEN, "data": ["{{stamp}}", "{{stamp}}", 1]},
        ),
    ],
)
def test_the_body_of_a_publication_keeps_its_shape_and_its_stamp(body, shown):
    assert redacted_body(body) == shown


def test_of_a_publication_the_address_stays():
    publish = Publish(
        url=f"https://me:{SECRET}@a/p?key=1&api_key={SECRET}&at={{{{stamp}}}}",
        headers={"X-Key": SECRET},
        body=SECRET,
    )

    shown = redacted_publish(publish)
    assert shown.url == "https://…@a/p?key=1&api_key=…&at={{stamp}}"
    assert (shown.headers, shown.body) == ({"X-Key": ""}, HIDDEN)


def test_parameters_are_shown_without_those_whose_names_call_them_secret():
    params = {"room": "lobby", "api_key": "s3cret", "pin": 1234, "url": "ws://a/?token=x", "n": 5}

    assert redacted_params(params) == {
        "room": "lobby",
        "api_key": "…",
        "pin": "…",
        "url": "ws://a/?token=…",
        "n": 5,
    }
