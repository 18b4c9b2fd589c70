"""Reads the rows of feeders: CSV, JSON lines, a Python function, or the plan."""

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import decode_source
from pathlib import Path
from typing import Any

import msgspec

from loadgen.errors import PlanError
from loadgen.plan.feeder import MAX_ROWS_BYTES, Feeder
from loadgen.plan.schema import hint
from loadgen.plan.session_file import load
from loadgen.plan.sessions import PythonSession

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".py": "python",
}
"""The formats by the end of a file's name."""
DATA_FILES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")
"""Ends of the names of files with data."""
ROWS_FUNCTION = "rows"
"""The function of a Python file that returns or yields the rows."""
MODES = {
    "unique": {"mode": "unique"},
    "stop": {"mode": "unique", "at_end": "stop"},
    "wrap": {"mode": "unique", "at_end": "wrap"},
    "shared": {"mode": "shared"},
    "random": {"mode": "random"},
}
"""The keys of a feeder by the word after its file, on a command line."""
SHOWN = 5
"""Names of columns that a message shows."""

Row = tuple[str, Sequence[Any]]
"""The place of a row, for messages, and its values."""


def feeder_of(text: str) -> Feeder:
    """Returns the feeder that FILE or FILE:MODE names.

    The mode is `unique`, `stop`, `wrap`, `shared` or `random`; `stop` and `wrap` are what becomes
    of users beyond the last row of a `unique` feeder.
    """
    path, _, mode = text.rpartition(":")
    if not path or mode not in MODES:
        if path and Path(path).is_file() and not Path(text).exists():
            raise PlanError(f"{path}: {mode!r} is no mode of a feeder{hint(mode, [*MODES])}")
        path, mode = text, "unique"
    name = "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "-_") else "_"
        for sign in Path(path).stem[:50]
    )
    return msgspec.convert({"name": name or "rows", "file": path, **MODES[mode]}, Feeder)


def format_of(feeder: Feeder) -> str:
    """Returns the format of a feeder's file; "" where nothing says it."""
    return feeder.format or FORMATS.get(Path(feeder.file).suffix.lower(), "")


def keep_rows(feeders: Iterable[Feeder], folder: Path) -> None:
    """Writes the rows of feeders where `kept` ones have them, for their owner alone."""
    for feeder in feeders:
        path = folder / feeder.kept.file
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(feeder.table)


def with_rows(feeder: Feeder, folder: Path) -> Feeder:
    """Returns the feeder with its rows, read from its file relative to a folder.

    Raises PlanError, with file and line, when a row can't be used, and when the rows do not have
    the feeder's hash.
    """
    columns, rows = _read(feeder, folder)
    _check_columns(columns, feeder)
    table = bytearray()
    count = 0
    for where, values in rows:
        if len(values) != len(columns):
            raise PlanError(
                f"{where}: {len(values)} fields, but there are {len(columns)} columns"
                f" ({_names(columns)}); write as many fields, in quotes where they hold the"
                " delimiter"
            )
        try:
            table += msgspec.json.encode(values)
        except (TypeError, UnicodeEncodeError, OverflowError, RecursionError) as error:
            raise PlanError(f"{where}: it can't be written as JSON: {error}") from error
        table += b"\n"
        count += 1
        if len(table) > MAX_ROWS_BYTES:
            raise _too_large(feeder)
    if not count:
        raise PlanError(f"feeder {feeder.name!r} has no row; give it one at least")
    found = hashlib.sha256(table).hexdigest()
    if feeder.sha256 not in ("", found):
        raise PlanError(
            f"`sha256` does not match the rows of feeder {feeder.name!r}, whose SHA-256 is {found};"
            " leave it out to accept them"
        )
    return msgspec.structs.replace(
        feeder, columns=tuple(columns), count=count, sha256=found, table=bytes(table)
    )


def _too_large(feeder: Feeder) -> PlanError:
    return PlanError(
        f"feeder {feeder.name!r} has more than {MAX_ROWS_BYTES >> 20} MiB of rows, the most that"
        " travels to the agents; leave out columns or rows that no user needs"
    )


def _check_columns(columns: Sequence[str], feeder: Feeder) -> None:
    for place, name in enumerate(columns):
        if not name or "%%" in name or not name.isprintable():
            raise PlanError(
                f"feeder {feeder.name!r}: column {place + 1} has the name {name!r}; give it a name"
                " of printable signs, in the header or by `names`"
            )
        if name in columns[:place]:
            raise PlanError(
                f"feeder {feeder.name!r}: column {place + 1} has the name {name!r}, as another"
                " one; rename it, or give `names`"
            )


def _read(feeder: Feeder, folder: Path) -> tuple[Sequence[str], Iterator[Row]]:
    """Returns the names of the columns, and the rows."""
    if feeder.rows:
        return _objects(
            (f"rows[{place}] of feeder {feeder.name!r}", row)
            for place, row in enumerate(feeder.rows)
        )
    path = folder / feeder.file
    format_ = format_of(feeder)
    if not format_:
        raise PlanError(
            f"{path}: its name does not say what it holds; give `format`: csv, jsonl or python"
        )
    data = _bytes(path, feeder)
    if format_ == "python":
        return _python(data, path)
    text = _text(data, path, feeder.encoding)
    return _csv(text, path, feeder) if format_ == "csv" else _json_lines(text, path, feeder.names)


def _bytes(path: Path, feeder: Feeder) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(2 * MAX_ROWS_BYTES + 1)  # /dev/zero has no end
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        why = getattr(error, "strerror", None) or error
        raise PlanError(f"{path}: {why}; give the path of a file with rows") from error
    if len(data) > 2 * MAX_ROWS_BYTES:
        raise _too_large(feeder)
    return data


def _text(data: bytes, path: Path, encoding: str) -> str:
    """Returns the text of a file, without a byte order mark at its beginning."""
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        line = data.count(b"\n", 0, at) + 1
        raise PlanError(
            f"{path}, line {line}: it is not {encoding} ({getattr(error, 'reason', error)}); give"
            " its `encoding`"
        ) from error
    except (LookupError, ValueError) as error:  # no such encoding; a null character in its name
        raise PlanError(f"{path}: {error}; give another `encoding`") from error


def _csv(text: str, path: Path, feeder: Feeder) -> tuple[Sequence[str], Iterator[Row]]:
    delimiter = (
        "\t" if path.suffix.lower() == ".tsv" and feeder.delimiter == "," else (feeder.delimiter)
    )
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quotechar=feeder.quote, strict=True
    )

    def rows() -> Iterator[Row]:
        while True:
            first = reader.line_num + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise PlanError(f"{path}, line {first}: {error}; see to its quotes") from error
            if values:  # else it is an empty line
                yield f"{path}, line {first}", values

    found = rows()
    return feeder.names or next(found, ("", ()))[1], found


def _json_lines(text: str, path: Path, names: Sequence[str]) -> tuple[Sequence[str], Iterator[Row]]:
    """Returns the columns and rows of JSON lines: objects or, with names, arrays."""

    def lines() -> Iterator[tuple[str, Any]]:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                where = f"{path}, line {number}"
                try:
                    yield where, msgspec.json.decode(line)
                except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
                    raise PlanError(f"{where}: it is not JSON: {error}") from error

    if not names:
        return _objects(lines())
    return names, ((where, _array(where, value)) for where, value in lines())


def _array(where: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise PlanError(f"{where}: it is no array; leave `names` out where lines are objects")
    return value


def _objects(found: Iterable[tuple[str, Any]]) -> tuple[Sequence[str], Iterator[Row]]:
    """Returns the columns of the first object, and the rows, with the same fields."""
    waiting = iter(found)
    begin = next(waiting, None)
    if begin is None:
        return (), iter(())
    columns = list(_object(*begin))

    def rows() -> Iterator[Row]:
        yield begin[0], list(begin[1].values())
        for where, value in waiting:
            row = _object(where, value)
            odd = [name for name in columns if name not in row] or [
                name for name in row if name not in columns
            ]
            if odd:
                raise PlanError(
                    f"{where}: it {'lacks' if odd[0] in columns else 'has'} the field {odd[0]!r},"
                    f" unlike the first row ({_names(columns)}); give all rows the same fields"
                )
            yield where, [row[name] for name in columns]

    return columns, rows()


def _object(where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise PlanError(
            f"{where}: it is {type(value).__name__}, not fields by their names; write an object,"
            ' as {"name": "value"}'
        )
    return value


def _python(data: bytes, path: Path) -> tuple[Sequence[str], Iterator[Row]]:
    """Returns what the function of a Python file returns or yields."""
    try:
        source = decode_source(data)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: {error}") from error
    made: Callable[..., Any] = load(
        PythonSession(name=ROWS_FUNCTION, file=str(path), function=ROWS_FUNCTION, source=source)
    )

    def objects() -> Iterator[tuple[str, Any]]:
        number = 0
        try:
            for number, row in enumerate(made(), 1):
                yield f"row {number} of {path}", row
        except (Exception, SystemExit) as error:  # the author's code may fail in any way
            raise PlanError(
                f"{path}: {ROWS_FUNCTION}() failed after {number} rows:"
                f" {type(error).__name__}: {error}"
            ) from error

    return _objects(objects())


def _names(columns: Sequence[str]) -> str:
    return ", ".join(columns[:SHOWN]) + (", …" if len(columns) > SHOWN else "")


def file_name_in(text: str, folder: Path) -> bool:
    """Returns whether a text that should be a file's lines is the name of a file."""
    name = text.strip()
    if not name or "\n" in name or len(name) > 255 or "\0" in name:
        return False
    suffix = Path(name).suffix.lower()
    try:
        return (suffix in DATA_FILES and " " not in name) or (folder / name).is_file()
    except OSError:  # a name that no file may have
        return False
