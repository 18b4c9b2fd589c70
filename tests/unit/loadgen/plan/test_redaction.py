"""Sessions without their secrets."""

import msgspec
import pytest

from loadgen.plan.redaction import HIDDEN, redacted_body, redacted_session
from loadgen.plan.reply import AutoReply
from loadgen.plan.script import (
    Connect,
    For,
    HttpStep,
    Receive,
    ReplyCheck,
    Send,
    SetVars,
    Transaction,
)
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
    HttpStep(url="/form", form={"password": SECRET}, text=SECRET),
    Connect(headers={"Authorization": SECRET}),
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
    session = msgspec.structs.replace(session, reply=(AutoReply(match="2", send=SECRET),))

    assert SECRET not in str(redacted_session(session))


def test_the_rest_of_a_script_stays():
    shown = redacted_session(Script(name="a", steps=STEPS))

    login = shown.steps[1]
    assert (login.url, login.method, login.check[0].name) == ("/login", "POST", "token")
    assert login.headers == {"X-Key": HIDDEN}
    assert login.json == {"user": HIDDEN, "more": [{"password": HIDDEN, "age": 7}]}
    assert login.text == ""
    send, _, receive = shown.steps[4].steps[0].steps
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
