"""The folder of a run's sessions: what is in it, and that it does not stay."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from loadgen.agent.session_files import PREFIX, SessionFiles, remove_left, without_data
from loadgen.plan.session_file import digest
from loadgen.plan.session_tree import file_of, folder_in
from loadgen.plan.sessions import PythonSession

SOURCE = "# coding: latin-1\nasync def session(user): 'é'\n"
SESSION = PythonSession(
    name="chat",
    file="shop/session.py",
    source=SOURCE,
    sha256=digest(SOURCE),
    files=(file_of("data/photo", b"\xff"), file_of("helpers.py", b"x = 1\n")),
)
KILLED = """
import os, signal, sys
from loadgen.agent.session_files import SessionFiles
print(SessionFiles([]).path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Makes a folder of this test the one for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_all_files_are_there_for_the_owner_alone_until_they_are_removed(tmp_path):
    files = SessionFiles([SESSION])
    folder = folder_in(files.path, SESSION)

    assert (folder / "session.py").read_bytes() == SOURCE.encode("latin-1")
    assert (folder / "data" / "photo").read_bytes() == b"\xff"
    assert Path(files.path).stat().st_mode & 0o777 == 0o700
    assert (folder / "helpers.py").stat().st_mode & 0o777 == 0o600
    files.remove()
    assert list(tmp_path.iterdir()) == []


def test_files_that_can_not_be_written_leave_nothing(tmp_path):
    files = (file_of("a", b""), file_of("a/b", b""))
    with pytest.raises(OSError, match="a"):
        SessionFiles([PythonSession(name="x", file="x.py", files=files)])
    assert list(tmp_path.iterdir()) == []


def test_a_killed_agents_files_are_removed_by_the_next_and_a_living_ones_stay(tmp_path):
    living = SessionFiles([])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED], check=False, capture_output=True, text=True
    )
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    (tmp_path / f"{PREFIX}new").mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path)

    remove_left()

    assert not left.exists()
    assert Path(living.path).is_dir()
    assert (tmp_path / f"{PREFIX}new").is_dir()
    living.remove()


def test_workers_read_data_from_the_folder():
    lean = without_data(SESSION)

    assert [file.data for file in lean.files] == [b"", b"x = 1\n"]
    assert [file.sha256 for file in lean.files] == [file.sha256 for file in SESSION.files]
