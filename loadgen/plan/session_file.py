"""The Python file of a session: checked without a run, imported by each worker."""

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
"""The function of a file that is its session, unless another is named."""


class LoadError(PlanError):
    """A session file can't be imported on this machine; `traceback` is for people."""

    def __init__(self, text: str, traceback: str = "") -> None:
        super().__init__(text)
        self.traceback = traceback


def read_session(path: Path, function: str = "", name: str = "") -> PythonSession:
    """Returns the session in a file.

    Raises PlanError, with file and line, when it can't be run.
    """
    function = function or DEFAULT
    name = name or (function if function != DEFAULT else path.stem)
    return with_source(PythonSession(name=name, file=str(path), function=function), Path())


def with_source(session: PythonSession, folder: Path) -> PythonSession:
    """Returns the session with its source and the hash of that.

    A session without a source has it read from its file, relative to a folder. Raises PlanError
    when it can't be run, and when the source does not have the session's hash.
    """
    source = session.source or _read(folder / session.file)
    found = digest(source)
    if session.sha256 not in ("", found):
        raise PlanError(
            f"`sha256` does not match {session.file}, whose SHA-256 is {found}; leave it out to"
            " accept that file"
        )
    session = replace(session, source=source, sha256=found)
    check_session(session)
    return session


def _read(path: Path) -> str:
    try:
        return decode_source(path.read_bytes())
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}; give the path of a Python file") from error
    except (SyntaxError, UnicodeDecodeError) as error:  # an encoding unknown, or not as declared
        raise PlanError(f"{path}: {error}") from error


def digest(source: str) -> str:
    """Returns the SHA-256 of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()


def check_session(session: PythonSession) -> None:
    """Raises PlanError, with file and line, unless the text has that session.

    Does not run it.
    """
    file, function = session.file, session.function
    tree = _parse(session)
    named = [node for node in tree.body if _names(node, function)]
    if not named:
        known = [node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)]
        there = f"the file has {', '.join(known)}" if known else "the file has no async def"
        raise PlanError(
            f"{file}: no function {function!r}; {there}; write FILE.py:NAME, or async def"
            f" {function}(user)"
        )
    node = named[-1]
    if isinstance(node, ast.Import | ast.ImportFrom) or (
        isinstance(node, ast.Assign) and isinstance(node.value, ast.Name | ast.Attribute | ast.Call)
    ):
        return  # only running it shows what that is
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
        # Compiling finds what parsing does not: a return outside of a function.
        compile(tree, session.file, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise PlanError(f"{session.file}:{error.lineno or 1}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; endless parentheses
        raise PlanError(f"{session.file}: it can't be parsed: {error}") from error
    return tree


def _names(node: ast.stmt, name: str) -> bool:
    """Returns whether a statement of the file binds this name."""
    if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef | ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any((alias.asname or alias.name) == name for alias in node.names)
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _own(function: ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """Yields all nodes inside a function, without those inside a function in it."""
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
    """Returns the session's function; imports its file once in a process.

    Raises LoadError.
    """
    module = _import(session)
    function = getattr(module, session.function, None)
    if not callable(function):
        raise LoadError(
            f"{session.file}: {session.function} is not a function once the file has run"
        )
    return function  # type: ignore[no-any-return]  # calling it shows what it returns


def _import(session: PythonSession) -> ModuleType:
    # The name hides no other module, and no two files have the same one.
    name = f"session_{Path(session.file).stem}_{digest(session.file + session.source)[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = session.file
    # The file may not exist here: tracebacks show its lines from the cache.
    lines = session.source.splitlines(keepends=True)
    linecache.cache[session.file] = (len(session.source), None, lines, session.file)
    sys.modules[name] = module
    try:
        exec(compile(session.source, session.file, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except BaseException as error:  # the file may fail in any way, also by sys.exit
        del sys.modules[name]
        raise LoadError(_one_line(session, error), _traceback(error)) from error
    return module


def _traceback(error: BaseException) -> str:
    """Returns the traceback as Python shows it, from the file on.

    The frame of this module is left out.
    """
    frames = error.__traceback__
    return "".join(traceback.format_exception(type(error), error, frames and frames.tb_next))


def _one_line(session: PythonSession, error: BaseException) -> str:
    """Returns in one line where in the file it failed, and why."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == session.file]
    line = (
        error.lineno
        if isinstance(error, SyntaxError) and not lines
        else next(reversed(lines), None)
    )
    where = session.file if line is None else f"{session.file}:{line}"
    return f"{where}: {' '.join(traceback.format_exception_only(error)[-1].split())}"
