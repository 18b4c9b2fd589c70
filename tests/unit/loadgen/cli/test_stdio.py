"""Standard output that nobody reads, or that is full, ends no program."""

import errno
import os
import subprocess
import sys

import pytest

from loadgen.cli.stdio import Outlet
from tests.processes import PATIENCE

SETTLED = "from loadgen.cli.stdio import settle; outlet = settle(); "


def python(code: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Runs code in an interpreter whose descriptors a shell has redirected."""
    line = ["sh", "-c", f'exec "$0" -c "$1" {shell}', sys.executable, SETTLED + code]
    return subprocess.run(
        line, env=os.environ | environment, capture_output=True, timeout=PATIENCE, check=False
    )


def test_an_outlet_that_nobody_reads_takes_everything_and_does_not_fail():
    reading, writing = os.pipe()
    os.close(reading)
    outlet = Outlet(writing)

    assert [outlet.write(b"abc"), outlet.write(b"defg")] == [3, 4]
    assert outlet.failure is None
    os.close(writing)


def test_an_outlet_that_is_full_remembers_why():
    descriptor = os.open("/dev/full", os.O_WRONLY)
    outlet = Outlet(descriptor)

    assert [outlet.write(b"abc"), outlet.write(b"def")] == [3, 3]
    assert outlet.failure is not None
    assert outlet.failure.errno == errno.ENOSPC
    os.close(descriptor)


def test_an_outlet_that_is_busy_writes_nothing_and_does_not_fail():
    """As io.RawIOBase.write has it for a descriptor that does not block."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    outlet = Outlet(writing)
    while outlet.write(b"x" * 65536):
        pass

    assert outlet.failure is None
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("shell", ["", "<&- >&- 2>&-"])
def test_closed_descriptors_are_opened(shell):
    """Else the next file would get one of their numbers."""
    done = python("import os; print(os.dup(0) > 2 and input is not None)", shell)

    assert done.returncode == 0
    assert done.stdout in (b"True\n", b"")


def test_signs_that_an_encoding_lacks_become_question_marks():
    done = python("print('a–b', outlet.failure)", PYTHONIOENCODING="ascii")

    assert done.stdout == b"a?b None\n"
