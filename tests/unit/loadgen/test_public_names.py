"""The names that `from loadgen import …` gives to sessions written in Python."""

import subprocess
import sys

import pytest

import loadgen
from loadgen.sessions.errors import CheckFailed, ConnectFailed, ConnectionEnded, HttpFailed
from loadgen.sessions.user import User
from loadgen.sessions.websocket import WebSocket

ALONE = """
import sys
before = set(sys.modules)
import loadgen
print(*sorted(set(sys.modules) - before))
"""


def test_the_package_gives_the_names_of_the_session_api():
    names = (CheckFailed, ConnectFailed, ConnectionEnded, HttpFailed, User, WebSocket)

    assert loadgen.__all__ == [name.__name__ for name in names]
    assert [getattr(loadgen, name) for name in loadgen.__all__] == [*names]


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'loadgen' has no attribute 'Visit'"):
        loadgen.Visit  # noqa: B018  # the access is what raises


def test_the_package_alone_imports_none_of_our_modules():
    done = subprocess.run(
        [sys.executable, "-c", ALONE], check=True, capture_output=True, text=True, timeout=60
    )

    imported = done.stdout.split()
    assert [name for name in imported if name.startswith("loadgen")] == ["loadgen"]
    assert "asyncio" not in imported
