"""The files that travel with a session: its folder, or its file's neighbours.

They are read where the plan is made, within bounds, and travel with the plan. An agent writes them
into a folder of its own.
"""

import ast
import hashlib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from importlib.util import decode_source, find_spec
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from loadgen.errors import PlanError
from loadgen.plan.sessions import MAX_BYTES, MAX_FILES, PythonSession, SessionFile

ENTRIES = ("session.py", "__init__.py")
"""The files of a folder that may hold its session; the first that is there does."""
LEFT_OUT = ("__pycache__", "node_modules")
"""Folders that never travel; nor do hidden files, and virtual environments and run directories."""
MARKS = (("pyvenv.cfg",), ("plan.toml", "run.json"))
"""The files in a virtual environment and in a run directory."""
DISTRIBUTIONS = {
    "Crypto": "pycryptodome",
    "PIL": "Pillow",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "google": "protobuf",
    "jwt": "PyJWT",
    "sklearn": "scikit-learn",
    "socketio": "python-socketio",
    "yaml": "PyYAML",
}
"""The packages whose names are not those of what one imports from them."""
OWN = ("loadgen", "coordinator")
"""Packages that no file of a session replaces; nor does it replace the standard library."""


class Import(NamedTuple):
    """A module that a file imports."""

    name: str
    """As written, without leading dots."""
    level: int
    """The number of leading dots."""
    names: tuple[str, ...]
    """The names imported from it; each may be a module as well."""
    line: int
    optional: bool
    """True where the file goes on without it, or only type checkers read it."""


class Library(NamedTuple):
    """A library that a session imports and this machine lacks."""

    name: str
    where: str
    """File and line of the import."""

    def __str__(self) -> str:
        package = DISTRIBUTIONS.get(self.name, self.name)
        return (
            f"lacks the library {self.name}, which {self.where} imports: run {sys.executable} -m"
            f" pip install {package} on that machine"
        )


def replaceable(name: str) -> bool:
    """Returns whether a file of a session may have this name of a module."""
    return name not in sys.stdlib_module_names and name not in OWN


def parse(source: str, file: str) -> ast.Module:
    """Returns the syntax tree of a file's text.

    Raises PlanError, with file and line, when it is not Python.
    """
    try:
        tree = ast.parse(source, file)
        # Compiling finds what parsing does not: a return outside of a function.
        compile(tree, file, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise PlanError(f"{file}:{error.lineno or 1}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; endless parentheses
        raise PlanError(f"{file}: it can't be parsed: {error}") from error
    return tree


def source_of(path: Path) -> str:
    """Returns the text of a Python file; raises PlanError when it can't be read."""
    try:
        return decode_source(path.read_bytes())
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}; give the path of a Python file") from error
    except (SyntaxError, UnicodeDecodeError) as error:  # an encoding unknown, or not as declared
        raise PlanError(f"{path}: {error}") from error


def entry_of(folder: Path) -> str:
    """Returns the name of the file in a folder that has its session."""
    for name in ENTRIES:
        if (folder / name).is_file():
            return name
    raise PlanError(f"{folder}: it has no session.py; write async def session(user) into that")


def files_in(folder: Path, entry: str) -> tuple[SessionFile, ...]:
    """Returns all files of a session's folder but the entry, sorted by path.

    Raises PlanError for a link out of the folder, for what is no file, and beyond the bounds.
    """
    return _read(folder, (path for path in _walk(folder, folder) if path != entry))


def neighbours(path: Path, source: str, file: str) -> tuple[SessionFile, ...]:
    """Returns the files beside a session's file that it imports or names.

    They are followed in turn; a package travels as a whole. `file` is the path in messages.

    Raises PlanError as `files_in` does, and for a relative import, which needs a package.
    """
    folder = path.parent
    found: set[str] = set()
    waiting = [(path.name, source)]
    while waiting:
        name, text = waiting.pop()
        shown = str(Path(file).parent / name)
        tree = parse(text, shown)
        for other in [*_imported(tree, folder, name, shown), *_named(tree, folder)]:
            if other != path.name and other not in found:
                found.add(other)
                if other.endswith(".py"):
                    waiting.append((other, source_of(folder / other)))
    return _read(folder, sorted(found))


def _imported(tree: ast.Module, folder: Path, name: str, shown: str) -> Iterator[str]:
    """Yields the paths of the neighbours that a file imports."""
    for found in imports_in(tree):
        if found.level and "/" not in name:
            raise PlanError(
                f"{shown}:{found.line}: a relative import needs its whole package; give --session"
                f" {Path(shown).parent}, with the session in session.py there"
            )
        top = found.name.partition(".")[0]
        if found.level or not top or not replaceable(top):
            continue
        if (folder / f"{top}.py").is_file():
            yield f"{top}.py"
        elif (folder / top / "__init__.py").is_file():
            yield from _walk(folder / top, folder)


def _named(tree: ast.Module, folder: Path) -> Iterator[str]:
    """Yields the paths of data files that a string in a session's file names."""
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if not isinstance(text, str) or not 0 < len(text) <= 200 or not text.isprintable():
            continue
        path = PurePosixPath(text)
        hidden = any(part.startswith(".") for part in path.parts)
        if not path.is_absolute() and not hidden and path.suffix not in ("", ".py"):
            try:
                is_file = (folder / path).is_file()
            except OSError:  # a name that no file may have
                continue
            if is_file:
                yield str(path)


def imports_in(tree: ast.Module) -> Iterator[Import]:
    """Yields what a file imports, anywhere in it."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, optional = waiting.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, 0, (), node.lineno, optional)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield Import(node.module or "", node.level, names, node.lineno, optional)
        elif isinstance(node, ast.Try) and any(map(_forgives, node.handlers)):
            waiting += [(inner, True) for inner in node.body]
            waiting += [(inner, optional) for inner in (*node.orelse, *node.finalbody)]
            waiting += [(inner, True) for inner in node.handlers]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += [(inner, True) for inner in node.body]
            waiting += [(inner, optional) for inner in node.orelse]
        else:
            waiting += [(inner, optional) for inner in ast.iter_child_nodes(node)]


def _forgives(handler: ast.ExceptHandler) -> bool:
    """Returns whether a handler takes a library that is missing."""
    caught = "Exception" if handler.type is None else ast.unparse(handler.type)
    return any(name in caught for name in ("ImportError", "ModuleNotFoundError", "Exception"))


def missing_libraries(session: PythonSession, folder: Path | None) -> list[Library]:
    """Returns the libraries that a session imports and this process lacks.

    `folder` is where its files are. What its files import inside of functions counts too, in files
    that are reached from the session's own.
    """
    entry = Path(session.file).name
    sources = {entry: session.source}
    waiting = [entry]
    missing: dict[str, Library] = {}
    while waiting:
        name = waiting.pop()
        shown = str(Path(session.file).parent / name)
        for found in imports_in(parse(sources[name], shown)):
            reached = [
                path
                for path in _candidates(found, name)
                if folder is not None and (folder / path).exists()
            ]
            for path in reached:
                if path.endswith(".py") and path not in sources:
                    sources[path] = source_of(folder / path) if folder is not None else ""
                    waiting.append(path)
            top = found.name.partition(".")[0]
            if not (reached or found.optional or found.level) and not _is_there(top):
                missing.setdefault(top, Library(top, f"{shown}:{found.line}"))
    return [missing[name] for name in sorted(missing)]


def _candidates(found: Import, importer: str) -> Iterator[str]:
    """Yields the paths in a session's folder that an import may run."""
    base = PurePosixPath(importer).parent if found.level else PurePosixPath()
    for _ in range(found.level - 1):
        base = base.parent
    parts = [part for part in found.name.split(".") if part]
    if not found.level and not replaceable(parts[0]):
        return
    places = [base.joinpath(*parts[: count + 1]) for count in range(len(parts))]
    inside = base.joinpath(*parts)
    places += [inside / name for name in found.names if name != "*"]
    for place in places:
        yield f"{place}.py"
        yield str(place / "__init__.py")
        yield str(place)


def _is_there(name: str) -> bool:
    try:
        return name in sys.modules or find_spec(name) is not None
    except (ImportError, ValueError):  # a module without a spec, or a parent that fails
        return False


def _walk(folder: Path, root: Path) -> Iterator[str]:
    """Yields the paths of a folder's files, relative to the root, sorted."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise PlanError(f"{folder}: {error.strerror}; give a folder that can be read") from error
    names = {entry.name for entry in entries}
    if folder != root and any(names.issuperset(mark) for mark in MARKS):
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith(".") or entry.name in LEFT_OUT or path.suffix == ".pyc":
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(path, root)
        else:
            yield path.relative_to(root).as_posix()


def _read(root: Path, paths: Iterator[str] | Sequence[str]) -> tuple[SessionFile, ...]:
    files: list[SessionFile] = []
    room = MAX_BYTES
    for path in paths:
        data = _bytes(root / path, root.resolve(), room)
        room -= len(data)
        if room < 0 or len(files) == MAX_FILES:
            raise PlanError(
                f"{root}: more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB would travel with"
                f" the session, at {path}; move out what it does not need, and give rows of data"
                " by --feeder"
            )
        files.append(file_of(path, data))
    return tuple(files)


def _bytes(path: Path, root: Path, room: int) -> bytes:
    """Returns the content of a file, or a byte more than there is room for."""
    try:
        if not path.resolve().is_relative_to(root):
            raise PlanError(f"{path}: it is a link out of {root}; copy the file instead")
        if not stat.S_ISREG(path.stat().st_mode):
            raise PlanError(f"{path}: it is no regular file; move it out of the session's folder")
        with path.open("rb") as file:
            return file.read(room + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        why = getattr(error, "strerror", None) or error
        raise PlanError(f"{path}: {why}; move it out, or make it readable") from error


def file_of(path: str, data: bytes) -> SessionFile:
    """Returns a file as it travels: as text where it is UTF-8."""
    found = hashlib.sha256(data).hexdigest()
    try:
        return SessionFile(path=path, sha256=found, text=data.decode())
    except UnicodeDecodeError:
        return SessionFile(path=path, sha256=found, base64=data)


def wrong_file(session: PythonSession) -> str:
    """Returns the path of a file that does not have its hash; "" when all have it."""
    wrong = (
        file.path for file in session.files if hashlib.sha256(file.data).hexdigest() != file.sha256
    )
    return next(wrong, "")


def folder_in(tree: str, session: PythonSession) -> Path | None:
    """Returns the folder of a session's files in an agent's tree; None without one.

    Sessions of one folder share it, and the modules in it.
    """
    if not tree:
        return None
    folder = Path(session.file).parent
    key = hashlib.sha256(str(folder).encode(errors="surrogatepass")).hexdigest()[:12]
    return Path(tree, key, folder.name if folder.name.isidentifier() else "session_files")
