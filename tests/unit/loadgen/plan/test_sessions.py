"""The kinds of sessions of a plan, and the servers that they connect to."""

import msgspec
import pytest

from loadgen.plan.script import Change, Connect, Send, Think, Transaction
from loadgen.plan.sessions import Loop, PythonSession, Script, SessionSpec, urls_of

STEPS = (
    Connect(),
    Connect(url="ws://a/"),
    Transaction(name="t", steps=(Change(url="ws://b/"), Send(text="x"))),
    Connect(url="ws://%%_host%%/"),
    Connect(url="ws://a/"),
    Think(),
)


@pytest.mark.parametrize(
    "spec",
    [
        Loop(name="idle", ping="none", think=5.0, loops=3),
        PythonSession(name="chat", file="chat.py", source="…", sha256="0" * 64, read_rate=10.0),
        Script(name="script", weight=2.0, steps=STEPS),
    ],
)
def test_each_kind_is_told_from_the_others_by_its_name(spec):
    assert msgspec.json.decode(msgspec.json.encode(spec), type=SessionSpec) == spec


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "loop", "name": "a", "think": 0},
        {"kind": "loop", "name": "a", "weight": 0},
        {"kind": "python", "name": "a"},
        {"kind": "script", "name": "a", "steps": [{"do": "dance"}]},
        {"kind": "dance", "name": "a"},
        {"kind": "loop", "name": "a", "color": "red"},
    ],
)
def test_what_is_no_session_is_refused(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, SessionSpec)


def test_a_scripts_urls_are_those_of_its_steps_also_inside_of_blocks():
    """Each as often as it is written; those made of variables are not known."""
    assert urls_of(Script(name="s", steps=STEPS)) == ["ws://a/", "ws://b/", "ws://a/"]


def test_other_sessions_name_no_urls():
    assert urls_of(Loop(name="l")) == urls_of(PythonSession(name="p", file="p.py")) == []
