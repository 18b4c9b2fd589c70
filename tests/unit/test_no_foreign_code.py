"""Nothing that came over a wire is ever run.

There is no eval and no shell, exec in one place, for sessions alone, and pickle in one, for the
journal.
"""

import ast

import pytest

from tests.unit.test_layers import MODULES

FORBIDDEN_MODULES = {
    "pickle",
    "_pickle",
    "cPickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "code",
    "codeop",
    "yaml",
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
FORBIDDEN_METHODS = {
    ("os", "system"),
    ("os", "popen"),
    ("subprocess", "getoutput"),
    ("asyncio", "create_subprocess_shell"),
}
EXCEPT = {
    "loadgen.plan.session_file": {"compile", "exec"},
    "loadgen.plan.session_tree": {"compile"},
    "coordinator.storage.snapshot": {"pickle"},
}
"""A session's file is looked at where the plan is made, and run where the agent was started with
--allow-sessions. The snapshot of a journal comes over no wire, and its reader takes classes of the
pure layers alone: tests/unit/coordinator/storage/test_snapshot.py."""


def breaches(source: str) -> set[str]:
    """Returns the calls and imports of a module that could run what it was given."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names} & FORBIDDEN_MODULES
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").partition(".")[0]} & FORBIDDEN_MODULES
        elif isinstance(node, ast.Call):
            found |= called(node)
    return found


def called(call: ast.Call) -> set[str]:
    """The forbidden things that one call is."""
    function = call.func
    found = {"shell=True" for word in call.keywords if word.arg == "shell"}
    if isinstance(function, ast.Name):
        found |= {function.id} & FORBIDDEN_CALLS
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        found |= (
            {function.attr} if (function.value.id, function.attr) in FORBIDDEN_METHODS else set()
        )
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_runs_nothing_that_it_was_given(module):
    assert breaches(MODULES[module].read_text()) == EXCEPT.get(module, set())


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "eval('1')",
        "exec(x)",
        "subprocess.run('x', shell=True)",
        "os.system('x')",
        "import yaml",
    ],
)
def test_a_breach_is_found(source):
    assert breaches(source)


def loads_sessions(source: str) -> bool:
    """True when a module imports what runs a session's file."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return any(
        node.module == "loadgen.plan.session_file" and "load" in {name.name for name in node.names}
        for node in found
    )


def test_sessions_are_run_by_workers_alone():
    """A worker gets one only from an agent that runs with --allow-sessions.

    See test_sessions.py. Python files of --feeder are the operator's own; a plan names none.
    """
    assert {name for name, path in MODULES.items() if loads_sessions(path.read_text())} == {
        "loadgen.plan.feeder_file",
        "loadgen.worker.build",
        "loadgen.worker.call",
        "loadgen.worker.main",
    }
