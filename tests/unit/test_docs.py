"""The documents say what the code does."""

import re
import tomllib
from pathlib import Path

import click
import pytest

from coordinator.cli import coord, report_command
from loadgen.cli.agent import agent
from loadgen.cli.target import command as target
from loadgen.version import VERSION
from tests.million.__main__ import command as million

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "deploy/ansible/README.md",
    "sysctl/README.md",
    *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docs/**/*.md"))),
)
README = (ROOT / "README.md").read_text()


def test_the_changelogs_top_entry_is_this_version():
    top = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert top is not None
    assert top[1] == VERSION


def test_every_command_is_in_the_readme():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert [name for name in scripts if f"`{name}" not in README] == []


def test_every_option_in_the_readme_exists():
    known = {
        name for command in (coord, agent, target, report_command) for option in command.params for name in option.opts
    }
    known |= {name for option in million.params for name in option.opts} | {"--help"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README)) - known == set()


@pytest.mark.parametrize("command", [coord, agent, target, report_command], ids=lambda command: command.name)
def test_every_option_has_help(command: click.Command):
    bare = [option.name for option in command.params if isinstance(option, click.Option) and not option.help]
    assert bare == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "sessions").glob("*.py")), ids=lambda path: path.name)
def test_the_sessions_of_the_document_are_those_that_are_tested(path: Path):
    assert f"```python\n{path.read_text()}```" in (ROOT / "docs" / "sessions.md").read_text()


REASONS = (
    "refused timeout reset unreachable no_local_port no_fd dns tls http_ bad_handshake ping_timeout server_eof lost"
)


@pytest.mark.parametrize("reason", REASONS.split())
def test_every_reason_of_the_ledger_has_its_mend(reason):
    text = (ROOT / "docs/deploy.md").read_text()
    rows = [line for line in text[text.index("## When something fails") :].splitlines() if line.startswith("| ")]

    assert any(f"`{reason}" in row.split(" | ")[0] for row in rows)


def test_every_relative_link_leads_somewhere():
    for name in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text()):
            assert ((ROOT / name).parent / link).exists(), f"{name} links to {link}"
