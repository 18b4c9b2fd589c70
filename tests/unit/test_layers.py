"""Imports point one way: a module may import what stands in a row above its own. A new module has to be given a row."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LOADGEN = (
    "version errors streams whereabouts allowance",
    "histogram arrivals frames handshake appwrite wheel drain capacity phases template pattern",
    "script jsonpath",
    "behaviour chance client stretch soundness",
    "phased lots adoption",
    "params plan tally sessionfile token",
    "fanin",
    "wire outbox",
    # up to here all is pure
    "target_url sources tls door",
    "planfile metrics notify monitor",
    # up to here the coordinator may import
    "book stream throttle printed control",
    "connection",
    "permit",
    "place",
    "machine",
    "limits tuning",
    "sysctls demand",
    "settings",
    "dialer session",
    "route websocket",
    "user",
    "role turnover performance",
    "engine request assignment",
    "program",
    "player",
    "playbill",
    "worker",
    "zygote crew",
    "pool",
    "engagement",
    "agent",
    "cli cli.*",
)
COORDINATOR = (
    "words packed hearing blame bars markup pauses hosts readings publicplan tsung tsung.element",
    "tsung.document tsung.options tsung.servers tsung.clients tsung.load",
    "tsung.request",
    "tsung.steps",
    "tsung.sessions tsung.silence",
    "tsung.cast",
    "tsung.configuration",
    "feed expect member news outline stages timeline",
    "roster course",
    "sharing vigil",
    "run report sample tsunglog discovery",
    "summary chronicle proof tsungstatus openapi",
    "live",
    # up to here all is pure
    "appender",
    "secondsfile",
    "certificate checks rundir journal display events pages controls watch",
    "htmlreport compare",
    "archive formats",
    "server",
    "local",
    "conduct",
    "dryrun",
    "cli.plans",
    "cli cli.coord cli.report",
)
LAST_PURE = {"loadgen": "wire", "coordinator": "live"}
LAST_FOR_COORDINATOR = "metrics"
TARGET = "loadgen.target"
FOR_TARGET = {"loadgen.version", "loadgen.errors", "loadgen.params"}
"""The target stands alone: what it imports beside itself. Only its command imports it."""
IMPURE = {"asyncio", "time", "socket", "threading", "subprocess", "uvloop", "aiohttp"}

ROWS = {"loadgen": LOADGEN, "coordinator": COORDINATOR}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ROWS
    for path in sorted((ROOT / package).rglob("*.py"))
}


def row(module: str) -> int:
    """The row of a module, -1 for a package itself; it must stand in exactly one."""
    package, _, name = module.partition(".")
    found = [at for at, names in enumerate(ROWS[package]) if any(fnmatchcase(name, entry) for entry in names.split())]
    assert len(found) == 1 or not name, f"{module} stands in {len(found)} rows of this test's tables; give it one"
    return found[0] if name else -1


def in_target(module: str) -> bool:
    return module == TARGET or module.startswith(f"{TARGET}.")


def may_import(importer: str, imported: str) -> bool:
    if in_target(importer):
        return in_target(imported) or imported in FOR_TARGET
    if in_target(imported):
        return importer == "loadgen.cli.target"
    packages = importer.partition(".")[0], imported.partition(".")[0]
    if packages == ("coordinator", "loadgen"):
        return row(imported) <= row(f"loadgen.{LAST_FOR_COORDINATOR}")
    return packages[0] == packages[1] and row(imported) < row(importer)


def is_pure(module: str) -> bool:
    package = module.partition(".")[0]
    return not in_target(module) and row(module) <= row(f"{package}.{LAST_PURE[package]}")


def imports(source: str) -> Iterator[str]:
    """What a module imports, anywhere in it: also inside functions and for type checking."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "a relative import hides its row"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & MODULES.keys() or {node.module}


def breaches(module: str, source: str) -> list[str]:
    ours = [name for name in imports(source) if name.partition(".")[0] in ROWS]
    impure = IMPURE & {name.partition(".")[0] for name in imports(source)} if is_pure(module) else set()
    return [name for name in ours if not may_import(module, name)] + sorted(impure)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_stands_above_it(module):
    assert breaches(module, MODULES[module].read_text()) == []


@pytest.mark.parametrize(
    ("module", "source", "breach"),
    [
        ("loadgen.tally", "from loadgen.fanin import FanIn", ["loadgen.fanin"]),
        ("loadgen.fanin", "from loadgen import wire", ["loadgen.wire"]),
        ("loadgen.plan", "import loadgen.tally", ["loadgen.tally"]),
        ("loadgen.agent", "from coordinator.run import Run", ["coordinator.run"]),
        ("loadgen.agent", "from loadgen.target import frames", ["loadgen.target.frames"]),
        ("loadgen.target.peer", "from loadgen.plan import Plan", ["loadgen.plan"]),
        ("coordinator.server", "from loadgen.agent import Agent", ["loadgen.agent"]),
        ("coordinator.run", "from coordinator.server import app", ["coordinator.server"]),
        ("loadgen.wheel", "def now():\n    import time\n", ["time"]),
        ("coordinator.run", "from asyncio.subprocess import PIPE", ["asyncio"]),
        ("coordinator.server", "import asyncio\nfrom coordinator.run import Run\nfrom loadgen import metrics", []),
        ("loadgen.cli.target", "from loadgen.target import frames", []),
    ],
)
def test_the_rules_tell_right_from_wrong(module, source, breach):
    assert breaches(module, source) == breach


def test_a_module_without_a_row_is_not_let_through():
    with pytest.raises(AssertionError, match=r"loadgen\.brandnew stands in 0 rows"):
        breaches("loadgen.brandnew", "")
