"""The fork server as an agent starts it: real forks, real pipes, real ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import PATIENCE

WORKERS = 2


@contextmanager
def forked() -> Iterator[tuple["subprocess.Popen[bytes]", list[tuple[int, int]]]]:
    """A fork server, and the input and output pipes of its workers."""
    ours = []
    theirs = []
    with open(os.devnull, "wb") as errors:
        for _ in range(WORKERS):
            to_read, to_write = os.pipe()
            from_read, from_write = os.pipe()
            ours.append((to_write, from_read))
            theirs += [to_read, from_write, os.dup(errors.fileno())]
        command = [sys.executable, "-m", "loadgen.worker.forkserver", "-1", *map(str, theirs)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=theirs) as server:
            for descriptor in theirs:
                os.close(descriptor)
            try:
                yield server, ours
            finally:
                server.kill()
                for pipe in ours:
                    for descriptor in pipe:
                        os.close(descriptor)


def pid_of(pipe: tuple[int, int]) -> int:
    """The process id that a worker reports when it is ready."""
    return int(os.read(pipe[1], 100))


def test_it_forks_a_worker_for_each_three_descriptors_and_reports_each_end():
    with forked() as (server, pipes):
        first, second = map(pid_of, pipes)
        assert Path(f"/proc/{first}/comm").read_text() == "loadgen-worker\n"
        assert Path(f"/proc/{first}/stat").read_text().split()[3] == str(server.pid)

        os.kill(second, signal.SIGKILL)
        assert server.stdout.readline() == b"1 -9\n"
        os.write(pipes[0][0], b"no job\n")
        assert server.stdout.readline() == b"0 1\n"
        assert server.wait(PATIENCE) == 0


def test_the_workers_end_with_their_parent():
    with forked() as (server, pipes):
        for pipe in pipes:
            assert pid_of(pipe)
        server.kill()
        for _, output in pipes:
            assert os.read(output, 100) == b""  # the end of the worker is the end of its pipe


def test_each_worker_holds_only_its_own_three_descriptors():
    """Else a pipe would not end when its owner does."""
    with forked() as (_, pipes):
        for pid in map(pid_of, pipes):
            held = {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}
            assert len([number for number in held if _is_pipe(pid, number)]) <= 3


def _is_pipe(pid: int, number: int) -> bool:
    return os.readlink(f"/proc/{pid}/fd/{number}").startswith("pipe:")
