"""The process that calls a plan's setup or teardown.

`python -m loadgen.worker.call` takes the call from standard input, writes what came of it as one
line, and ends. It has an interpreter of its own, so the function may block, and what it leaves
behind is gone with it.
"""

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, NoReturn

import msgspec
import uvloop

from loadgen.plan.session_file import LoadError, failure_line, failure_traceback, load
from loadgen.plan.session_tree import folder_in, missing_libraries
from loadgen.plan.setup import MAX_DATA
from loadgen.process import end_with_parent, leave_ending_to_owner, set_process_name
from loadgen.wire import Called, ErrandCall, from_wire, to_wire
from loadgen.worker.main import CapturedOutput, take_pipe


def called(call: ErrandCall) -> Called:
    """Calls the function, and returns the result, or the problem; raises nothing."""
    missing = missing_libraries(call.code, folder_in(call.tree, call.code))
    if missing:
        return Called(problem="; ".join(map(str, missing)))
    try:
        function = load(call.code, call.tree)
        result = _result_of(function, msgspec.json.decode(call.argument))
    except LoadError as error:
        return Called(problem=str(error), traceback=error.traceback)
    except BaseException as error:  # the function may fail in any way, also by sys.exit
        return Called(
            problem=failure_line(call.code, error), traceback=failure_traceback(call.code, error)
        )
    try:
        return Called(data=json_of(result))
    except ValueError as error:
        return Called(problem=f"{call.code.file}: {call.code.function} returned {error}")


def _result_of(function: Callable[[Any], Any], argument: Any) -> Any:
    result = function(argument)
    return uvloop.run(_awaited(result)) if isawaitable(result) else result


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


def json_of(value: Any) -> bytes:
    """Returns a value as JSON.

    Raises ValueError, whose text goes on after "returned".
    """
    try:
        data = json.dumps(value, allow_nan=False).encode()
        msgspec.json.decode(data)  # what agents and workers do with it
    except (TypeError, ValueError, RecursionError, msgspec.DecodeError) as error:
        raise ValueError(
            f"what JSON does not have ({error}); return dicts, lists, text, numbers, true, false"
            " and None"
        ) from error
    if len(data) > MAX_DATA:
        raise ValueError(
            f"{len(data):,} bytes of JSON, and {MAX_DATA:,} may be given to users; return less, or"
            " give rows of data by --feeder"
        )
    return data


def main() -> NoReturn:
    """Calls what standard input says, and writes what came of it."""
    end_with_parent(signal.SIGKILL)
    leave_ending_to_owner()
    set_process_name(b"loadgen-setup")
    call = from_wire(sys.stdin.buffer.read(), ErrandCall)
    printed = CapturedOutput()
    pipe = take_pipe(printed)
    sys.stderr = printed
    result = called(call)
    result.notes = printed.take()
    with os.fdopen(pipe, "wb") as output:
        output.write(to_wire(result))
    os._exit(0)  # a thread that the function has left behind keeps nothing waiting


if __name__ == "__main__":
    main()
