"""The errands of an agent: setup and teardown, each in a process of its own."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping

import msgspec

from loadgen.plan.params import Param
from loadgen.plan.setup import SETUP, TEARDOWN, SetupSpec
from loadgen.process import how_it_ended
from loadgen.wire import Called, Errand, ErrandCall, ErrandResult, from_wire, to_wire

MAX_STDERR = 65_536
"""Bytes of the process's standard error that are looked at: the last ones."""


async def perform(call: ErrandCall, seconds: float) -> Called:
    """Calls a function in a process of its own, within a number of seconds."""
    errors = os.memfd_create("call", os.MFD_CLOEXEC)
    try:
        starting = asyncio.create_task(_start(errors))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:  # a process that has half started would be left behind
            await _end(await starting)
            raise
        return await _answer(process, call, seconds, errors)
    finally:
        os.close(errors)


async def _start(errors: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "loadgen.worker.call"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=errors,
        start_new_session=True,  # signals of the terminal are for the agent
    )


async def _end(process: Process) -> None:
    """Kills the process if it still runs."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):  # it has ended just now
            process.kill()
        await process.communicate()


async def _answer(process: Process, call: ErrandCall, seconds: float, errors: int) -> Called:
    what = f"{call.code.file}: {call.code.function}"
    try:
        async with asyncio.timeout(seconds):
            answer, _ = await process.communicate(to_wire(call))
    except TimeoutError:
        return Called(
            problem=f"{what} took longer than {seconds:g} s; give it more by `timeout` in [setup]"
        )
    finally:
        await _end(process)
    with contextlib.suppress(msgspec.DecodeError):  # it has ended before its answer was whole
        return from_wire(answer, Called)
    assert process.returncode is not None
    lines = _last(errors).decode(errors="replace").strip().splitlines()
    return Called(problem=": ".join([f"{what} {how_it_ended(process.returncode)}", *lines[-1:]]))


def _last(errors: int) -> bytes:
    end = os.fstat(errors).st_size
    return os.pread(errors, MAX_STDERR, max(0, end - MAX_STDERR))


class Errands:
    """The errand that an agent has now, and what came of it."""

    def __init__(
        self,
        setup: SetupSpec,
        params: Mapping[str, Param],
        tree: str,
        told: Callable[[str, Called], None],
    ) -> None:
        """`tree` is the folder with its files; `told` gets each kind and its result."""
        self.result: ErrandResult | None = None
        """The result of the errand; None while there is none, or it is under way."""
        self._setup = setup
        self._params = to_wire(params)
        self._tree = tree
        self._told = told
        self._errand: Errand | None = None
        self._task: asyncio.Task[None] | None = None

    def follow(self, errand: Errand | None) -> None:
        """Begins an errand that is new; gives up one that is not asked for any more."""
        if errand == self._errand:
            return
        self.cancel()
        self._errand = errand
        if errand is not None:
            self._task = asyncio.create_task(self._run(errand))

    def cancel(self) -> None:
        """Gives up what is under way."""
        self.result = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, errand: Errand) -> None:
        setup = self._setup
        function, argument = setup.function, self._params
        if errand.kind == TEARDOWN:
            function, argument = setup.teardown or TEARDOWN, errand.data
        call = ErrandCall(setup.code(function), self._tree, argument)
        try:
            done = await perform(call, setup.timeout)
        except OSError as error:
            done = Called(problem=f"its process can't start: {error}")
        self._told(errand.kind, done)
        data = done.data if errand.kind == SETUP else b""
        self.result = ErrandResult(errand.number, data, done.problem)
