"""The fork server: real forks, real pipes, real ends."""

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loadgen.forkserver import ForkServer, Program
from tests.processes import PATIENCE, children, eventually, is_gone

PROGRAMS = "tests.unit.loadgen.programs"


@asynccontextmanager
async def serving(*modules):
    """A fork server; it has ended after the block."""
    server = ForkServer(*modules)
    try:
        yield server
    finally:
        server.close()


def program(function, *arguments, last_signal=signal.SIGKILL):
    return Program(f"{PROGRAMS}:{function}", "a-program", arguments, last_signal)


@asynccontextmanager
async def started(server, a_program, *more):
    """A process, and the descriptors from which its output and its errors are read."""
    output, write_output = os.pipe()
    errors, write_errors = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    process = await server.start(a_program, [nothing, write_output, write_errors, *more])
    for descriptor in (nothing, write_output, write_errors):
        os.close(descriptor)
    try:
        yield process, output, errors
    finally:
        process.send_signal(signal.SIGKILL)
        os.close(output)
        os.close(errors)
        async with asyncio.timeout(PATIENCE):
            await process.ended


def comm(pid):
    """Returns the name of a process."""
    return Path(f"/proc/{pid}/comm").read_text().rstrip()


def command_line(pid):
    """Returns the command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").replace("\0", " ")


async def whole(descriptor):
    """Returns what is read to the end of a pipe."""

    def read():
        with open(os.dup(descriptor), "rb") as file:
            return file.read().decode()

    return await asyncio.to_thread(read)


async def line(descriptor):
    """Returns the next part of a pipe that comes in one piece."""
    return (await asyncio.to_thread(os.read, descriptor, 100)).decode()


async def test_a_process_has_its_arguments_its_descriptors_and_no_others(tmp_path):
    with (tmp_path / "rows").open("wb") as rows:
        async with (
            serving(PROGRAMS) as server,
            started(server, program("tells", "--name", "x"), rows.fileno()) as (
                process,
                output,
                _,
            ),
        ):
            told = json.loads(await whole(output))
            assert await process.ended == 0

    assert told["arguments"] == ["a-program", "--name", "x"]
    assert told["input"] == ""
    assert told["descriptors"] == [0, 1, 2, 3, 4]  # the listing itself is the last one
    assert "SIGTERM" not in told["ignored"]


async def test_it_has_its_name_and_the_server_for_a_parent():
    async with (
        serving(PROGRAMS) as server,
        started(server, program("waits", "--secret", "x" * 1000)) as (_, output, _),
    ):
        assert await line(output) == "runs\n"
        (fork_server,) = [pid for pid in children(os.getpid()) if children(pid)]
        (pid,) = children(fork_server)

        assert (comm(pid), comm(fork_server)) == ("a-program", "loadgen-fork")
        assert command_line(pid).startswith("a-program --secret")
        assert command_line(fork_server) == "loadgen-fork"
        assert os.getsid(pid) == fork_server


@pytest.mark.parametrize(
    ("function", "code", "complaint"),
    [
        ("exits", 7, ""),
        ("complains", 1, "no such thing\n"),
        ("fails", 1, "LookupError: a bug\n"),
        ("there_is_none", 1, "has no attribute 'there_is_none'\n"),
    ],
)
async def test_it_ends_as_a_program_of_its_own_would(function, code, complaint):
    async with (
        serving() as server,
        started(server, program(function)) as (process, output, errors),
    ):
        assert await process.ended == code
        assert (await whole(errors)).endswith(complaint)
        assert await whole(output) == ""


async def test_a_signal_ends_one_process_and_leaves_the_others_alone():
    async with (
        serving(PROGRAMS) as server,
        started(server, program("waits")) as (first, _, _),
        started(server, program("waits")) as (second, output, _),
    ):
        assert await line(output) == "runs\n"
        second.send_signal(signal.SIGTERM)
        assert await second.ended == -signal.SIGTERM
        second.send_signal(signal.SIGTERM)  # to one that has ended: does no harm
        assert not first.ended.done()


async def test_all_end_with_their_server_by_the_last_signal_and_the_next_start_has_another():
    async with serving(PROGRAMS) as server:
        async with (
            started(server, program("waits")) as (killed, first, _),
            started(server, program("waits", last_signal=signal.SIGTERM)) as (ended, second, _),
        ):
            assert [await line(output) for output in (first, second)] == ["runs\n", "runs\n"]
            (pid,) = [pid for pid in children(os.getpid()) if children(pid)]
            os.kill(pid, signal.SIGKILL)

            assert (await killed.ended, await ended.ended) == (-signal.SIGKILL, -signal.SIGTERM)
            assert [await line(output) for output in (first, second)] == ["", ""]
        async with started(server, program("exits")) as (process, _, _):
            assert await process.ended == 7


async def test_a_start_that_nobody_awaits_any_more_does_no_harm(caplog):
    async with serving(PROGRAMS) as server:
        starting = asyncio.create_task(server.start(program("exits"), []))
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])
        async with started(server, program("exits")) as (process, _, _):
            assert await process.ended == 7
    assert starting.cancelled()
    assert caplog.records == []


async def test_a_closed_server_is_gone():
    async with serving(PROGRAMS) as server:
        async with started(server, program("exits")) as (process, _, _):
            await process.ended
        (pid,) = children(os.getpid())
    assert is_gone(pid)


async def test_a_kernel_that_does_not_fork_is_an_error():
    async with serving("tests.unit.loadgen.no_forks") as server:
        with pytest.raises(BlockingIOError) as caught:
            await server.start(program("exits"), [])
    assert caught.value.errno == errno.EAGAIN


async def test_a_server_that_can_not_start_ends_what_was_asked_of_it(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    async with serving() as server:
        process = await server.start(program("exits"), [])
        assert await process.ended == -signal.SIGKILL


FORKING = f"""
import asyncio, signal, sys
from loadgen.forkserver import ForkServer, Program

signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("before", end=" ")
server = ForkServer({PROGRAMS!r})
server.fork()
print("after", flush=True)

async def main():
    process = await server.start(Program("{PROGRAMS}:tells", "told"), [0, 1, 2])
    print(await process.ended)

asyncio.run(main())
server.close()
"""


def test_a_server_may_be_forked_from_its_owner():
    """Output that waits is written once, and ignored signals stay ignored.

    Exit codes are kept also where the owner ignores SIGCHLD.
    """
    done = subprocess.run(
        [sys.executable, "-c", FORKING], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    before, told, code = done.stdout.decode().splitlines()

    assert (before, code, done.stderr) == ("before after", "0", b"")
    assert json.loads(told)["arguments"] == ["told"]
    assert "SIGHUP" in json.loads(told)["ignored"]
    assert "SIGTERM" not in json.loads(told)["ignored"]


def test_a_server_ends_with_its_owner():
    """Also where that is killed and closes nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", f"{FORKING.partition('asyncio.run')[0]}\nsignal.pause()"],
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout.readline() == b"before after\n"
        (pid,) = children(owner.pid)
        owner.kill()
        eventually(lambda: is_gone(pid), "the server ends")
