"""Settings of a process in the kernel, and the text for its end."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadgen.process import ending_signals, how_it_ended, raise_nofile


@pytest.fixture
def limits():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_raises_the_soft_limit_to_the_hard_one(limits):
    hard = limits[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard // 2, hard))

    assert raise_nofile() == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_a_closed_terminal_ends_a_process_unless_nohup_said_otherwise():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= {*ending_signals()}
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert signal.SIGHUP not in ending_signals()
    finally:
        signal.signal(signal.SIGHUP, before)


def in_a_child(program: str) -> str:
    """Returns what this program prints in a Python process."""
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_no_signal_that_ends_a_process_ends_one_that_its_owner_ends():
    program = (
        "import os; from loadgen.process import _ENDING, leave_ending_to_owner as leave; leave();"
        " [os.kill(os.getpid(), number) for number in _ENDING]; print('lives', len(_ENDING))"
    )

    assert in_a_child(program) == "lives 6"


def test_runs_in_batches():
    program = (
        "import os; from loadgen.process import run_in_batches as run; run();"
        " print(os.sched_getscheduler(0))"
    )

    assert in_a_child(program) == str(os.SCHED_BATCH)


def test_runs_promptly_with_the_shortest_slice_of_the_kernel():
    program = (
        "from loadgen.process import run_promptly as run; run();"
        " print(open('/proc/self/sched').read())"
    )

    values = dict(line.split(":") for line in in_a_child(program).splitlines() if ":" in line)
    slice_of = {name.strip(): value.strip() for name, value in values.items()}

    assert slice_of["policy"] == str(os.SCHED_OTHER)
    assert float(slice_of.get("se.slice", 100_000)) == 100_000  # an older kernel has no such slice


def test_sets_the_name_that_ps_shows():
    program = (
        "from loadgen.process import set_process_name as name; name(b'me');"
        " print(open('/proc/self/comm').read())"
    )

    assert in_a_child(program) == "me"


def test_sets_the_command_line_that_ps_shows_and_shortens_it():
    code = (
        "from loadgen.process import set_command_line\n"
        "from pathlib import Path\n"
        "set_command_line(['a', 'b' * 10_000])\n"
        "print(Path('/proc/self/cmdline').read_text())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    shown = done.stdout.rstrip(b"\0\n")

    assert shown == b"a\0" + b"b" * (len(shown) - 2)
    assert len(shown) > 100


def test_a_child_ends_with_its_parent():
    program = """
import os, signal, time
from loadgen.process import end_with_parent
child = os.fork()
if not child:
    end_with_parent(signal.SIGKILL)
    time.sleep(60)
print(child, flush=True)
time.sleep(0.5)
os._exit(0)
"""
    child = int(in_a_child(program))
    while Path(f"/proc/{child}").exists():
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("code", "text"),
    [(0, "ended with exit code 0"), (3, "ended with exit code 3"), (-9, "was killed by SIGKILL")],
)
def test_how_it_ended(code, text):
    assert how_it_ended(code) == text
