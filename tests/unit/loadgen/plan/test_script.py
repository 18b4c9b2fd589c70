"""The steps of a script as values: blocks hold steps, and all travel as JSON."""

import msgspec
import pytest

from loadgen.plan.script import (
    Abort,
    Close,
    Condition,
    Connect,
    Extract,
    For,
    Foreach,
    If,
    Match,
    Ping,
    Repeat,
    Send,
    Step,
    Think,
    Transaction,
    steps_in,
    texts_in,
)

ONCE = Condition(var="n", value="1")
BLOCKS = (
    Connect(extract=(Extract(var="a", expr="(.)"),)),
    Transaction(
        name="t",
        steps=(
            For(var="i", first=1, last="%%_n%%", steps=(Send(text="x"),)),
            Repeat(name="r", condition=ONCE, steps=(Ping(),)),
        ),
    ),
    If(condition=ONCE, steps=(Foreach(var="v", values="a", steps=(Think(seconds=1.0),)),)),
    Close(),
)
KINDS = [
    "connect",
    "transaction",
    "for",
    "send",
    "repeat",
    "ping",
    "if",
    "foreach",
    "think",
    "close",
]
"""As they are written."""


def test_steps_in_blocks_come_in_the_order_in_which_they_are_written():
    found = [msgspec.to_builtins(step)["do"] for step in steps_in(BLOCKS)]

    assert found == KINDS


def test_steps_survive_the_wire():
    data = msgspec.json.encode(BLOCKS)

    assert msgspec.json.decode(data, type=tuple[Step, ...]) == BLOCKS


def test_what_is_as_usual_is_not_written():
    assert msgspec.to_builtins(Send(text="x")) == {"do": "send", "text": "x"}
    assert msgspec.to_builtins(Abort(all=True)) == {"do": "abort", "all": True}


@pytest.mark.parametrize(
    "wrong",
    [
        {"do": "send", "text": "x", "frame": "ping"},
        {"do": "send", "hex": 5},
        {"do": "set", "names": [], "source": "value"},
        {"do": "set", "names": ["a"], "source": "urandom_string", "length": 65_537},
        {"do": "repeat", "name": "r", "condition": {"var": "a", "op": "like", "value": ""}},
        {"do": "meet", "users": 0},
        {"do": "connect", "match": [{"pattern": "x", "max_loop": -1}]},
        {"do": "option", "name": "colour", "value": 1},
        {"do": "close", "code": 1000},
    ],
)
def test_what_is_no_step_is_refused(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Step)


@pytest.mark.parametrize(
    ("step", "content", "sent"),
    [
        (Send(text="c0"), "c0", None),
        (Send(hex="c0 00"), "c0 00", b"\xc0\0"),
        (Send(base64="wAA="), "wAA=", b"\xc0\0"),
        (Send(), "", None),
    ],
)
def test_a_message_has_text_or_bytes(step, content, sent):
    assert step.content == content
    assert (step.bytes_of and step.bytes_of(content)) == sent


def test_a_match_counts_unless_it_says_more():
    assert (Match(pattern="x").do, Match(pattern="x").when) == ("continue", "match")


def test_texts_of_a_json_value_are_found_at_any_depth():
    assert list(texts_in({"key": ["a", {"b": "c", "d": 1}], "e": None})) == ["a", "c"]
