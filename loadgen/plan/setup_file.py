"""The Python file of a plan's setup and teardown, read and checked without a run."""

import ast
from pathlib import Path

from msgspec.structs import replace

from loadgen.errors import PlanError
from loadgen.plan.session_file import binds, own_nodes, takes_one, with_source
from loadgen.plan.session_tree import parse
from loadgen.plan.sessions import PythonSession
from loadgen.plan.setup import SETUP, TEARDOWN, SetupSpec


def read_setup(path: Path, function: str = "") -> SetupSpec:
    """Returns the setup in a file or a folder, with what travels with it.

    Raises PlanError, with file and line, when it can't be called.
    """
    return with_setup_source(SetupSpec(file=str(path), function=function or SETUP), Path())


def with_setup_source(setup: SetupSpec, folder: Path) -> SetupSpec:
    """Returns the setup with its source, its files, their hashes, and its teardown.

    Without a source they are read from its file, relative to a folder. Raises PlanError when one of
    its functions can't be called.
    """
    code = with_source(setup.code(), folder, _check_setup)
    teardown = setup.teardown
    if teardown is None:
        there = any(binds(node, TEARDOWN) for node in parse(code.source, code.file).body)
        teardown = TEARDOWN if there else ""
    if teardown:
        _check(replace(code, function=teardown), "data")
    return replace(
        setup,
        file=code.file,
        teardown=teardown,
        source=code.source,
        sha256=code.sha256,
        files=code.files,
    )


def _check_setup(code: PythonSession) -> None:
    _check(code, "params")


def _check(code: PythonSession, argument: str) -> None:
    """Raises PlanError, with file and line, unless the function takes one argument."""
    file, function = code.file, code.function
    fix = f"write def {function}({argument}) or async def {function}({argument})"
    named = [node for node in parse(code.source, file).body if binds(node, function)]
    if not named:
        raise PlanError(f"{file}: no function {function!r}; {fix}")
    node = named[-1]
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return  # only running it shows what that is
    if any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in own_nodes(node)):
        raise PlanError(f"{file}:{node.lineno}: {function} has a yield; it only returns")
    if not node.decorator_list and not takes_one(node.args):
        raise PlanError(f"{file}:{node.lineno}: {function} does not take one argument; {fix}")
