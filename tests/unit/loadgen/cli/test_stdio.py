"""Standard output that nobody reads, or that is full, ends no program."""

import errno
import os
import subprocess
import sys

import pytest

from loadgen.cli.stdio import Outlet
from loadgen.cli.unread import MAX_WAITING
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


def drained(reading: int, until: bytes) -> bytes:
    """Reads a pipe up to and with these bytes, its last ones."""
    data = b""
    while not data.endswith(until):
        data += os.read(reading, 65536)
    return data


def test_a_decoupled_outlet_writes_everything_in_order():
    reading, writing = os.pipe()
    outlet = Outlet(writing)
    outlet.decouple()
    lines = [b"%d\n" % number for number in range(1000)]
    for line in lines:
        assert outlet.write(line) == len(line)

    assert drained(reading, lines[-1]) == b"".join(lines)
    outlet.finish(PATIENCE)
    assert outlet.write(b"coupled again\n") == 14
    assert os.read(reading, 100) == b"coupled again\n"


def test_a_reader_that_stops_stops_no_writer_and_gets_the_newest_when_it_goes_on():
    reading, writing = os.pipe()
    outlet = Outlet(writing)
    outlet.decouple()
    line = b"x" * 999 + b"\n"
    count = 3 * MAX_WAITING // len(line)
    for _ in range(count):
        outlet.write(line)
    outlet.write(b"the end\n")
    outlet.finish(0.0)

    got = drained(reading, b"the end\n").splitlines()
    # More than once where the thread takes what waits meanwhile.
    dropped = sum(int(text.split()[1]) for text in got if b"not shown" in text)
    assert got.count(line.rstrip()) == count - dropped
    assert dropped * len(line) > MAX_WAITING


def test_a_decoupled_command_ends_though_nothing_reads_its_last_words():
    code = (
        "import sys; from loadgen.cli import stdio; stdio.LAST_TIMEOUT = 0.1; stdio.decouple();"
        " print('x' * 1_000_000); stdio.finish(); stdio.finish(); sys.exit(7)"
    )
    reading, writing = os.pipe()
    process = subprocess.run(
        [sys.executable, "-c", SETTLED + code], stdout=writing, timeout=PATIENCE, check=False
    )

    assert process.returncode == 7
    os.close(writing)
    os.close(reading)


def test_a_process_forked_from_a_decoupled_one_writes_by_itself():
    done = python(
        "import os; from loadgen.cli.stdio import decouple, finish; decouple();"
        " print('parent', flush=True); pid = os.fork();"
        " print('child' if not pid else 'parent', flush=True);"
        " os._exit(0) if not pid else os.waitpid(pid, 0); finish()"
    )

    assert sorted(done.stdout.split()) == [b"child", b"parent", b"parent"]
