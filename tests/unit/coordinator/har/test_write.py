"""The file of a session: it compiles, whatever was recorded."""

import msgspec
import pytest

from coordinator.har.recording import HarEntry, Recording
from coordinator.har.write import session_text, write_session
from loadgen.errors import OperatorError
from loadgen.plan.session_file import read_session
from tests.unit.coordinator.har.recordings import socket

EVIL = '"""\nimport os; os._exit(9) # \\'


def recording(messages=(), url="ws://a.example/ws", name="a.har", **headers):
    return Recording(name, msgspec.convert(socket(url, 1, messages, **headers), HarEntry), ())


def test_the_file_is_a_session_with_what_a_person_has_to_know(tmp_path):
    path = tmp_path / "chat.py"
    messages = [(1.1, "receive", 1, '{"id": "abcdefgh"}'), (1.2, "send", 1, "abcdefgh")]
    write_session(path, recording(messages, url="ws://a.example/ws?token=s3cret"))
    text = path.read_text()

    assert text.startswith('"""Plays what a.har recorded of ws://a.example/ws.\n')
    assert "s3cret" not in text
    assert 'TOKEN = os.environ["TOKEN"]  # the parameter `token` of the handshake\n' in text
    assert "import json\nimport os\n" in text
    assert read_session(path).function == "session"


def test_without_secrets_the_file_says_so():
    assert "# SECRETS: no password, token or cookie was recognized" in session_text(
        recording(), "chat.py"
    )


def test_nothing_recorded_can_become_code():
    messages = [(1.1, "receive", 1, f'{{"type": {EVIL!r}}}'), (1.2, "send", 1, EVIL)]
    url = f"ws://a.example/{EVIL}?token{EVIL}={EVIL}"
    text = session_text(
        recording(messages, url, name=EVIL, Origin=EVIL, Cookie=f"{EVIL}=1", X_Token=EVIL), EVIL
    )
    code = compile(text, "chat.py", "exec")

    assert "_exit" not in code.co_names
    assert "session" in code.co_names


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    path = tmp_path / "chat.py"
    path.write_text("mine")

    with pytest.raises(OperatorError, match="is there already"):
        write_session(path, recording())
    with pytest.raises(OperatorError, match="No such file"):
        write_session(tmp_path / "none" / "chat.py", recording())
