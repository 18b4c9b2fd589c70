"""The file of a plan's setup is read, and its mistakes have their line."""

import hashlib

import pytest

from loadgen.errors import PlanError
from loadgen.plan.setup import SetupSpec
from loadgen.plan.setup_file import read_setup, with_setup_source

BOTH = "def setup(params):\n    return 5\n\nasync def teardown(data):\n    pass\n"


@pytest.fixture
def file(tmp_path):
    """Writes setup.py and returns its path."""

    def write(text):
        path = tmp_path / "setup.py"
        path.write_text(text)
        return path

    return write


def test_a_file_is_read_with_its_hash_and_its_teardown(file):
    path = file(BOTH)
    setup = read_setup(path)

    assert (setup.file, setup.function, setup.teardown) == (str(path), "setup", "teardown")
    assert (setup.source, setup.sha256) == (BOTH, hashlib.sha256(BOTH.encode()).hexdigest())
    path.unlink()
    assert with_setup_source(setup, path.parent) == setup


def test_a_file_without_teardown_has_none(file):
    assert read_setup(file("def setup(params): ...\n")).teardown == ""
    kept = SetupSpec(file="setup.py", teardown="")
    assert with_setup_source(kept, file(BOTH).parent).teardown == ""


def test_functions_may_have_other_names_and_come_from_elsewhere(file, tmp_path):
    (tmp_path / "rooms.py").write_text("def clear(data): ...\n")
    path = file("from rooms import clear\n\n@print\ndef fill(): ...\n")
    setup = with_setup_source(
        SetupSpec(file="setup.py", function="fill", teardown="clear"), tmp_path
    )

    assert [found.path for found in setup.files] == ["rooms.py"]
    assert read_setup(path, "fill").function == "fill"


def test_a_folder_travels_with_all_its_files(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "session.py").write_text(BOTH)
    (tmp_path / "shop" / "words.txt").write_text("words")
    setup = read_setup(tmp_path / "shop")

    assert (setup.file, setup.files[0].path) == (str(tmp_path / "shop/session.py"), "words.txt")


@pytest.mark.parametrize(
    ("text", "teardown", "why"),
    [
        ("x = 1\n", None, r"setup\.py: no function 'setup'; write def setup\(params\) or async"),
        ("\ndef setup(): ...\n", None, r"setup\.py:2: setup does not take one argument; write def"),
        ("def setup(params):\n    yield\n", None, r"setup\.py:1: setup has a yield"),
        (BOTH, "clear", r"setup\.py: no function 'clear'; write def clear\(data\) or async"),
        (BOTH + "def clear(): ...\n", "clear", r"setup\.py:6: clear does not take one argument"),
        ("def setup(\n", None, r"setup\.py:1: "),
    ],
)
def test_a_file_that_can_not_be_called_is_refused_with_its_line(file, text, teardown, why):
    with pytest.raises(PlanError, match=why):
        with_setup_source(SetupSpec(file="setup.py", teardown=teardown), file(text).parent)
