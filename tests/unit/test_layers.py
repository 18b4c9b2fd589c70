"""The folders are the layers: a module imports from folders above its own.

A new folder needs a row here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS = (
    "loadgen.errors loadgen.version loadgen.process loadgen.systemd loadgen.timers loadgen.grain",
    "loadgen.values loadgen.forkserver",
    "loadgen.plan loadgen.machine",
    "loadgen.stats",
    "loadgen.wire",
    "loadgen.net loadgen.http",
    "loadgen.planfile loadgen.sessions",
    "loadgen.sessions.script",
    "loadgen.trace",
    "loadgen.worker loadgen.agent loadgen.target",
    "loadgen.cli",
    "coordinator.text coordinator.clock coordinator.scrape coordinator.publisher",
    "coordinator.run",
    "coordinator.storage coordinator.tsung coordinator.har",
    "coordinator.report",
    "coordinator.http coordinator.influx",
    "coordinator.lines",
    "coordinator.screen",
    "coordinator.preflight coordinator.display coordinator.doubts coordinator.scraper",
    "coordinator.calibrate coordinator.local coordinator.settings coordinator.embedded",
    "coordinator.disk_watch coordinator.outlets coordinator.publishing",
    "coordinator.controller coordinator.dryrun coordinator.trace",
    "coordinator.app",
    "coordinator.cli",
    "loadgen.__main__",
)
"""Folders, and modules outside of them, from the bottom up. Those of one row do not know each
other."""
PURE = {
    "loadgen.plan",
    "loadgen.stats",
    "loadgen.wire",
    "loadgen.timers",
    "loadgen.grain",
    "coordinator.run",
    "coordinator.text",
}
"""No I/O and no clock: time comes in as a number."""
PURE_MODULES = {
    "loadgen.net.appwrite",
    "loadgen.net.deflate",
    "loadgen.net.frames",
    "loadgen.net.handshake",
    "loadgen.net.refusal",
    "loadgen.agent.contact",
    "loadgen.agent.jobs",
    "loadgen.agent.orders",
    "loadgen.agent.outbox",
    "loadgen.http.ratelimit",
    "loadgen.http.token",
    "loadgen.agent.host",
    "loadgen.machine.bill",
    "loadgen.machine.fleet",
    "loadgen.machine.host",
    "loadgen.machine.limits",
    "loadgen.machine.workers",
    "loadgen.net.drain",
    "loadgen.trace.frames",
    "loadgen.trace.text",
    "coordinator.har.source",
    "coordinator.har.steps",
    "loadgen.sessions.churn",
    "loadgen.worker.arrivals",
    "loadgen.worker.stamps",
    "coordinator.http.discovery",
    "coordinator.http.live",
    "coordinator.http.openapi",
    "coordinator.http.routes",
    "coordinator.influx.lines",
    "coordinator.influx.pending",
    *(
        f"coordinator.report.{name}"
        for name in (
            "claims",
            "delivery",
            "expect",
            "junit",
            "machines",
            "own",
            "samples",
            "seconds",
            "summary",
            "tables",
            "text",
            "trend",
        )
    ),
    *(
        f"coordinator.tsung.{name}"
        for name in (
            "dump",
            "element",
            "load",
            "log",
            "mqtt",
            "names",
            "replies",
            "request",
            "sessions",
            "status",
            "steps",
            "text",
            "xmpp",
        )
    ),
}
"""Pure modules in folders that are not."""
IMPURE = {"asyncio", "time", "socket", "threading", "subprocess", "uvloop", "aiohttp"}

TARGET = "loadgen.target"
FOR_TARGET = {"loadgen.version", "loadgen.errors", "loadgen.values", "loadgen.process"}
"""The target stands alone: what it imports beside itself. Only its command imports it."""
PUBLIC = "loadgen.sessions"
"""The package itself names the session API: for type checkers, and when a name is asked for."""
FOR_COORDINATOR = {
    "loadgen.errors",
    "loadgen.forkserver",
    "loadgen.http",
    "loadgen.machine",
    "loadgen.net.credentials",
    "loadgen.net.url",
    "loadgen.plan",
    "loadgen.planfile",
    "loadgen.process",
    "loadgen.stats",
    "loadgen.systemd",
    "loadgen.values",
    "loadgen.version",
    "loadgen.wire",
}
"""What the coordinator may import from loadgen; its commands also the words that all commands
share."""

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("loadgen", "coordinator")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def layer(module: str) -> str:
    """The folder of a module, or the module where it stands outside of folders."""
    return module if module.count(".") == 1 else module.rpartition(".")[0]


def row(module: str) -> int:
    """Returns the row of a module's layer, -1 for a package itself.

    A layer must stand in exactly one row.
    """
    if "." not in module:
        return -1
    found = [at for at, names in enumerate(LAYERS) if layer(module) in names.split()]
    assert len(found) == 1, (
        f"{layer(module)} stands in {len(found)} rows of this test's table; give it one"
    )
    return found[0]


def within(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def may_import(importer: str, imported: str) -> bool:
    if importer == "loadgen":
        return within(imported, {PUBLIC})
    if within(importer, {TARGET}):
        return within(imported, {TARGET} | FOR_TARGET)
    if within(imported, {TARGET}):
        return importer == "loadgen.cli.target"
    if importer.startswith("coordinator") and imported.startswith("loadgen"):
        shared = (
            {"loadgen.cli.options", "loadgen.cli.stdio"}
            if layer(importer) == "coordinator.cli"
            else set()
        )
        return within(imported, FOR_COORDINATOR | shared)
    return layer(imported) == layer(importer) or row(imported) < row(importer)


def is_pure(module: str) -> bool:
    return within(module, PURE) or module in PURE_MODULES


def imports(source: str) -> Iterator[str]:
    """Yields the imports of a module, anywhere in it.

    Those inside functions and for type checking count too.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "a relative import hides its row"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & MODULES.keys() or {node.module}


def breaches(module: str, source: str) -> list[str]:
    ours = [
        name for name in imports(source) if name.partition(".")[0] in ("loadgen", "coordinator")
    ]
    impure = (
        IMPURE & {name.partition(".")[0] for name in imports(source)} if is_pure(module) else set()
    )
    return [name for name in ours if not may_import(module, name)] + sorted(impure)


def files() -> dict[str, set[str]]:
    """Returns the modules of ours that each module imports."""
    return {
        module: {name for name in imports(path.read_text()) if name in MODULES and name != module}
        for module, path in MODULES.items()
    }


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_folders_above_its_own(module):
    assert row(module) >= -1
    assert breaches(module, MODULES[module].read_text()) == []


def test_no_files_import_each_other_in_a_circle():
    left = files()
    while free := [module for module, needs in left.items() if not needs & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}


def test_every_row_names_what_is_there():
    assert {name for names in LAYERS for name in names.split()} == {
        layer(name) for name in MODULES if "." in name
    }
    assert {*MODULES} >= PURE_MODULES


@pytest.mark.parametrize(
    ("module", "source", "breach"),
    [
        ("loadgen.stats.tally", "from loadgen import wire", ["loadgen.wire"]),
        ("loadgen.plan.plan", "import loadgen.stats.tally", ["loadgen.stats.tally"]),
        ("loadgen.plan.plan", "import loadgen.machine.facts", ["loadgen.machine.facts"]),
        ("loadgen.agent.agent", "from loadgen.worker.main import main", ["loadgen.worker.main"]),
        ("loadgen.agent.agent", "from coordinator.run.run import Run", ["coordinator.run.run"]),
        ("loadgen.agent.agent", "from loadgen.target import frames", ["loadgen.target.frames"]),
        ("loadgen.target.connection", "from loadgen.plan.plan import Plan", ["loadgen.plan.plan"]),
        (
            "coordinator.http.server",
            "from loadgen.agent.agent import Agent",
            ["loadgen.agent.agent"],
        ),
        (
            "coordinator.run.run",
            "from coordinator.http.server import app",
            ["coordinator.http.server"],
        ),
        ("loadgen.timers", "def now():\n    import time\n", ["time"]),
        ("coordinator.run.run", "from asyncio.subprocess import PIPE", ["asyncio"]),
        ("coordinator.http.server", "import asyncio\nfrom loadgen.stats import prometheus", []),
        ("loadgen.stats.fanin", "from loadgen.stats.tally import Tally", []),
        ("loadgen.cli.target", "from loadgen.target import frames", []),
    ],
)
def test_the_rules_tell_right_from_wrong(module, source, breach):
    assert breaches(module, source) == breach


def test_a_folder_without_a_row_is_not_let_through():
    with pytest.raises(AssertionError, match=r"loadgen\.brandnew stands in 0 rows"):
        breaches(
            "loadgen.brandnew.thing",
            "from loadgen.errors import PlanError\nfrom loadgen.plan.plan import Plan",
        )
