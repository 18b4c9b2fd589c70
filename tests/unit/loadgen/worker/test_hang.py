"""A process that hangs writes its stack when it is asked."""

import os
import signal
import subprocess
import sys

import pytest

from loadgen.process import ASK_WHERE
from loadgen.worker.hang import running_session
from tests.unit.loads import idle_user

NO_SESSION = """
import signal
from loadgen.worker.hang import tell_when_asked
tell_when_asked(2)
def linger():
    print(flush=True)
    while True:
        {line}
linger()
"""


@pytest.mark.parametrize("line", ["pass", "__import__('time').sleep(600)"])
def test_a_process_that_is_asked_writes_its_stack_and_goes_on(line):
    with subprocess.Popen(
        [sys.executable, "-c", NO_SESSION.format(line=line)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(ASK_WHERE)
        lines = [process.stderr.readline().decode() for _ in range(2)]
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert lines[0].endswith("(most recent call first):\n")
    assert lines[1].rstrip().endswith("in linger")


async def test_the_session_that_runs_is_found_in_a_stack():
    found = []

    def deeper():
        found.append(running_session(sys._getframe()))

    async def session(user):
        deeper()

    assert running_session(sys._getframe()) == running_session(None) == ""
    user = idle_user(7)
    user.coroutine = session(user)
    user._go_on(None)
    line = session.__code__.co_firstlineno + 1
    assert found == [f"in session mine of user 7 ({os.path.basename(__file__)}:{line})"]
