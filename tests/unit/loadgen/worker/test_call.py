"""The process that calls setup and teardown, and what comes of a call."""

import subprocess
import sys

import pytest

from loadgen.plan.sessions import PythonSession
from loadgen.plan.setup import MAX_DATA
from loadgen.wire import Called, ErrandCall, from_wire, to_wire
from loadgen.worker.call import called, json_of


def call(text, *, function="setup", argument=b'{"n": 2}'):
    """Returns the call of a function in a text."""
    return ErrandCall(
        PythonSession(name="setup", file="prepare.py", function=function, source=text), "", argument
    )


def test_a_function_gets_its_argument_and_its_result_is_json():
    assert called(call("def setup(params): return [params['n']] * 2")).data == b"[2, 2]"
    assert called(call("def setup(params): pass")).data == b"null"


def test_an_async_function_is_awaited():
    text = "import asyncio\nasync def setup(params):\n    await asyncio.sleep(0)\n    return 'ok'"

    assert called(call(text)) == Called(data=b'"ok"')


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def setup(params):\n    return params['x']", "prepare.py:2: KeyError: 'x'"),
        ("import sys\ndef setup(params):\n    sys.exit(3)", "prepare.py:3: SystemExit: 3"),
        ("def setup(params): return {1, 2}", "prepare.py: setup returned what JSON does not have"),
        ("1 / 0", "prepare.py:1: ZeroDivisionError: division by zero"),
        ("setup = 5", "prepare.py: setup is not a function once the file has run"),
        ("import nowhere_at_all", "lacks the library nowhere_at_all, which prepare.py:1 imports"),
    ],
)
def test_what_fails_is_one_line_with_its_place(text, problem):
    found = called(call(text))

    assert problem in found.problem
    assert "\n" not in found.problem


def test_a_function_that_raises_has_a_traceback():
    found = called(call("def setup(params):\n    raise ValueError('no room')"))

    assert found.traceback.startswith("Traceback")
    assert found.traceback.endswith("ValueError: no room\n")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "what JSON does not have (Out of range"),
        ({(1, 2): 3}, "what JSON does not have (keys must be"),
        (object(), "what JSON does not have (Object of type object"),
        ("\ud800", "what JSON does not have ("),
        ("x" * MAX_DATA, "1,048,578 bytes of JSON, and 1,048,576 may be given to users"),
    ],
)
def test_a_result_that_users_can_not_have_is_refused(value, why):
    with pytest.raises(ValueError) as caught:
        json_of(value)

    assert why in str(caught.value)


def test_the_process_answers_with_one_line_whatever_the_function_prints():
    text = (
        "import os\ndef setup(params):\n    print('hello')\n    os.write(1, b'more')\n    return 5"
    )
    done = subprocess.run(
        [sys.executable, "-m", "loadgen.worker.call"],
        input=to_wire(call(text)),
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert from_wire(done.stdout, Called) == Called(data=b"5", notes=("printed: hello",))
    assert done.stderr == b"more"
