"""The documents agree with the code."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from coordinator.cli.coord import coord
from coordinator.cli.report import FORMATS, report
from coordinator.run.timeline import Timeline
from loadgen.cli.agent import agent
from loadgen.cli.target import command as target
from loadgen.stats.delays import Delays
from loadgen.stats.fanin import Second
from loadgen.stats.reasons import REASONS, Kind, Reason
from loadgen.stats.tally import Tally
from loadgen.version import VERSION
from tests.million.__main__ import command as million
from tests.processes import run
from tests.unit.coordinator.fleet import first_release

ROOT = Path(__file__).parents[3]
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


@pytest.mark.parametrize("name", ["README.md", "docs/ci.md"])
def test_every_option_in_a_document_exists(name):
    known = {
        name
        for command in (coord, agent, target, report)
        for option in command.params
        for name in option.opts
    }
    known |= {name for option in million.params for name in option.opts} | {"--help"}
    text = (ROOT / name).read_text()
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) - known == set()


def test_the_workflow_of_the_ci_document_is_one():
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text(), re.DOTALL)
    steps = yaml.safe_load(block)["jobs"]["load"]["steps"]
    (load,) = (step["run"] for step in steps if "loadgen-coord" in step.get("run", ""))

    done = run(*shlex.split(load.replace("staging.example.com", "127.0.0.1")), "--dry-run")

    assert done.returncode == 0, done.stderr


def test_the_formats_of_the_ci_document_are_those_of_the_command():
    table = (ROOT / "docs/ci.md").read_text().partition("| `--format` |")[2].partition("\n\n")[0]
    first_cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)

    assert sorted(re.findall(r"`(\w+)`", " ".join(first_cells))) == sorted(FORMATS)


@pytest.mark.parametrize(
    "command", [coord, agent, target, report], ids=lambda command: command.name
)
def test_every_option_has_help(command: click.Command):
    without_help = [
        option.name
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert without_help == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "sessions").glob("*.py")), ids=lambda path: path.name
)
def test_the_sessions_of_the_document_are_those_that_are_tested(path: Path):
    assert f"```python\n{path.read_text()}```" in (ROOT / "docs" / "sessions.md").read_text()


def problems():
    """Returns the first cells of the tables of what can go wrong."""
    text = (ROOT / "docs/operate.md").read_text()
    rows = [
        line
        for line in text[text.index("## When something fails") :].splitlines()
        if line.startswith("| ")
    ]
    return [row.split(" | ")[0] for row in rows]


@pytest.mark.parametrize("row", REASONS, ids=lambda row: f"{row.kind} {row.name}")
def test_every_reason_is_explained_with_its_fix(row: Reason):
    text = (ROOT / "docs/operate.md").read_text()

    table = text[text.index(f"| `{row.kind}` |") :].partition("\n\n")[0]

    assert f"\n| `{row.name}` | {row.meaning} | {row.fault} | {row.fix} |" in table


@pytest.mark.parametrize("kind", ["failed", "closed"])
def test_every_reason_that_is_explained_exists(kind: Kind):
    text = (ROOT / "docs/operate.md").read_text()

    table = text[text.index(f"| `{kind}` |") :].partition("\n\n")[0]

    assert re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)[1:] == [
        row.name for row in REASONS if row.kind == kind
    ]


@pytest.mark.parametrize("row", REASONS, ids=lambda row: f"{row.kind} {row.name}")
def test_every_reason_has_its_name_in_tsung_log(row: Reason):
    text = (ROOT / "docs/tsung-log.md").read_text()

    table = text[text.index(f"| {row.kind} in our ledger |") :].partition("\n\n")[0]

    assert f"\n| `{row.name}` | {f'`{row.tsung}`' if row.tsung else '–'} |" in table


def whys_of_an_invalid_second():
    """Returns why a second is invalid in which everything is wrong."""
    delays = Delays(stalls={2: 0.9}, late=12, late_by=1.3)
    second = Second(0, Tally(lost=1), span=2, delays=delays)
    timeline = Timeline(planned=10)
    timeline.expect("a", 10)
    return timeline.add(first_release(second, {"a": second}, missing=["b"])).row.invalid


def test_every_reason_of_an_invalid_second_has_its_fix():
    phrases = [phrase for cell in problems() for phrase in re.findall(r'"([^"]+)"', cell)]
    patterns = [re.escape(phrase).replace("…", ".*") for phrase in phrases]
    whys = whys_of_an_invalid_second()

    assert len(whys) == 6
    assert [why for why in whys if not any(re.search(pattern, why) for pattern in patterns)] == []


def test_the_reference_run_takes_fewer_than_ten_commands_and_they_exist():
    guide = (ROOT / "docs/operate.md").read_text()
    steps = guide[guide.index("## Up") : guide.index("## What a machine holds")]
    commands = re.findall(
        r"^    ((?:terraform|openssl|ansible-playbook|tar) .*)$", steps, re.MULTILINE
    )
    variables = (ROOT / "deploy/terraform/variables.tf").read_text()

    assert len(commands) < 10
    assert [
        number for number in range(1, 10) if not re.search(rf"\*\*(\d, )?{number}[.,]", steps)
    ] == []
    for playbook in re.findall(r"[a-z]+\.yml(?= --ask)", " ".join(commands)):
        assert (ROOT / "deploy/ansible" / playbook).exists()
    for name in re.findall(r"-var '(\w+)=", " ".join(commands)):
        assert f'variable "{name}"' in variables


@pytest.mark.parametrize("words", [("capacity",), ("plan", "--addresses", "1")])
def test_the_needs_of_a_load_are_what_the_command_prints(words):
    done = run("loadgen-tune", *words)
    lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip()]

    assert "```text\n" + "\n".join(lines) + "\n```" in (ROOT / "docs/operate.md").read_text()


def test_every_relative_link_leads_somewhere():
    for name in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text()):
            assert ((ROOT / name).parent / link).exists(), f"{name} links to {link}"
