"""A plan's setup: its functions as code that travels, and what is shown of it."""

from loadgen.plan.plan import Plan
from loadgen.plan.sessions import SessionFile
from loadgen.plan.setup import SetupSpec

NEIGHBOUR = SessionFile(path="words.txt", sha256="5a", text="secret words")
SETUP = SetupSpec(file="shop/setup.py", teardown="clear", source="x = 1\n", files=(NEIGHBOUR,))


def test_its_functions_are_code_with_the_files_that_travel():
    code, other = SETUP.code(), SETUP.code("clear")

    assert (code.file, code.function, code.source) == ("shop/setup.py", "setup", "x = 1\n")
    assert (other.function, other.files) == ("clear", (NEIGHBOUR,))


def test_it_is_shown_without_its_text_and_the_data_of_its_files():
    shown = Plan(setup=SETUP).redacted().setup

    assert (shown.file, shown.teardown, shown.source) == ("shop/setup.py", "clear", "")
    assert shown.files == (SessionFile(path="words.txt", sha256="5a"),)
    assert Plan().redacted().setup is None


def test_its_code_is_that_of_agents_beside_the_sessions():
    assert Plan(setup=SETUP).python_code == (SETUP.code(),)
    assert Plan().python_code == ()
