"""The Python file of a session: checked without a run, imported by each worker."""

import ast
import hashlib
import importlib
import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from pathlib import Path
from types import ModuleType
from typing import Any

from msgspec.structs import replace

from loadgen.errors import PlanError
from loadgen.plan.session_tree import (
    entry_of,
    files_in,
    folder_in,
    neighbours,
    parse,
    replaceable,
    source_of,
    wrong_file,
)
from loadgen.plan.sessions import PythonSession

DEFAULT = "session"
"""The function of a file that is its session, unless another is named."""


class LoadError(PlanError):
    """A session file can't be imported on this machine; `traceback` is for people."""

    def __init__(self, text: str, traceback: str = "") -> None:
        super().__init__(text)
        self.traceback = traceback


def read_session(path: Path, function: str = "", name: str = "") -> PythonSession:
    """Returns the session in a file or a folder, with what travels with it.

    Raises PlanError, with file and line, when it can't be run.
    """
    function = function or DEFAULT
    stem = path.resolve().stem if path.is_dir() else path.stem
    name = name or (function if function != DEFAULT else stem)
    return with_source(PythonSession(name=name, file=str(path), function=function), Path())


def with_source(
    session: PythonSession,
    folder: Path,
    check: Callable[[PythonSession], None] | None = None,
) -> PythonSession:
    """Returns the session with its source, its files, and the hashes of those.

    A session without a source has them read from its file, relative to a folder. `check` raises
    PlanError for a text that can't be run; without one it has to have a session. Raises PlanError,
    too, when the source does not have the session's hash.
    """
    session = session if session.source else _from_disk(session, folder)
    found = digest(session.source)
    if session.sha256 not in ("", found):
        raise PlanError(
            f"`sha256` does not match {session.file}, whose SHA-256 is {found}; leave it out to"
            " accept that file"
        )
    wrong = wrong_file(session)
    if wrong:
        raise PlanError(
            f"`files` has {wrong} with another SHA-256 than its text; leave `files` and `source`"
            " out, so that they are read anew"
        )
    session = replace(session, sha256=found)
    (check or check_session)(session)
    return session


def _from_disk(session: PythonSession, folder: Path) -> PythonSession:
    if session.files:
        raise PlanError(
            "`files` is what a run directory keeps beside `source`; leave it out, and give the"
            " folder as `file`"
        )
    path = folder / session.file
    if path.is_dir():
        entry = entry_of(path)
        files = files_in(path, entry)
        file = str(Path(session.file) / entry)
        return replace(session, file=file, source=source_of(path / entry), files=files)
    source = source_of(path)
    return replace(session, source=source, files=neighbours(path, source, session.file))


def digest(source: str) -> str:
    """Returns the SHA-256 of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()


def check_session(session: PythonSession) -> None:
    """Raises PlanError, with file and line, unless the text has that session.

    Does not run it.
    """
    file, function = session.file, session.function
    tree = parse(session.source, file)
    named = [node for node in tree.body if binds(node, function)]
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
    if any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in own_nodes(node)):
        raise PlanError(f"{file}:{node.lineno}: {function} has a yield; a session only awaits")
    if not node.decorator_list and not takes_one(node.args):
        raise PlanError(
            f"{file}:{node.lineno}: {function} does not take one user; write async def"
            f" {function}(user)"
        )


def binds(node: ast.stmt, name: str) -> bool:
    """Returns whether a statement of the file binds this name."""
    if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef | ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any((alias.asname or alias.name) == name for alias in node.names)
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def own_nodes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """Yields all nodes inside a function, without those inside a function in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def takes_one(arguments: ast.arguments) -> bool:
    """Returns whether a function with these parameters takes one argument."""
    places = len(arguments.posonlyargs) + len(arguments.args)
    needed = places - len(arguments.defaults)
    return needed <= 1 <= places + bool(arguments.vararg) and None not in arguments.kw_defaults


def load(session: PythonSession, tree: str = "") -> Callable[[Any], Any]:
    """Returns the session's function; imports its file once in a process.

    `tree` is where an agent has the files of all sessions. Raises LoadError.
    """
    module = _import(session, folder_in(tree, session))
    function = getattr(module, session.function, None)
    if not callable(function):
        raise LoadError(
            f"{session.file}: {session.function} is not a function once the file has run"
        )
    return function  # type: ignore[no-any-return]  # calling it shows what it returns


def check_function(session: PythonSession, function: Callable[[Any], Any]) -> None:
    """Raises LoadError unless a session's function takes one user."""
    try:
        inspect.signature(function).bind(None)
    except ValueError:  # it has no signature, as some functions in C
        return
    except TypeError as error:
        code = getattr(inspect.unwrap(function), "__code__", None)
        where = f"{session.file}:{code.co_firstlineno}" if code is not None else session.file
        raise LoadError(
            f"{where}: {session.function} does not take one user ({error}); write async def"
            f" {session.function}(user)"
        ) from error


class _Loader(SourceFileLoader):
    """Loads a file of a session; tracebacks show it where its author has it."""

    def __init__(self, name: str, path: str, shown: str) -> None:
        super().__init__(name, path)
        self._shown = shown

    def source_to_code(  # type: ignore[override]  # its parameters are of several kinds
        self, data: Any, path: Any, *, _optimize: int = -1
    ) -> Any:
        """Compiles the file under the name that tracebacks show."""
        source = self.get_source(self.name) or ""
        _remember(self._shown, source)
        return super().source_to_code(data, self._shown)

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Keeps no compiled file: the folder has what came from the plan, and no more."""


class _Neighbours(MetaPathFinder):
    """Finds the modules of a session's folder.

    They come before installed ones, and after the standard library.
    """

    def __init__(self, folder: Path, shown: Path) -> None:
        self.folder = folder
        self._shown = shown
        self.package = _package_name(folder)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns where a module is, if it is in the folder."""
        if path is None and fullname == self.package:
            return self._package_spec()
        places = [str(self.folder)] if path is None and replaceable(fullname) else path or ()
        for place in places:
            if Path(place).is_relative_to(self.folder):
                found = FileFinder(
                    place,
                    (ExtensionFileLoader, EXTENSION_SUFFIXES),
                    (self._loader, [".py"]),  # type: ignore[arg-type]  # it makes a loader
                ).find_spec(fullname)
                if found is not None:
                    return found
        return None

    def _loader(self, name: str, path: str) -> _Loader:
        return _Loader(name, path, str(self._shown / Path(path).relative_to(self.folder)))

    def _package_spec(self) -> ModuleSpec:
        path = str(self.folder / "__init__.py")
        spec = ModuleSpec(self.package, self._loader(self.package, path), origin=path)
        spec.submodule_search_locations = [str(self.folder)]
        spec.has_location = True
        return spec


def _package_name(folder: Path) -> str:
    """Returns the name of the package that a folder is; "" when it is none."""
    if not (folder / "__init__.py").is_file():
        return ""
    free = replaceable(folder.name) and folder.name not in sys.modules
    return folder.name if free else f"session_{folder.parent.name}"


def _neighbours_in(session: PythonSession, folder: Path) -> _Neighbours:
    """Returns the finder for a folder, the same for all sessions in it."""
    for finder in sys.meta_path:
        if isinstance(finder, _Neighbours) and finder.folder == folder:
            return finder
    made = _Neighbours(folder, Path(session.file).parent)
    sys.meta_path.insert(0, made)
    return made


def _import(session: PythonSession, folder: Path | None) -> ModuleType:
    try:
        if folder is not None:
            package = _neighbours_in(session, folder).package
            if package:
                stem = Path(session.file).stem
                return importlib.import_module(
                    package if stem == "__init__" else f"{package}.{stem}"
                )
        return _run(session, folder)
    except BaseException as error:  # the file may fail in any way, also by sys.exit
        raise LoadError(failure_line(session, error), failure_traceback(session, error)) from error


def _run(session: PythonSession, folder: Path | None) -> ModuleType:
    """Returns the module of a file that is in no package."""
    # The name hides no other module, and no two files have the same one.
    name = f"session_{Path(session.file).stem}_{digest(session.file + session.source)[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(folder / Path(session.file).name) if folder else session.file
    _remember(session.file, session.source)
    sys.modules[name] = module
    try:
        exec(compile(session.source, session.file, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except BaseException:  # the file may fail in any way, also by sys.exit
        del sys.modules[name]
        raise
    return module


def _remember(shown: str, source: str) -> None:
    """Lets tracebacks show the lines of a file that may not be there."""
    lines = source.splitlines(keepends=True)
    linecache.cache[shown] = (len(source), None, lines, shown)


def _shown_files(session: PythonSession) -> set[str]:
    """Returns the names under which tracebacks show the session's files."""
    folder = Path(session.file).parent
    return {session.file, *(str(folder / file.path) for file in session.files)}


def failure_traceback(session: PythonSession, error: BaseException) -> str:
    """Returns the traceback as Python shows it, from the session's files on."""
    shown = _shown_files(session)
    # A syntax error shows its line itself; the frames are those of the import.
    frames = None if isinstance(error, SyntaxError) else error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename not in shown:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


def failure_line(session: PythonSession, error: BaseException) -> str:
    """Returns in one line where in the session's files it failed, and why."""
    shown = _shown_files(session)
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename in shown]
    if isinstance(error, SyntaxError) and (not places or error.filename in shown):
        places = [f"{error.filename or session.file}:{error.lineno}"]
    where = places[-1] if places else session.file
    why = " ".join(traceback.format_exception_only(error)[-1].split())
    if isinstance(error, FileNotFoundError):
        why += "; the files beside it travel with --session FOLDER, where session.py has it"
    return f"{where}: {why}"
