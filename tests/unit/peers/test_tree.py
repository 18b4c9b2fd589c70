import os
import subprocess
import sys

from tests.peers.tree import cpu_of, mib_of, reaped_seconds

STAT = "7 (a (b) c) S 1 7 7 0 -1 4194560 9 8 0 0 150 20 300 45 20 0 1 0 99"
BUSY = "import time\nwhile time.process_time() < 0.1: pass"


def test_the_time_of_reaped_children_is_user_and_kernel():
    assert reaped_seconds(STAT) == 3.45


def test_the_cpu_of_a_child_that_has_ended_counts():
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}]); print(1)"
    words = [sys.executable, "-c", f"{script}\ninput()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()

        assert cpu_of(running.pid) >= 0.1

        running.kill()


def test_a_process_has_memory():
    assert mib_of(os.getpid()) > 1


def test_a_child_that_has_ended_and_is_not_waited_for_has_none():
    with subprocess.Popen(["true"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays

        assert mib_of(os.getpid()) > 1
