"""The table of reasons is complete and consistent.

It is the only place of their names.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.net.dialer import reason_of
from loadgen.stats import reasons
from loadgen.stats.reasons import (
    REASONS,
    Reason,
    fault_of,
    is_reason,
    is_sessions_own,
    names_of,
    row_of,
    unexpected,
)

ROOT = Path(__file__).parents[4]
NAMES = {row.name for row in REASONS if not row.is_family}
PREFIXES = {row.prefix for row in REASONS if row.is_family and row.prefix}
CONSTANTS = {
    value
    for name, value in vars(reasons).items()
    if re.fullmatch("[A-Z][A-Z_]*", name) and isinstance(value, str)
}
ENDING = {"ScriptEnd", "_close_all", "abort", "begin_close", "failed", "give_up", "leave"}
"""The functions that end a connection or a user; their first argument is the reason."""


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("done", "nobody"),
        ("no_fd", "generator"),
        ("lost", "generator"),
        ("timeout", "network"),
        ("refused", "server"),
        ("http_503", "server"),
        ("server_1006", "server"),
        ("rejected_1008", "server"),
        ("error_KeyError", "session"),
        ("something_new", "unknown"),
    ],
)
def test_each_reason_has_its_fault(reason, fault):
    assert fault_of(reason) == fault


@pytest.mark.parametrize(
    ("kind", "reason", "name"),
    [
        ("failed", "reset", "reset"),
        ("failed", "http_503", "http_<status>"),
        ("failed", "error_KeyError", "error_<name>"),
        ("failed", "eperm", "<errno>"),
        ("closed", "server_eof", "server_eof"),
        ("closed", "server_1001", "server_<code>"),
        ("closed", "error_timeout", "error_timeout"),
        ("closed", "error_KeyError", "error_<name>"),
        ("closed", "tired", "<reason>"),
    ],
)
def test_a_reason_has_its_own_row_or_the_row_of_its_family(kind, reason, name):
    assert (row_of(kind, reason).kind, row_of(kind, reason).name) == (kind, name)


@pytest.mark.parametrize(
    ("kind", "name", "known"),
    [
        ("failed", "timeout", True),
        ("failed", "http_503", True),
        ("failed", "http_50x", False),
        ("failed", "server_1001", False),
        ("failed", "eperm", True),
        ("failed", "errno_4711", True),
        ("failed", "timeouts", False),
        ("closed", "server_1001", True),
        ("closed", "server_", False),
        ("closed", "error_KeyError", True),
        ("closed", "error_Key Error", False),
        ("closed", "tired", False),
    ],
)
def test_a_name_is_a_reason_or_is_not(kind, name, known):
    assert is_reason(kind, name) == known


@pytest.mark.parametrize("kind", ["failed", "closed"])
def test_every_listed_name_is_a_reason(kind):
    names = names_of(kind)

    assert all(is_reason(kind, name) for name in names)
    assert {row.name for row in REASONS if row.kind == kind and not row.is_family} <= {*names}
    assert ("http_503" if kind == "failed" else "server_1001") in names


def test_an_end_is_unexpected_unless_plan_operator_or_session_asked_for_it():
    asked = {"done": 5, "drained": 4, "churn": 3, "storm": 2, "tired": 1}
    not_asked = {"server_1001": 1, "server_eof": 2, "reset": 3, "ping_timeout": 4}
    not_asked |= {"protocol_error": 5, "rejected_1008": 6, "error_KeyError": 7}

    assert unexpected(asked | not_asked | {"message_too_big": 0}) == not_asked


def test_no_row_is_repeated():
    assert len({(row.kind, row.name) for row in REASONS}) == len(REASONS)


def test_a_name_has_the_same_fault_in_both_kinds():
    faults = {(row.name, row.fault) for row in REASONS}

    assert len(faults) == len({row.name for row in REASONS})


def test_every_constant_has_a_row():
    assert CONSTANTS == NAMES | PREFIXES


@pytest.mark.parametrize("row", REASONS, ids=lambda row: f"{row.kind} {row.name}")
def test_every_row_says_what_the_reason_means_and_how_to_fix_it(row: Reason):
    assert row.meaning[0].islower() or row.meaning.startswith(("Appwrite", "TCP"))
    assert not row.meaning.endswith(".")
    assert row.fix[0].isupper()
    assert row.fix.endswith(".")
    assert "|" not in row.meaning + row.fix


def test_only_closes_that_were_asked_for_are_no_error_to_tsung():
    assert {row.name for row in REASONS if row.tsung is None} == {
        row.name for row in REASONS if row.kind == "closed" and row.is_expected
    }


@pytest.mark.parametrize("code", range(200))
def test_every_errno_has_a_row(code):
    assert reason_of(code) in NAMES or row_of("failed", reason_of(code)).name == "<errno>"


@pytest.mark.parametrize(
    "path",
    [
        path
        for folder in ("net", "sessions", "worker")
        for path in sorted((ROOT / "loadgen" / folder).rglob("*.py"))
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_code_that_ends_connections_takes_the_reason_from_the_table(path):
    tree = ast.parse(path.read_text())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    given = [
        node.args[0]
        for node in calls
        if getattr(node.func, "attr", getattr(node.func, "id", "")) in ENDING
    ]

    assert [argument for argument in given if isinstance(argument, ast.Constant)] == []
    assert set(texts_in(tree)) & (NAMES | PREFIXES) == set()


def texts_in(tree: ast.Module) -> Iterator[str]:
    """Yields every string of a module, except for the names in `__slots__`."""
    attributes = {
        id(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__"
        for name in ast.walk(node.value)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in attributes:
            yield str(node.value)


@pytest.mark.parametrize(
    ("reason", "own"),
    [("done", True), ("bored", True), ("drained", False), ("error_KeyError", False)],
)
def test_a_sessions_own_reasons_are_those_of_its_end_and_of_its_closes(reason, own):
    assert is_sessions_own(reason) is own
