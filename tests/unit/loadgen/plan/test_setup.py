"""A plan's setup: its functions as code that travels, and what is shown of it."""

import pytest

from loadgen.errors import PlanError
from loadgen.plan.feeder import Feeder
from loadgen.plan.plan import Plan
from loadgen.plan.script import Connect
from loadgen.plan.sessions import Script, SessionFile
from loadgen.plan.setup import SetupSpec

NEIGHBOUR = SessionFile(path="words.txt", sha256="5a", text="secret words")
SETUP = SetupSpec(file="shop/setup.py", teardown="clear", source="x = 1\n", files=(NEIGHBOUR,))
SCRIPT = Script(name="s", steps=(Connect(),))


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


def test_what_it_returns_is_a_variable_of_scripts_that_nothing_else_is():
    rows = Feeder(rows=({"data": 1},), columns=("data",))

    assert Plan(setup=SETUP, sessions=(SCRIPT,), params={"a": 1}).variables_of("s") == ("data", "a")
    assert Plan(setup=SETUP, params={"data": 1}).setup == SETUP  # no script reads it
    for clash in ({"params": {"data": 1}}, {"feeders": (rows,)}):
        with pytest.raises(PlanError, match="`setup` gives scripts the variable 'data', which is"):
            Plan(setup=SETUP, sessions=(SCRIPT,), **clash)
