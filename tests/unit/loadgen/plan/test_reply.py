"""The mistakes in automatic replies."""

import pytest

from loadgen.errors import PlanError
from loadgen.plan.plan import Plan
from loadgen.plan.reply import AutoReply
from loadgen.plan.sessions import Loop


@pytest.mark.parametrize(
    "right",
    [
        AutoReply(match="^2$", send="3"),
        AutoReply(match="ping (?P<id>.+)", send="pong %%id%%"),
        AutoReply(match="ping (.+)", send="%%_0%% pong %%_1%%"),
        AutoReply(json={"type": "ping", "data.n": 1}, send='{"id":%%_data.id%%}'),
    ],
)
def test_a_reply_to_a_text_or_to_fields_has_no_mistake(right):
    assert list(right.mistakes()) == []


@pytest.mark.parametrize(
    ("wrong", "key", "words"),
    [
        (AutoReply(match="2", send=""), "send", "is empty"),
        (AutoReply(send="3"), "", "neither `match` nor `json`"),
        (AutoReply(match="2", json={"a": 1}, send="3"), "", "both `match` and `json`"),
        (AutoReply(match="(", send="3"), "match", "is no regular expression"),
        (AutoReply(match="2", send="%%id%%"), "send", "has no group 'id'"),
        (AutoReply(match="(2)", send="%%_2%%"), "send", "has no group '2'"),
        (AutoReply(match="2", send="3", hex="03"), "", "both `send` and `hex`"),
        (AutoReply(match="2", hex="3"), "hex", "is not hexadecimal"),
        (AutoReply(match="2", base64="%"), "base64", "is not base64"),
        (AutoReply(json={"a": 1}, form="hex", send="3"), "form", "is for `match`"),
        (AutoReply(json={"a": [1]}, send="3"), "json.a", "write a longer path"),
    ],
)
def test_a_mistake_has_its_key_and_its_fix(wrong, key, words):
    ((found, what),) = wrong.mistakes()

    assert found == key
    assert words in what


def test_bytes_are_read_from_either_kind_of_digits():
    assert AutoReply(match="2", hex="d0 00").fixed == b"\xd0\x00"
    assert AutoReply(match="2", base64="0AA=").fixed == b"\xd0\x00"
    assert AutoReply(match="2", send="3").fixed is None


def test_a_plan_names_the_session_and_the_reply():
    with pytest.raises(PlanError, match=r"sessions\[0\]\.reply\[1\]\.match"):
        Plan(
            sessions=(
                Loop(
                    name="a",
                    reply=(AutoReply(match="2", send="3"), AutoReply(match="(", send="3")),
                ),
            )
        )
