"""The files of a run's sessions, in a folder that this agent alone reads.

It is removed with the run. That of an agent that was killed is removed by the next agent on the
host: a lock shows whether its owner lives.
"""

import fcntl
import io
import os
import shutil
import tempfile
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from loadgen.plan.session_tree import folder_in
from loadgen.plan.sessions import PythonSession

PREFIX = "loadgen-session-"
LOCK = ".lock"


class SessionFiles:
    """The folder with the files of a run's sessions."""

    def __init__(self, sessions: Sequence[PythonSession]) -> None:
        """Raises OSError when the files can't be written."""
        remove_left()
        self.path = tempfile.mkdtemp(prefix=PREFIX)
        self._lock = os.open(Path(self.path, LOCK), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for session in sessions:
                _write(session, self.path)
        except BaseException:  # a full disk, a path that no file may have, or a signal
            self.remove()
            raise

    def remove(self) -> None:
        """Removes the folder and all in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def without_data(session: PythonSession) -> PythonSession:
    """Returns the session as workers get it: they read its files from the folder."""
    files = tuple(
        file if file.path.endswith(".py") else lean
        for file, lean in zip(session.files, session.without_data.files, strict=True)
    )
    return replace(session, files=files)


def _write(session: PythonSession, tree: str) -> None:
    folder = folder_in(tree, session)
    assert folder is not None
    for path, data in _contents(session):
        place = folder / path
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(place, "wb", opener=_private) as file:
            file.write(data)


def _contents(session: PythonSession) -> Iterator[tuple[str, bytes]]:
    """Yields the paths and bytes of all of a session's files."""
    source = session.source
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source.encode()).readline)
    yield Path(session.file).name, source.encode(encoding)
    for file in session.files:
        yield file.path, file.data


def _private(path: str, flags: int) -> int:
    """Opens a file for its owner alone."""
    return os.open(path, flags, 0o600)


def remove_left() -> None:
    """Removes the folders of agents that did not end in good order."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # another agent removes it, or has just made it
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # its owner lives
            continue
        finally:
            os.close(lock)
