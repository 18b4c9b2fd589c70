"""A session file: the checks without running it, and what happens when it runs."""

import sys
import traceback
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest

from loadgen.errors import PlanError
from loadgen.plan.session_file import (
    LoadError,
    check_function,
    check_session,
    digest,
    load,
    read_session,
    with_source,
)
from loadgen.plan.session_tree import folder_in

GOOD = "async def session(user):\n    await user.connect()\n"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes chat.py, from text or bytes, into the current folder; returns its path."""
    monkeypatch.chdir(tmp_path)

    def write(source: str | bytes, name: str = "chat.py") -> Path:
        path = Path(name)
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return path

    return write


def test_a_file_becomes_a_session_of_the_plan(written):
    session = read_session(written(GOOD))

    assert (session.name, session.file, session.function) == ("chat", "chat.py", "session")
    assert (session.source, session.sha256) == (GOOD, digest(GOOD))
    assert msgspec.json.decode(msgspec.json.encode(session), type=type(session)) == session


def test_another_function_gives_the_session_its_name(written):
    session = read_session(written("async def login(user): ...\n"), "login")

    assert (session.name, session.function) == ("login", "login")


@pytest.mark.parametrize(
    "source",
    [
        "def session(user): ...\nasync def session(user): ...\n",
        "async def session(user, room='lobby', /, *, size=3): ...\n",
        "async def session(*users): ...\n",
        (
            "async def session(user):\n    def numbers():\n        yield 1\n    await"
            " user.think(next(numbers()))\n"
        ),
        "@decorated\nasync def session(): ...\n",
        b"# -*- coding: latin-1 -*-\nasync def session(user):\n    await user.send('caf\xe9')\n",
        b"\xef\xbb\xbfasync def session(user): ...\r\n",
        "import no_such_module\nasync def session(user): ...\n",
    ],
)
def test_a_file_with_a_session_is_accepted(written, source):
    check_session(read_session(written(source)))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "",
            (
                "chat.py: no function 'session'; the file has no async def; write FILE.py:NAME,"
                " or async def"
            ),
        ),
        (
            "async def login(user): ...\nasync def logout(user): ...\n",
            "no function 'session'; the file has login, logout;",
        ),
        (
            "\ndef session(user): ...\n",
            "chat.py:2: session is not an async def; write async def session(user)",
        ),
        ("class session: ...\n", "chat.py:1: session is not an async def"),
        ("session = 3\n", "chat.py:1: session is not an async def"),
        (f"{GOOD}def session(user): ...\n", "chat.py:3: session is not an async def"),
        ("async def session(): ...\n", "chat.py:1: session does not take one user"),
        ("async def session(user, room): ...\n", "chat.py:1: session does not take one user"),
        ("async def session(user, *, room): ...\n", "chat.py:1: session does not take one user"),
        ("async def session(*, user): ...\n", "chat.py:1: session does not take one user"),
        (
            "async def session(user):\n    yield 1\n",
            "chat.py:1: session has a yield; a session only awaits",
        ),
        ("async def session(user):\n  if (\n", "chat.py:2: '(' was never closed"),
        (f"{GOOD}return 3\n", "chat.py:3: 'return' outside function"),
        (f"{GOOD}def now(): await it\n", "chat.py:3: 'await' outside async function"),
        (f"{GOOD}\0", "chat.py"),
        (
            b"async def session(user): ...  # caf\xe9\n",
            "chat.py: invalid or missing encoding declaration",
        ),
        (b"# coding: klingon\n", "chat.py: unknown encoding: klingon"),
        ("(" * 5000, "chat.py"),
        ("x = " + "-" * 100_000 + "1\n", "chat.py"),
    ],
)
def test_a_file_without_a_session_is_a_mistake_with_file_and_line(written, source, words):
    with pytest.raises(PlanError) as mistake:
        read_session(written(source))

    assert words in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_a_file_that_cannot_be_read_is_one_line(written, tmp_path):
    written(GOOD)
    with pytest.raises(
        PlanError, match=r"none\.py: No such file or directory; give the path of a Python file"
    ):
        read_session(Path("none.py"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(PlanError, match=r"it has no session\.py; write async def session"):
        read_session(tmp_path / "empty")


# --- Imported -------------------------------------------------------------------------------------
# --------------------


async def test_the_function_is_imported_from_the_text_alone(written):
    path = written(
        "from dataclasses import dataclass\n@dataclass\nclass Room:\n    name: str\n"
        + GOOD
        + "room = Room('x')\n"
    )
    session = read_session(path)
    path.unlink()

    function = load(session)

    assert function.__globals__["room"].name == "x"
    assert load(session) is function
    assert function.__globals__["__file__"] == "chat.py"


async def test_two_sessions_of_a_file_share_what_it_keeps(written):
    path = written(
        "kept = []\nasync def one(user): kept.append(1)\nasync def two(user): kept.append(2)\n"
    )

    for name in ("one", "two", "one"):
        await load(read_session(path, name))(None)

    assert load(read_session(path, "two")).__globals__["kept"] == [1, 2, 1]


def test_a_file_hides_no_module_that_has_its_name(written):
    load(read_session(written(GOOD, "dataclasses.py")))

    assert sys.modules["dataclasses"].replace is replace


async def test_tracebacks_show_the_lines_of_a_file_that_is_not_here(written):
    path = written("async def session(user):\n    raise KeyError('boom')  # here\n")
    session = read_session(path)
    path.unlink()

    try:
        await load(session)(None)
    except KeyError as error:
        shown = "".join(traceback.format_exception(error))

    assert 'File "chat.py", line 2, in session' in shown
    assert "raise KeyError('boom')  # here" in shown


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "\nimport no_such_module\n",
            "chat.py:2: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("def fail():\n    1 / 0\nfail()\n", "chat.py:2: ZeroDivisionError: division by zero"),
        (
            "import json\njson.loads('{')\n",
            "chat.py:2: json.decoder.JSONDecodeError: Expecting property name",
        ),
        ("raise SystemExit(3)\n", "chat.py:1: SystemExit: 3"),
        ("raise KeyboardInterrupt\n", "chat.py:1: KeyboardInterrupt"),
        ("raise ValueError('a\\nb')\n", "chat.py:1: ValueError: a b"),
        ("exec('if')\n", "chat.py:1: SyntaxError: invalid syntax"),
        ("del session\n", "chat.py: session is not a function once the file has run"),
        ("session = 3\n", "chat.py: session is not a function once the file has run"),
    ],
)
def test_a_file_that_fails_while_it_is_imported_is_one_line_and_a_traceback(written, source, words):
    session = msgspec.structs.replace(
        read_session(written(GOOD)), source=source if "session" not in source else GOOD + source
    )

    for _ in range(2):
        with pytest.raises(LoadError) as failure:
            load(session)

        assert words in str(failure.value)
        assert "\n" not in str(failure.value)
        assert "sessionfile.py" not in failure.value.traceback
        assert failure.value.traceback.count("Traceback") <= 1


@pytest.mark.parametrize(
    "source",
    ["from chat import session\n", "import session\n", "session = make()\n", "session = other\n"],
)
def test_what_only_running_the_file_shows_is_taken_as_it_is(written, source):
    assert read_session(written(source)).source == source


def test_a_source_that_does_not_fit_its_hash_is_refused(written):
    session = read_session(written(GOOD))

    assert with_source(session, Path()) == session
    with pytest.raises(PlanError, match=r"`sha256` does not match chat\.py"):
        with_source(msgspec.structs.replace(session, source=GOOD + "\n"), Path())


# --- With files beside it -------------------------------------------------------------------------


def placed(tmp_path, path, monkeypatch):
    """Reads a session and writes it where an agent would; returns both."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    session = read_session(path)
    folder = folder_in(str(tmp_path / "tree"), session)
    for name, data in [
        (Path(session.file).name, session.source.encode()),
        *((file.path, file.data) for file in session.files),
    ]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return session, str(tmp_path / "tree")


def test_neighbours_and_data_are_found_where_the_agent_has_them(written, tmp_path, monkeypatch):
    written("def fail():\n    raise KeyError('boom')\n", "helpers_beside.py")
    written("hello", "greeting.txt")
    written("1 / 0\n", "json.py")
    written(
        "import json\nfrom pathlib import Path\nimport helpers_beside\n"
        "HELLO = Path(__file__).with_name('greeting.txt').read_text()\n" + GOOD
    )
    session, tree = placed(tmp_path, Path("chat.py"), monkeypatch)
    for name in ("helpers_beside.py", "greeting.txt", "chat.py"):
        Path(name).unlink()

    globals_ = load(session, tree).__globals__

    assert globals_["HELLO"] == "hello"
    assert load(session, tree).__globals__ is globals_
    with pytest.raises(KeyError) as raised:
        globals_["helpers_beside"].fail()
    shown = "".join(traceback.format_exception(raised.value))
    assert 'File "helpers_beside.py", line 2, in fail' in shown
    assert "raise KeyError('boom')" in shown


@pytest.mark.parametrize(
    ("entry", "folder"),
    [("session.py", "my_shop"), ("__init__.py", "my_mall"), ("session.py", "ast")],
)
def test_a_folder_may_be_a_package(written, tmp_path, monkeypatch, entry, folder):
    (tmp_path / folder / "rooms").mkdir(parents=True)
    written("", f"{folder}/__init__.py")
    written("from .rooms.lobby import NAME\n" + GOOD, f"{folder}/{entry}")
    written("NAME = 'lobby'\n", f"{folder}/rooms/lobby.py")
    session, tree = placed(tmp_path, Path(folder), monkeypatch)

    assert load(session, tree).__globals__["NAME"] == "lobby"
    assert sys.modules["ast"].__name__ == "ast"
    assert list(Path(tree).rglob("*.pyc")) == []


@pytest.mark.parametrize(
    ("helper", "words"),
    [
        ("def go():\n    1 / 0\ngo()\n", "shop_{}/helpers_{}.py:2: ZeroDivisionError: division"),
        ("x = (\n", "shop_{}/helpers_{}.py:1: SyntaxError: '(' was never closed"),
        ("open('none')\n", "travel with --session FOLDER"),
    ],
)
def test_a_failure_names_the_line_in_the_file_of_its_author(
    written, tmp_path, monkeypatch, helper, words
):
    number = len(helper)
    (tmp_path / f"shop_{number}").mkdir()
    written(f"import helpers_{number}\n{GOOD}", f"shop_{number}/session.py")
    written(helper, f"shop_{number}/helpers_{number}.py")
    session, tree = placed(tmp_path, Path(f"shop_{number}"), monkeypatch)

    with pytest.raises(LoadError) as failure:
        load(session, tree)

    assert words.format(number, number) in str(failure.value)
    assert "importlib" not in failure.value.traceback


def test_files_in_a_plan_have_their_hashes_and_a_source(written):
    written("hello", "greeting.txt")
    session = read_session(written("open('greeting.txt')\n" + GOOD))
    altered = msgspec.structs.replace(
        session, files=(msgspec.structs.replace(session.files[0], text="x"),)
    )

    with pytest.raises(PlanError, match=r"`files` has greeting\.txt with another SHA-256"):
        with_source(altered, Path())
    with pytest.raises(PlanError, match="`files` is what a run directory keeps"):
        with_source(msgspec.structs.replace(session, source=""), Path())


def test_what_a_file_makes_its_session_has_to_take_one_user(written):
    session = read_session(written("session = other\n"))

    check_function(session, lambda user: None)
    check_function(session, dict.fromkeys)
    check_function(session, min)
    with pytest.raises(LoadError, match=r"chat\.py:\d+: session does not take one user"):
        check_function(session, lambda: None)
    with pytest.raises(LoadError, match=r"chat\.py: session does not take one user"):
        check_function(session, partial(lambda: None))


def test_a_module_that_the_folder_lacks_is_missing_and_others_are_found(
    written, tmp_path, monkeypatch
):
    (tmp_path / "my_mill").mkdir()
    written("", "my_mill/__init__.py")
    written(f"import wsgiref.simple_server\nfrom . import none\n{GOOD}", "my_mill/session.py")
    session, tree = placed(tmp_path, Path("my_mill"), monkeypatch)

    with pytest.raises(LoadError, match="cannot import name 'none'"):
        load(session, tree)
