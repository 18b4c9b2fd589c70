"""The examples in documents: commands, plan files and sessions."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/**/*.md", "deploy/**/*.md", "sysctl/**/*.md", "examples/**/*.md")
LOADS = re.compile(r"loadgen-coord(?= )|loadgen coord(?= )|python -m loadgen coord(?= )")
"""The commands that make load; agents and targets only serve one that does."""
REPORTS = re.compile(r"loadgen-report(?= )")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n)+")


class Example(NamedTuple):
    """An example as it stands in a document."""

    page: str
    kind: str
    """`command` (it makes load), `report`, `plan` or `session`."""
    text: str

    @property
    def title(self) -> str:
        """The page and the beginning of the text; tells it from others."""
        words = " ".join(self.text.split())
        return f"{self.page}: {words[:100]}"


def examples() -> list[Example]:
    """Returns all examples of all documents, in their order."""
    pages = [page for pattern in PAGES for page in sorted(ROOT.glob(pattern))]
    return [
        Example(str(page.relative_to(ROOT)), kind, text)
        for page in pages
        for kind, text in examples_in(page.read_text())
    ]


def examples_in(document: str) -> Iterator[tuple[str, str]]:
    """Yields the kind and the text of each example of a document."""
    for language, block in FENCED.findall(document):
        if language == "toml":
            yield "plan", block
        elif language == "python" and "async def session(" in block:
            yield "session", block
        elif language == "sh":
            yield from _commands(block)
        elif language == "yaml":
            yield from _commands("\n".join(_steps(yaml.safe_load(block))))
    for block in INDENTED.findall(FENCED.sub("", document)):
        yield from _commands(block)


def _commands(block: str) -> Iterator[tuple[str, str]]:
    for line in block.replace("\\\n", "").splitlines():
        words = " ".join(line.split())
        made = re.match(r"make ([\w-]+)", words)
        for each in _recipe(made[1]) if made else [words]:
            if LOADS.match(each):
                yield "command", each
            elif REPORTS.match(each):
                yield "report", each


def _recipe(target: str) -> list[str]:
    """Returns the commands of a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    lines = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    return "".join(lines).replace("\t", "").replace("$(BIN)/", "").splitlines()


def _steps(workflow: dict) -> Iterator[str]:
    """Yields the scripts of a workflow of GitHub."""
    for job in workflow["jobs"].values():
        yield from (step["run"] for step in job["steps"] if "run" in step)
