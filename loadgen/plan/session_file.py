"""A session's Python file: read and looked at where the plan is made, without running it;
imported by each worker."""

import ast
import hashlib
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator
from importlib.util import decode_source
from pathlib import Path
from types import ModuleType
from typing import Any

from msgspec.structs import replace

from loadgen.errors import PlanError
from loadgen.plan.sessions import PythonSession

DEFAULT = "session"
"""The function that a file's session is, unless another is named."""


class LoadError(PlanError):
    """A session's file that can't be imported on this machine; `traceback` is for people."""

    def __init__(self, text: str, traceback: str = "") -> None:
        super().__init__(text)
        self.traceback = traceback


def read_session(path: Path, function: str = "", name: str = "") -> PythonSession:
    """The session in a file; raises PlanError, naming file and line, when there is none that can
    be run."""
    function = function or DEFAULT
    name = name or (function if function != DEFAULT else path.stem)
    return embedded(PythonSession(name=name, file=str(path), function=function), Path())


def embedded(session: PythonSession, folder: Path) -> PythonSession:
    """The session with its source and that source's hash: as it says, else from its file, relative
    to a folder.

    Raises PlanError when there is none that can be run, or when it does not fit a hash that is
    there already.
    """
    source = session.source or _read(folder / session.file)
    found = digest(source)
    if session.sha256 not in ("", found):
        raise PlanError(
            f"`sha256` does not fit the source of {session.file}: that has {found}; leave it out to"
            " accept it"
        )
    session = replace(session, source=source, sha256=found)
    check_session(session)
    return session


def _read(path: Path) -> str:
    try:
        return decode_source(path.read_bytes())
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}; give the path of a Python file") from error
    except (
        SyntaxError,
        UnicodeDecodeError,
    ) as error:  # an unknown encoding, or not in the one that it declares
        raise PlanError(f"{path}: {error}") from error


def digest(source: str) -> str:
    """The SHA-256 of a file's text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()


def check_session(session: PythonSession) -> None:
    """Raises PlanError, naming file and line, unless the text has that session; it is parsed,
    not run."""
    file, function = session.file, session.function
    tree = _parse(session)
    named = [node for node in tree.body if _names(node, function)]
    if not named:
        known = [node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)]
        there = f"there is {', '.join(known)}" if known else "there is no async def in it"
        raise PlanError(
            f"{file}: no function {function!r}; {there}; write FILE.py:NAME, or async def"
            f" {function}(user)"
        )
    node = named[-1]
    if isinstance(node, ast.Import | ast.ImportFrom) or (
        isinstance(node, ast.Assign) and isinstance(node.value, ast.Name | ast.Attribute | ast.Call)
    ):
        return  # what that is, only running it tells
    if not isinstance(node, ast.AsyncFunctionDef):
        raise PlanError(
            f"{file}:{node.lineno}: {function} is not an async def; write async def"
            f" {function}(user)"
        )
    if any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in _own(node)):
        raise PlanError(f"{file}:{node.lineno}: {function} has a yield; a session only awaits")
    if not node.decorator_list and not _takes_one(node.args):
        raise PlanError(
            f"{file}:{node.lineno}: {function} does not take one user; write async def"
            f" {function}(user)"
        )


def _parse(session: PythonSession) -> ast.Module:
    try:
        tree = ast.parse(session.source, session.file)
        compile(
            tree, session.file, "exec", dont_inherit=True
        )  # finds what parsing does not: a return outside
    except SyntaxError as error:
        raise PlanError(f"{session.file}:{error.lineno or 1}: {error.msg}") from error
    except (
        ValueError,
        RecursionError,
        MemoryError,
    ) as error:  # a null byte; parentheses without end
        raise PlanError(f"{session.file}: it can't be parsed: {error}") from error
    return tree


def _names(node: ast.stmt, name: str) -> bool:
    """Whether a statement of the file gives something this name."""
    if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef | ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any((alias.asname or alias.name) == name for alias in node.names)
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _own(function: ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """All that is inside a function, but not inside a function in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def _takes_one(arguments: ast.arguments) -> bool:
    places = len(arguments.posonlyargs) + len(arguments.args)
    needed = places - len(arguments.defaults)
    return needed <= 1 <= places + bool(arguments.vararg) and None not in arguments.kw_defaults


def load(session: PythonSession) -> Callable[[Any], Any]:
    """The session's function, its file imported as a module of its own, once in a process;
    raises LoadError."""
    module = _import(session)
    function = getattr(module, session.function, None)
    if not callable(function):
        raise LoadError(
            f"{session.file}: {session.function} is not a function once the file has run"
        )
    return function  # type: ignore[no-any-return]  # what it returns is seen when it is called


def _import(session: PythonSession) -> ModuleType:
    # A name that hides no other module, and is not taken for another file's.
    name = f"session_{Path(session.file).stem}_{digest(session.file + session.source)[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = session.file
    # The file need not exist here: with its lines in the cache tracebacks show them all the same.
    lines = session.source.splitlines(keepends=True)
    linecache.cache[session.file] = (len(session.source), None, lines, session.file)
    sys.modules[name] = module
    try:
        exec(compile(session.source, session.file, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except BaseException as error:  # it may fail in any way, also by sys.exit
        del sys.modules[name]
        raise LoadError(_told(session, error), _traceback(error)) from error
    return module


def _traceback(error: BaseException) -> str:
    """As Python shows it, from the file on: without the frame in here."""
    frames = error.__traceback__
    return "".join(traceback.format_exception(type(error), error, frames and frames.tb_next))


def _told(session: PythonSession, error: BaseException) -> str:
    """One line: where in the file it failed, and by what."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == session.file]
    line = (
        error.lineno
        if isinstance(error, SyntaxError) and not lines
        else next(reversed(lines), None)
    )
    where = session.file if line is None else f"{session.file}:{line}"
    return f"{where}: {' '.join(traceback.format_exception_only(error)[-1].split())}"
