"""The files that travel with a session, and the libraries that it needs."""

import ast
import os
import sys
from pathlib import Path

import msgspec
import pytest

from loadgen.errors import PlanError
from loadgen.plan.session_file import read_session
from loadgen.plan.session_tree import (
    entry_of,
    file_of,
    files_in,
    folder_in,
    imports_in,
    missing_libraries,
    neighbours,
    parse,
    source_of,
    wrong_file,
)
from loadgen.plan.sessions import MAX_BYTES, MAX_FILES, PythonSession, SessionFile

GOOD = "async def session(user): ...\n"


def write(folder: Path, **files: str | bytes) -> None:
    """Writes files; `__` in a name is a slash, a last `_` the dot of the suffix."""
    for name, content in files.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        path = folder / (f"{stem}.{suffix}" if stem else suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def paths(files: tuple[SessionFile, ...]) -> list[str]:
    return [file.path for file in files]


def test_a_folder_travels_without_what_is_no_part_of_it(tmp_path):
    write(
        tmp_path,
        session_py=GOOD,
        helpers_py="x = 1\n",
        data__words_txt="ä\n",
        data__photo_jpg=b"\xff\xd8",
        __pycache____a_pyc=b"x",
        helpers_pyc=b"x",
        venv__pyvenv_cfg="",
        venv__lib__big_py="",
        runs__one__plan_toml="",
        runs__one__run_json="",
        node_modules__x_js="",
    )
    write(tmp_path / ".git", config_txt="")
    (tmp_path / "__pycache__").mkdir(exist_ok=True)
    (tmp_path / "inside.txt").symlink_to("data/words.txt")

    files = files_in(tmp_path, "session.py")

    assert paths(files) == ["data/photo.jpg", "data/words.txt", "helpers.py", "inside.txt"]
    assert [file.data for file in files[:2]] == [b"\xff\xd8", "ä\n".encode()]
    assert (files[0].text, files[1].base64) == ("", b"")
    assert msgspec.json.decode(msgspec.json.encode(files), type=type(files)) == files or list(
        msgspec.json.decode(msgspec.json.encode(files), type=list[SessionFile])
    ) == list(files)


def test_the_session_of_a_folder_is_in_one_of_two_files(tmp_path):
    write(tmp_path, __init___py="")
    (tmp_path / "__init__.py").write_text(GOOD)
    assert entry_of(tmp_path) == "__init__.py"
    write(tmp_path, session_py=GOOD)
    assert entry_of(tmp_path) == "session.py"
    with pytest.raises(PlanError, match=r"it has no session\.py"):
        entry_of(tmp_path / "none")


def test_what_can_not_travel_is_refused_in_one_line(tmp_path):
    (tmp_path / "out").symlink_to("/etc/hostname")
    with pytest.raises(PlanError, match=r"out: it is a link out of .*; copy the file instead"):
        files_in(tmp_path, "")
    (tmp_path / "out").unlink()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(PlanError, match=r"circle: .*; move it out, or make it readable"):
        files_in(tmp_path, "")
    (tmp_path / "circle").unlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PlanError, match="pipe: it is no regular file"):
        files_in(tmp_path, "")
    with pytest.raises(PlanError, match="none: No such file or directory"):
        files_in(tmp_path / "none", "")


def test_files_and_bytes_are_bounded(tmp_path):
    write(tmp_path, big_bin=b"x" * MAX_BYTES)
    assert len(files_in(tmp_path, "")) == 1
    write(tmp_path, more_txt="x")
    with pytest.raises(PlanError, match=r"more than 500 files or 8 MiB would travel .*more\.txt"):
        files_in(tmp_path, "")
    (tmp_path / "big.bin").unlink()
    for number in range(MAX_FILES):
        (tmp_path / f"f{number}").touch()
    with pytest.raises(PlanError, match="more than 500 files"):
        files_in(tmp_path, "")


def test_a_file_takes_along_what_it_imports_and_names(tmp_path):
    source = (
        "import json, helpers, unrelated.x\nfrom shop import cart\n"
        "from pathlib import Path\nopen(Path(__file__).with_name('words.txt'))\n"
        "'no.txt', '.env', '/etc/hosts.txt', '', 7, 'helpers.py', '\\n.txt', 'x' * 300\n"
        f"{'y' * 180 + '.' + 'z' * 19!r}, 'a' + {'/.'.join('abc')!r}\n{GOOD}"
    )
    write(
        tmp_path,
        chat_py=source,
        helpers_py="import chat, more\nfrom helpers import x\n",
        more_py="",
        json_py="1 / 0",
        words_txt="a",
        shop____init___py="",
        shop__cart_py="from . import till\nimport late\n",
        shop__till_py="",
        late_py="",
        other_py="",
    )
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / ".env").write_text("secret")

    found = neighbours(tmp_path / "chat.py", source, "chat.py")

    assert paths(found) == [
        "helpers.py",
        "late.py",
        "more.py",
        "shop/__init__.py",
        "shop/cart.py",
        "shop/till.py",
        "words.txt",
    ]


def test_a_name_that_no_file_may_have_is_no_neighbour(tmp_path):
    source = f"{'a' * 100 + '/' + 'b' * 90 + '.x'!r}\n'loop/x.txt'\n" + GOOD
    (tmp_path / "loop").symlink_to("loop")

    assert neighbours(tmp_path / "chat.py", source, "chat.py") == ()


def test_a_relative_import_needs_the_folder(tmp_path):
    with pytest.raises(
        PlanError, match=r"chat\.py:1: a relative import needs its whole package; give --session"
    ):
        neighbours(tmp_path / "chat.py", "from .x import y\n", "shop/chat.py")


def test_a_mistake_in_a_neighbour_has_its_place(tmp_path):
    write(tmp_path, helpers_py="def (\n")
    with pytest.raises(PlanError, match=r"^sub/helpers\.py:1: invalid syntax"):
        neighbours(tmp_path / "chat.py", "import helpers\n", "sub/chat.py")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = (\n", "a.py:1: '\\(' was never closed"),
        ("\0", "a.py"),
        ("(" * 5000, "a.py"),
        ("-" * 100_000 + "1", "a.py"),
    ],
)
def test_what_is_not_python_is_refused_with_its_line(source, words):
    with pytest.raises(PlanError, match=words):
        parse(source, "a.py")


def test_a_text_that_is_not_there_or_not_as_declared_is_refused(tmp_path):
    with pytest.raises(PlanError, match="give the path of a Python file"):
        source_of(tmp_path / "none.py")
    write(tmp_path, odd_py="# coding: klingon\n")
    with pytest.raises(PlanError, match="unknown encoding: klingon"):
        source_of(tmp_path / "odd.py")


def test_imports_that_a_file_can_do_without_are_optional():
    source = (
        "import a.b as c\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import d\nelse:\n    import e\n"
        "try:\n    import f\nexcept ImportError:\n    import g\nelse:\n    import h\n"
        "finally:\n    import i\n"
        "try:\n    import j\nexcept KeyError:\n    pass\n"
        "try:\n    import k\nexcept:\n    pass\n"
        "def late():\n    from ..x import y\n"
    )
    found = {
        one.name or one.names[0]: (one.level, one.line, one.optional)
        for one in imports_in(ast.parse(source))
    }

    assert {name for name, (_, _, optional) in found.items() if optional} == set("dfgk")
    assert found["a.b"] == (0, 1, False)
    assert found["x"][0] == 2


def test_missing_libraries_are_named_with_place_and_fix(tmp_path):
    source = (
        "import json, msgspec, helpers, yaml_not_here.x\n"
        "try:\n    import optional_not_here\nexcept ImportError: pass\n"
        "from shop import cart, no_module\nfrom shop.deep.er import x\nfrom helpers import *\n"
    )
    write(
        tmp_path,
        helpers_py="def late():\n    import numpy_not_here\n",
        unused_py="import unused_not_here\n",
        shop____init___py="",
        shop__cart_py="from . import till\nfrom .deep import er\n",
        shop__till_py="import till_not_here, helpers\n",
        shop__deep__er_py="from ..till import x\nfrom ... import beyond\n",
    )
    (tmp_path / "shop" / "__init__.py").write_text("")
    session = PythonSession(name="chat", file="sub/chat.py", source=source)

    missing = missing_libraries(session, tmp_path)

    assert [(library.name, library.where) for library in missing] == [
        ("numpy_not_here", "sub/helpers.py:2"),
        ("till_not_here", "sub/shop/till.py:1"),
        ("yaml_not_here", "sub/chat.py:1"),
    ]
    assert str(missing[0]) == (
        "lacks the library numpy_not_here, which sub/helpers.py:2 imports: run"
        f" {sys.executable} -m pip install numpy_not_here on that machine"
    )
    assert [one.name for one in missing_libraries(session, None)] == [
        "helpers",
        "shop",
        "yaml_not_here",
    ]


def test_a_module_without_a_spec_is_a_missing_library(monkeypatch):
    monkeypatch.delitem(sys.modules, "odd_module", raising=False)

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "odd_module":
                raise ImportError(name)

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    session = PythonSession(name="chat", file="chat.py", source="import odd_module\n")

    assert [one.name for one in missing_libraries(session, None)] == ["odd_module"]


def test_a_file_that_was_altered_is_named():
    good, bad = file_of("a", b"1"), msgspec.structs.replace(file_of("b", b"1"), text="2")
    session = PythonSession(name="chat", file="chat.py", files=(good,))

    assert wrong_file(session) == ""
    assert wrong_file(msgspec.structs.replace(session, files=(good, bad))) == "b"


def test_sessions_of_one_folder_share_it():
    one = PythonSession(name="one", file="shop/one.py")
    two = PythonSession(name="two", file="shop/two.py")
    other = PythonSession(name="other", file="two.py")

    assert folder_in("", one) is None
    assert folder_in("/t", one) == folder_in("/t", two)
    assert folder_in("/t", one).name == "shop"
    assert folder_in("/t", other).name == "session_files"


@pytest.mark.parametrize("path", ["", "/a", "../a", "a/../b", "a//b", "./a", "a\0"])
def test_a_path_out_of_the_folder_is_refused(path):
    with pytest.raises(ValueError, match="write a path inside the session's folder"):
        SessionFile(path=path)


def test_a_session_is_read_with_its_folder_and_hashes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, shop__session_py=GOOD, shop__words_txt="a")

    session = read_session(Path("shop"))

    assert (session.name, session.file) == ("shop", "shop/session.py")
    assert paths(session.files) == ["words.txt"]
    assert session.without_data.files[0].data == b""
    assert session.without_data.files[0].sha256 == session.files[0].sha256


def test_a_text_that_no_file_may_be_named_is_no_data_file(tmp_path):
    write(tmp_path, chat_py=f"{GOOD}NAME = '{'é' * 150}.csv'\n")
    source = (tmp_path / "chat.py").read_text()

    assert neighbours(tmp_path / "chat.py", source, "chat.py") == ()
