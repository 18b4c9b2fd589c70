"""Plays a script: walks each user through the program that all of them share.

A user between two steps holds one coroutine, its variables, and a number. Blocks are jumps, so nothing nests.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from loadgen.behaviour import Script
from loadgen.errors import PlanError
from loadgen.performance import Over, Performance
from loadgen.program import program_of
from loadgen.session import ConnectFailed, ConnectionEnded
from loadgen.user import Session, User

PATIENCE = 256
"""Acts in a row, after which others get their turn: a loop without think times must not stall the worker."""


def player_of(script: Script, files: Mapping[str, str], receive_timeout: float) -> Session:
    """The session that plays this script; raises PlanError, naming the script, where it can't be played."""
    try:
        program = program_of(script.steps, files, receive_timeout)
    except PlanError as error:
        raise PlanError(f"session {script.name!r}: {error}") from error
    size = len(program)

    async def play(user: User) -> None:
        performance = Performance(user)
        at = acts = 0
        try:
            while at < size:
                went: Any = program[at](performance)
                if went is not None and not isinstance(went, int):
                    went = await went
                at = at + 1 if went is None else went
                acts += 1
                if acts % PATIENCE == 0:
                    await asyncio.sleep(0)
        except Over as over:
            performance.close(str(over))
        except (ConnectFailed, ConnectionEnded):
            pass  # the ledger has the reason
        performance.finish()

    return play
