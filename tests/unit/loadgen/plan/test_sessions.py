"""The kinds of sessions of a plan, and the servers that they connect to."""

import msgspec
import pytest

from loadgen.plan.script import Change, Connect, HttpStep, Send, Think, Transaction
from loadgen.plan.sessions import (
    Loop,
    PythonSession,
    Script,
    SessionFile,
    SessionSpec,
    may_use_http,
    urls_of,
)

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


@pytest.mark.parametrize("path", ["/etc/passwd", "a/../b", "", "a//b", ".", "a\0"])
def test_a_file_of_a_session_stays_in_its_folder(path):
    with pytest.raises(ValueError, match="write a path inside the session's folder"):
        SessionFile(path=path)


def test_the_files_of_a_session_travel_as_text_or_as_bytes():
    files = (SessionFile(path="a.py", text="x = 1\n"), SessionFile(path="b.bin", base64=b"\xff"))
    session = PythonSession(name="a", file="a", files=files)

    assert [file.data for file in files] == [b"x = 1\n", b"\xff"]
    assert [file.data for file in session.without_data.files] == [b"", b""]
    assert [file.path for file in session.without_data.files] == ["a.py", "b.bin"]


@pytest.mark.parametrize(
    ("spec", "uses"),
    [
        (Loop(name="a"), False),
        (Script(name="a", steps=STEPS), False),
        (Script(name="a", steps=(HttpStep(url="http://a/"),)), True),
        (PythonSession(name="a", file="a.py", source="user.http.get('/')"), True),
        (PythonSession(name="a", file="a.py", source="await user.connect()"), False),
        (
            PythonSession(
                name="a",
                file="a",
                files=(SessionFile(path="b.py", text="user.http"), SessionFile(path="c.csv")),
            ),
            True,
        ),
    ],
)
def test_whether_a_session_sends_http_requests_shows_in_its_text(spec, uses):
    assert may_use_http(spec) == uses
