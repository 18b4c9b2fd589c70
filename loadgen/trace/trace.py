"""A trace: the lines about one user, each with its time and the author's line."""

import os
import sys
import sysconfig
from collections.abc import Callable, Iterable
from time import monotonic
from types import CodeType

import loadgen

_OURS = tuple(
    f"{os.path.realpath(path)}{os.sep}"
    for path in {
        os.path.dirname(loadgen.__file__),
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)
"""The folders of loadgen, of Python and of libraries: no author wrote what is there."""


class Trace:
    """Writes lines; times are seconds since the first one."""

    def __init__(self, write: Callable[[str], object]) -> None:
        """`write` takes whole lines, without their ends."""
        self._write = write
        self._began: float | None = None
        self.failed = False
        """True once the session has failed."""
        self.over = False
        """True once the session has ended."""

    def line(self, text: str, *more: str) -> None:
        """Writes what happens, and further lines below it."""
        now = monotonic()
        if self._began is None:
            self._began = now
        self._write(f"{now - self._began:10.4f}  {text}")
        for one in more:
            self._write(f"{'':12}{one}")

    def step(self, text: str) -> None:
        """Writes a step of the session, with the author's line."""
        where = author_line()
        self.line(f"{text}  ({where})" if where else text)

    def lines(self, arrow: str, texts: Iterable[str]) -> None:
        """Writes lines that begin with an arrow: what is sent or received."""
        first, *rest = texts
        self.line(f"{arrow} {first}", *rest)

    def ended(self, text: str, *, failed: bool) -> None:
        """Writes how the session ended."""
        self.over = True
        self.failed = self.failed or failed
        self.line(text)


def author_line() -> str:
    """Returns `file:line` of the innermost caller that an author wrote, or ""."""
    frame = sys._getframe(1)
    while frame is not None:
        if is_authors(frame.f_code):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]  # None at the end
    return ""


def is_authors(code: CodeType) -> bool:
    """Returns True for code of a file that is neither loadgen's nor a library's."""
    file = code.co_filename
    if file.startswith("<") or f"{os.sep}site-packages{os.sep}" in file:
        return False
    return not os.path.realpath(file).startswith(_OURS)
