"""The rows of a feeder, from files of all formats and from the plan itself."""

import msgspec
import pytest

from loadgen.errors import PlanError
from loadgen.plan import feeder_file
from loadgen.plan.feeder import Feeder
from loadgen.plan.feeder_file import feeder_of, file_name_in, keep_rows, with_rows

CSV = 'id,name\nu0,"Doe, Jo ""0"""\n\nu1,"two\nlines"\n'
OBJECTS = [{"id": "u0", "name": 'Doe, Jo "0"'}, {"id": "u1", "name": "two\nlines"}]


def read(folder, name, content, **changes):
    """The rows of a file as objects."""
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)
    return objects(with_rows(Feeder(file=name, **changes), folder))


def objects(feeder):
    rows = [msgspec.json.decode(line) for line in feeder.table.splitlines()]
    assert feeder.count == len(rows)
    return [dict(zip(feeder.columns, row, strict=True)) for row in rows]


def test_csv_has_a_header_quotes_empty_lines_and_line_breaks(tmp_path):
    assert read(tmp_path, "users.csv", CSV) == OBJECTS
    assert read(tmp_path, "users.csv", b"\xef\xbb\xbf" + CSV.encode()) == OBJECTS
    assert read(tmp_path, "users.txt", CSV.replace("\n", "\r\n"), format="csv")[0] == OBJECTS[0]


def test_csv_has_other_signs_encodings_and_no_header(tmp_path):
    semicolons = "u0;'Jö; 0'\n".encode("latin-1")
    changes = {"delimiter": ";", "quote": "'", "encoding": "latin-1", "names": ("id", "name")}
    assert read(tmp_path, "a.csv", semicolons, **changes) == [{"id": "u0", "name": "Jö; 0"}]
    assert read(tmp_path, "a.tsv", "id\tname\nu0\ta,b\n") == [{"id": "u0", "name": "a,b"}]


def test_json_lines_keep_their_types_in_any_order_of_fields(tmp_path):
    lines = '{"id": 1, "tags": ["a"]}\n\n{"tags": null, "id": 2.5}\n'
    assert read(tmp_path, "users.jsonl", lines) == [
        {"id": 1, "tags": ["a"]},
        {"id": 2.5, "tags": None},
    ]
    assert read(tmp_path, "users.ndjson", '["a", 1]\n', names=("id", "n")) == [{"id": "a", "n": 1}]


def test_a_python_function_yields_rows(tmp_path):
    source = "def rows():\n    for n in range(2):\n        yield {'id': n}\n"
    assert read(tmp_path, "users.py", source) == [{"id": 0}, {"id": 1}]
    assert read(tmp_path, "users.py", "def rows():\n    return [{'id': 'x'}]\n") == [{"id": "x"}]


def test_rows_stand_in_the_plan():
    feeder = with_rows(Feeder(rows=tuple(OBJECTS)), None)

    assert objects(feeder) == OBJECTS
    assert feeder.rows == tuple(OBJECTS)


def test_the_same_rows_have_the_same_hash_in_any_format(tmp_path):
    (tmp_path / "users.csv").write_text(CSV)
    csv = with_rows(Feeder(file="users.csv"), tmp_path)
    inline = with_rows(Feeder(rows=tuple(OBJECTS), sha256=csv.sha256), tmp_path)

    assert csv.sha256 == inline.sha256
    with pytest.raises(PlanError, match="`sha256` does not match the rows of feeder 'users'"):
        with_rows(Feeder(rows=tuple(OBJECTS[:1]), sha256=csv.sha256), tmp_path)


def test_kept_rows_are_read_again_and_are_their_owners(tmp_path):
    feeder = with_rows(Feeder(rows=tuple(OBJECTS), mode="shared"), None)
    keep_rows([feeder], tmp_path)
    keep_rows([feeder], tmp_path)

    again = with_rows(feeder.kept, tmp_path)

    assert (again.table, again.sha256) == (feeder.table, feeder.sha256)
    assert (tmp_path / "feeders" / "users.jsonl").stat().st_mode & 0o777 == 0o600


UNUSABLE = {
    "too few fields": ("a.csv", "id,n\nu\n", {}, "a.csv, line 2: 1 fields, but there are 2"),
    "too many fields": ("a.csv", "id\nu,\n", {}, "a.csv, line 2: 2 fields"),
    "a line after one of several": ("a.csv", 'id,n\n"a\nb",1\nu\n', {}, "a.csv, line 4: 1 field"),
    "an open quote": ("a.csv", 'id\n"u\n', {}, "a.csv, line 2: unexpected end of data"),
    "a header alone": ("a.csv", "id,n\n", {}, "feeder 'users' has no row"),
    "nothing": ("a.csv", "", {}, "has no row"),
    "nothing of JSON": ("a.jsonl", "\n", {}, "has no row"),
    "a column without a name": ("a.csv", "id,\nu,1\n", {}, "column 2 has the name ''"),
    "a column twice": ("a.csv", "id,id\nu,1\n", {}, "column 2 has the name 'id', as another"),
    "many columns": ("a.csv", "a,b,c,d,e,f\n1\n", {}, r"6 columns \(a, b, c, d, e, …\)"),
    "no UTF-8": ("a.csv", b"id\nu\n\xff\n", {}, "a.csv, line 3: it is not utf-8"),
    "a null in an encoding": ("a.csv", "id\nu\n", {"encoding": "a\0b"}, "give another `encoding`"),
    "no such encoding": ("a.csv", "id\nu\n", {"encoding": "klingon"}, "unknown encoding: klingon"),
    "no JSON": ("a.jsonl", '{"id": 1}\n{"id"\n', {}, "a.jsonl, line 2: it is not JSON"),
    "no object": ("a.jsonl", "[1]\n", {}, "a.jsonl, line 1: it is list, not fields"),
    "an object for names": ("a.jsonl", '{"id": 1}', {"names": ("id",)}, "it is no array"),
    "a field less": ("a.jsonl", '{"a":1,"b":2}\n{"a":1}', {}, "line 2: it lacks the field 'b'"),
    "a field more": ("a.jsonl", '{"a":1}\n{"a":1,"b":2}', {}, "line 2: it has the field 'b'"),
    "no format": ("users.dat", "id\nu\n", {}, "its name does not say what it holds"),
    "no function": ("a.py", "x = 1\n", {}, "rows is not a function"),
    "no Python": ("a.py", "def rows(:\n", {}, "a.py"),
    "no encoding of Python": ("a.py", b"# coding: klingon\n", {}, "a.py: "),
    "a failure": ("a.py", "def rows():\n    yield {'a': 1}\n    1 / 0\n", {}, "after 1 rows: Zero"),
    "an exit": ("a.py", "def rows():\n    raise SystemExit(3)\n", {}, "after 0 rows: SystemExit"),
    "no iterable": ("a.py", "def rows():\n    return 5\n", {}, "failed after 0 rows: TypeError"),
    "no JSON type": ("a.py", "def rows():\n    yield {'a': object()}\n", {}, "row 1 of .*JSON"),
    "a surrogate": ("a.py", "def rows():\n    yield {'a': '\\ud800'}\n", {}, "row 1 of .*JSON"),
}


@pytest.mark.parametrize(
    ("name", "content", "changes", "why"), UNUSABLE.values(), ids=UNUSABLE.keys()
)
def test_rows_that_can_not_be_used_are_refused_with_their_place(
    tmp_path, name, content, changes, why
):
    with pytest.raises(PlanError, match=why):
        read(tmp_path, name, content, **changes)


def test_a_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises(PlanError, match=r"users.csv: No such file or directory; give the path"):
        with_rows(Feeder(file="users.csv"), tmp_path)
    with pytest.raises(PlanError, match="null byte; give the path"):
        with_rows(Feeder(file="a\0.csv"), tmp_path)


def test_rows_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(feeder_file, "MAX_ROWS_BYTES", 100)
    with pytest.raises(PlanError, match="more than 0 MiB of rows"):
        read(tmp_path, "a.csv", "id\n" + "u\n" * 60)
    with pytest.raises(PlanError, match="more than 0 MiB of rows"):
        read(tmp_path, "a.csv", "id\n" + "u" * 300)
    with pytest.raises(PlanError, match="more than 0 MiB of rows"):
        with_rows(Feeder(file="/dev/zero", format="csv"), tmp_path)


@pytest.mark.parametrize(
    ("text", "file", "name", "mode", "at_end"),
    [
        ("users.csv", "users.csv", "users", "unique", "fail"),
        ("a b/ü.csv:shared", "a b/ü.csv", "_", "shared", "fail"),
        ("users.csv:stop", "users.csv", "users", "unique", "stop"),
        ("users.csv:wrap", "users.csv", "users", "unique", "wrap"),
        ("users.csv:random", "users.csv", "users", "random", "fail"),
        ("C:users.csv", "C:users.csv", "C_users", "unique", "fail"),
        (".csv:unique", ".csv", "_csv", "unique", "fail"),
    ],
)
def test_a_command_line_names_file_and_mode(text, file, name, mode, at_end):
    feeder = feeder_of(text)

    assert (feeder.file, feeder.name) == (file, name)
    assert (feeder.mode, feeder.at_end) == (mode, at_end)


def test_a_misspelt_mode_is_answered_with_the_nearest(tmp_path):
    (tmp_path / "users.csv").write_text("id\n1\n")
    with pytest.raises(PlanError, match=r"users.csv: 'uniqe' is no mode .*; did you mean 'unique'"):
        feeder_of(f"{tmp_path}/users.csv:uniqe")
    with pytest.raises(PlanError, match="; write one of unique, stop, wrap, shared, random"):
        feeder_of(f"{tmp_path}/users.csv:x")

    (tmp_path / "users.csv:x").write_text("id\n1\n")
    assert feeder_of(f"{tmp_path}/users.csv:x").file == f"{tmp_path}/users.csv:x"


def test_the_name_of_a_file_is_told_from_its_lines(tmp_path):
    (tmp_path / "names").write_text("a\nb\n")

    assert file_name_in("users.csv", tmp_path)
    assert file_name_in(" data/users.jsonl\n", tmp_path)
    assert file_name_in("names", tmp_path)
    for text in ("", "alice", "a.csv\nb.csv", "see users.csv", "x" * 300, "a\0b", "ä" * 200):
        assert not file_name_in(text, tmp_path)
