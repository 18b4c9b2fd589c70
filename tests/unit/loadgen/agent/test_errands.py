"""The errands of an agent: each in a process of its own, within a bound."""

import asyncio
import os

from loadgen.agent.errands import Errands, perform
from loadgen.plan.sessions import PythonSession
from loadgen.plan.setup import SetupSpec
from loadgen.wire import Called, Errand, ErrandCall
from tests.processes import children
from tests.unit.wire_ends import until

PATIENCE = 60.0
TEXT = """
import os, time

def setup(params):
    return {"room": params["room"]}

def teardown(data):
    print("cleared", data["room"])

def hang(params):
    time.sleep(1000)

def die(params):
    os._exit(3)
"""


def call(function, argument=b'{"room": 5}'):
    code = PythonSession(name="setup", file="prepare.py", function=function, source=TEXT)
    return ErrandCall(code, "", argument)


async def test_a_function_is_called_in_a_process_of_its_own():
    assert await perform(call("setup"), PATIENCE) == Called(data=b'{"room": 5}')


async def test_a_function_that_takes_too_long_is_ended():
    found = await perform(call("hang"), 0.01)

    assert found.problem == (
        "prepare.py: hang took longer than 0.01 s; give it more by `timeout` in [setup]"
    )


async def test_a_process_that_dies_is_a_problem_with_its_exit_code():
    found = await perform(call("die"), PATIENCE)

    assert found.problem == "prepare.py: die ended with exit code 3"


def errands(**changes):
    """Returns the errands of an agent, and what they tell."""
    told = []
    setup = SetupSpec(**{"file": "prepare.py", "teardown": "teardown", "source": TEXT} | changes)
    return Errands(setup, {"room": 5}, "", lambda *what: told.append(what)), told


async def test_a_setup_and_a_teardown_are_called_once_each():
    running, told = errands()
    setup = Errand(1, "setup")
    running.follow(setup)
    running.follow(setup)
    await until(lambda: running.result is not None, PATIENCE)
    assert (running.result.number, running.result.data) == (1, b'{"room": 5}')
    running.follow(None)
    assert running.result is None

    running.follow(Errand(2, "teardown", b'{"room": 7}'))
    await until(lambda: running.result is not None, PATIENCE)

    assert (running.result.number, running.result.data, running.result.problem) == (2, b"", "")
    assert [(kind, done.notes) for kind, done in told] == [
        ("setup", ()),
        ("teardown", ("printed: cleared 7",)),
    ]


async def test_an_errand_that_is_not_asked_for_any_more_is_given_up():
    running, told = errands(function="hang")
    running.follow(Errand(1, "setup"))
    await asyncio.sleep(0)  # its process starts
    running.follow(Errand(2, "setup"))
    await until(lambda: children(os.getpid()), PATIENCE)
    running.follow(None)
    await until(lambda: len(asyncio.all_tasks()) == 1, PATIENCE)

    assert (running.result, told, children(os.getpid())) == (None, [], [])


async def test_a_process_that_can_not_start_is_a_problem(monkeypatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    running, _ = errands()
    running.follow(Errand(1, "setup"))
    await until(lambda: running.result is not None, PATIENCE)

    assert running.result.problem.startswith("its process can't start: ")
