"""The docs site: its navigation has every page, and its links lead somewhere.

`make docs` builds the site and checks the same more strictly. These tests run without MkDocs.
"""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml


def load(path: Path) -> ModuleType:
    """Returns a Python file of docs/, which is no package, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
LINKS = load(DOCS / "links.py")
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.glob("**/*.md"))
PARTS = {"cost-model/notes.md", "million/silent-1600000/NOTE.md"}
"""Parts of other pages."""


def pages_of(nav):
    """Yields the page names of a navigation in mkdocs.yml, at any depth."""
    for entry in nav:
        named = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from pages_of(named) if isinstance(named, list) else [named]


def test_the_navigation_has_every_page_once():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]

    assert sorted(pages_of(nav)) == sorted({*PAGES, *LINKS.PAGES.values()} - PARTS)


@pytest.mark.parametrize("page", [*PAGES, *LINKS.PAGES.values()])
def test_every_link_leads_to_a_page_or_a_file_of_docs(page):
    source = next((path for path, name in LINKS.PAGES.items() if name == page), f"docs/{page}")

    text = LINKS.rewrite((ROOT / source).read_text(), page)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)

    for link in re.findall(r"\]\(([^)\s:#]+)", prose):
        found = (DOCS / page).parent.joinpath(link).resolve()
        assert found.exists() or str(found.relative_to(DOCS)) in LINKS.PAGES.values(), link


@pytest.mark.parametrize(
    ("page", "text", "rewritten"),
    [
        ("plans.md", "[a](sessions.md#how)", "[a](sessions.md#how)"),
        ("security.md", "[a](../SECURITY.md)", "[a](reporting.md)"),
        ("deploy.md", "[a](../deploy/terraform), b", "a, b"),
        ("page/README.md", "[a](../../CHANGELOG.md)", "[a](../changelog.md)"),
        ("contributing.md", "[a](docs/faults.md#drain)", "[a](faults.md#drain)"),
        ("sysctl.md", "[a](../docs/page/README.md)", "[a](page/README.md)"),
        ("page/README.md", "![a](live.webp)", "![a](live.webp)"),
        ("index.md", "[b](https://x.example/y)", "[b](https://x.example/y)"),
    ],
)
def test_a_link_out_of_docs_leads_to_its_page_or_becomes_text(page, text, rewritten):
    assert LINKS.rewrite(text, page) == rewritten


def test_a_link_out_of_docs_leads_into_the_repository_when_that_has_a_url():
    rewritten = LINKS.rewrite("[a](../sysctl)", "deploy.md", "https://git.example/loadgen/")

    assert rewritten == "[a](https://git.example/loadgen/blob/HEAD/sysctl)"


def test_a_line_that_only_links_to_an_example_becomes_its_code():
    written = LINKS.rewrite("[examples/login.py](../examples/login.py)", "recipes.md")

    code = (ROOT / "examples" / "login.py").read_text()
    assert written == f'```python title="examples/login.py"\n{code}```'


def test_a_link_to_a_missing_file_fails():
    with pytest.raises(FileNotFoundError, match=r"docs/deploy\.md links to \.\./missing"):
        LINKS.rewrite("[a](../missing)", "deploy.md")


def test_the_generated_pages_name_code_that_exists():
    for path in re.findall(r"^::: (loadgen\S+)", (DOCS / "api.md").read_text(), re.MULTILINE):
        parent, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(parent), name), path
    commands = re.findall(r":module: (\S+)\n +:command: (\S+)", (DOCS / "commands.md").read_text())
    assert len(commands) == 5
    for module, command in commands:
        assert hasattr(importlib.import_module(module), command), module


def test_the_session_api_has_the_members_that_it_names():
    text = (DOCS / "api.md").read_text()
    block = re.compile(r"^::: (\S+)\n(?: +.*\n)*? +members: \[(.*)\]", re.MULTILINE)
    for path, members in block.findall(text):
        parent, _, name = path.rpartition(".")
        home = getattr(importlib.import_module(parent), name)
        assert [member for member in members.split(", ") if not hasattr(home, member)] == []
