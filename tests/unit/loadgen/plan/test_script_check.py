"""A script is checked before it is played."""

import re

import pytest

from loadgen.plan.script import (
    Abort,
    Change,
    Close,
    Condition,
    Connect,
    Extract,
    For,
    Foreach,
    HttpStep,
    If,
    Match,
    Ping,
    Receive,
    Repeat,
    ReplyCheck,
    Send,
    SetVars,
    Think,
    Transaction,
)
from loadgen.plan.script_check import ScriptError, check, names_in, unset_in

CONNECT, TELL = Connect(), Send(text="x")
ONCE = Condition(var="tsung_userid", value="1")

UNSOUND = {
    "a message without content": ((CONNECT, Send()), "no content; write one of text, base64"),
    "a message of two contents": (
        (CONNECT, Send(text="x", hex="00")),
        "a message has 'text' and 'hex'; write one",
    ),
    "bytes in a text frame": (
        (CONNECT, Send(hex="00", frame="text")),
        "`frame` is text, and `hex` has bytes",
    ),
    "digits that are none": ((CONNECT, Send(hex="0x")), "`hex`: it is not hexadecimal"),
    "base64 that is none": ((CONNECT, Send(base64="!")), "`base64`: it is not base64"),
    "a head of a reply without one": (
        (CONNECT, Receive(match=(Match(pattern="a", form="http"),))),
        "`form` http is for the reply to a `http` step",
    ),
    "a broken until": ((CONNECT, Receive(until="*")), "'*' is no regular expression"),
    "an until of no reply": ((CONNECT, Send(text="x", until="a")), "`until` waits for a reply"),
    "a length before a value": (
        (CONNECT, SetVars(names=("a",), source="value", prefix="u8")),
        "`prefix` is for the sources hex and bytes",
    ),
    "a source of bytes that are none": (
        (CONNECT, SetVars(names=("a",), source="bytes", value="0x")),
        "`value`: it is not hexadecimal",
    ),
    "nothing": ((), "never connects"),
    "only thinking": ((Think(),), "never connects"),
    "a message before any connection": ((TELL, CONNECT), "the session has no connection here"),
    "a message after a close": ((CONNECT, Close(), TELL), "the session has no connection here"),
    "a receive after a block that closes": (
        (CONNECT, Transaction(name="t", steps=(Close(),)), Receive()),
        "the session has no connection here",
    ),
    "a ping after another target": (
        (CONNECT, Change(url="ws://a"), Ping()),
        "the session has no connection here",
    ),
    "a broken match": (
        (CONNECT, Receive(match=(Match(pattern="*"),))),
        "'*' is no regular expression",
    ),
    "a broken filter": (
        (CONNECT, Foreach(var="a", values="tsung_userid", include="[", steps=())),
        "no regular",
    ),
    "an extract without a group": (
        (Connect(extract=(Extract(var="a", expr="b"),)),),
        "has no group;",
    ),
    "a check without a condition": (
        (CONNECT, Receive(check=(ReplyCheck(name="c"),))),
        "check 'c' has no condition",
    ),
    "a check of a value without its path": (
        (CONNECT, Receive(check=(ReplyCheck(name="c", pattern="a", equals=1),))),
        "`equals` needs the `jsonpath`",
    ),
    "a check of the status of a message": (
        (CONNECT, Receive(check=(ReplyCheck(name="c", status=200),))),
        "only the reply to a `http` step has a `status`",
    ),
    "a broken check": (
        (CONNECT, Receive(check=(ReplyCheck(name="c", not_pattern="*"),))),
        "'*' is no regular expression",
    ),
    "a request with two bodies": (
        (HttpStep(url="/", text="a", form={"a": "b"}), CONNECT),
        "one body, not text and form",
    ),
    "a request to no HTTP URL": ((HttpStep(url="ws://a/"), CONNECT), "is no HTTP URL"),
    "a request without a host": ((HttpStep(url="https:///a"), CONNECT), "is no HTTP URL"),
    "a header that is none": (
        (HttpStep(url="/", headers={"a": "b\r\nc: d"}), CONNECT),
        "'a' is no header that can be sent",
    ),
    "an unknown file": (
        (CONNECT, SetVars(names=("a",), source="file", file="f")),
        "'f' is none of the plan's files",
    ),
    "a backward range": (
        (CONNECT, SetVars(names=("a",), source="random_number", start=11)),
        "runs backwards",
    ),
    "a header of the handshake": (
        (Connect(headers={"Upgrade": "h2c"}),),
        "`headers.Upgrade` belongs to the handshake",
    ),
    "a broken header": ((Connect(headers={"X": "%%_a%%\n"}, subst=True),), "`headers.X` has the"),
    "a path from nowhere": ((Connect(path="hold"),), "`path`: the resource 'hold' does not begin"),
    "a variable that is none": ((Connect(path="%%_tsung_userid%%"),), "does not begin with /"),
    "a broken path": ((Connect(path="%%_tsung_userid%%\n", subst=True),), "`path`: the resource"),
    "a think time never set": ((CONNECT, Think(seconds="%%_t%%")), "'t' is set nowhere"),
    "a bound never set": (
        (CONNECT, For(var="i", first=1, last="%%_n%%", steps=(TELL,))),
        "'n' is set nowhere",
    ),
    "a source never set": (
        (CONNECT, SetVars(names=("a",), source="re", var="b", value="(.)")),
        "'b' is set nowhere",
    ),
}


@pytest.mark.parametrize(("steps", "what"), UNSOUND.values(), ids=UNSOUND)
def test_a_script_that_cannot_be_played_is_refused(steps, what):
    with pytest.raises(ScriptError, match=re.escape(what)) as caught:
        check(steps, {})

    assert caught.value.step is None or caught.value.step in (
        *steps,
        *getattr(steps[-1], "steps", ()),
    )


SOUND = {
    "bytes": (CONNECT, Send(hex="c0 00"), Send(base64="wAA="), Send(hex="0x%%_a%%", subst=True)),
    "a connection that may be there": (CONNECT, If(condition=ONCE, steps=(Close(),)), TELL),
    "a connection of a loop": (
        Repeat(name="r", condition=ONCE, steps=(CONNECT, Close())),
        CONNECT,
        TELL,
    ),
    "a connection kept aside": (
        CONNECT,
        Change(url="ws://a", store=True),
        Change(url="ws://b", restore=True),
        TELL,
    ),
    "what follows an abort": (If(condition=ONCE, steps=(Abort(), TELL)), CONNECT, TELL),
    "a path that begins with a variable": (
        Connect(path="%%_tsung_userid%%/x", subst=True, headers={"X": "%%_tsung_userid%%"}),
    ),
    "a pattern with a variable": (
        CONNECT,
        Receive(match=(Match(pattern="%%_tsung_userid%%(", subst=True),)),
    ),
    "a file": (
        SetVars(names=("a",), source="file", file="users"),
        CONNECT,
        Think(seconds="%%_a%%"),
    ),
}


@pytest.mark.parametrize("steps", SOUND.values(), ids=SOUND)
def test_a_script_that_can_be_played_is_accepted(steps):
    check(steps, {"users": "1"})


def test_variables_that_are_read_and_never_set_are_found():
    steps = (
        Connect(path="/%%_a%%/%%_a%%", subst=True, headers={"X": "%%_b%%"}),
        Send(text="%%_not put in%%", extract=(Extract(var="c", by="jsonpath", expr="x"),)),
        Send(
            text="%%_c%%%%_i%%%%_v_iter%%", subst=True, match=(Match(pattern="%%_d%%", subst=True),)
        ),
        For(var="i", first=1, last=2, steps=(Foreach(var="v", values="e", steps=(TELL,)),)),
        If(
            condition=Condition(var="f", value="%%_g%%"),
            steps=(Repeat(name="r", condition=ONCE, steps=()),),
        ),
    )

    assert [(unset.name, unset.fatal) for unset in unset_in(steps)] == [
        (name, False) for name in "abdefg"
    ]


def test_a_source_that_names_variables_needs_them_too():
    """The JSONPath's own variables, and the variable that it looks through."""
    steps = (CONNECT, SetVars(names=("a",), source="jsonpath", var="b", value="x[%%_c%%]"))

    assert [(unset.name, unset.fatal) for unset in unset_in(steps)] == [("b", True), ("c", False)]


def test_a_header_that_is_extracted_is_no_pattern():
    header = Extract(var="a", by="header", expr="X-(")

    check((Connect(extract=(header, Extract(var="b", expr="(.)"))), TELL), {})


def test_numbers_that_run_forward_are_sound():
    check((SetVars(names=("a",), source="random_number", start=1, end=1), CONNECT), {})
    check((SetVars(names=("a",), source="value", value="1"), CONNECT), {})


def test_a_variable_that_is_only_put_into_text_may_be_unset():
    each = Foreach(var="v", values="nowhere", include="^a", exclude="z$", steps=(TELL,))

    check((CONNECT, each), {})
    with pytest.raises(ScriptError, match=r"'\(' is no regular expression"):
        check((CONNECT, Foreach(var="v", values="a", exclude="(", steps=())), {})


def test_variables_of_requests_and_checks_are_known_to_be_unset():
    shown = ReplyCheck(name="c", pattern="%%_p%%", jsonpath="%%_j%%", equals="%%_e%%")
    step = HttpStep(
        url="/%%_u%%",
        headers={"A": "%%_h%%"},
        json={"a": ["%%_b%%", 1]},
        subst=True,
        check=(shown,),
    )

    assert [unset.name for unset in unset_in((step,))] == ["u", "h", "b", "p", "j", "e"]
    taken = HttpStep(url="/", extract=(Extract(var="t", expr="(.)"),))
    assert list(unset_in((taken, Send(text="%%_t%%", subst=True)))) == []
    check((HttpStep(url="HTTP://a/%%_t%%", headers={"X-A": "b"}), CONNECT), {})


def test_the_fields_of_a_row_are_set():
    steps = (Connect(path="/%%id%%", subst=True), Think(seconds="%%pause%%"))

    check(steps, {}, ("id", "pause"))
    assert not list(unset_in(steps, ("id", "pause")))
    assert [unset.name for unset in unset_in(steps, ("pause",))] == ["id"]
    assert names_in(steps) == {"id", "pause"}
    with pytest.raises(ScriptError, match="variable 'pause' is set nowhere"):
        check(steps, {}, ("id",))


def test_parts_of_binary_messages_and_http_replies_are_sound():
    reply = (Match(pattern="200 OK", form="http"),)
    same = ReplyCheck(name="same", pattern="%%_tsung_userid%%", jsonpath="a", equals="b")
    steps = (
        CONNECT,
        HttpStep(url="/", match=reply, auth=("%%_u%%", "p"), subst=True, check=(same,)),
        SetVars(names=("a",), source="hex", value="%%_v%%", prefix="u16"),
        SetVars(names=("b",), source="bytes", value="00%%_a%%", prefix="varint"),
        SetVars(names=("c",), source="bytes", value="00"),
        Send(hex="10%%_b%%", subst=True, ack=True, until="^20", until_form="hex"),
    )

    check(steps, {})
    assert [unset.name for unset in unset_in(steps)] == ["u", "v"]
