"""CONTRIBUTING.md shows the code as it is."""

import re
from pathlib import Path

from tests.unit.test_layers import LAYERS, PURE

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
TREE = TEXT.partition("```text\n")[2].partition("```")[0]


def rows(package: str) -> str:
    """Returns the rows of the tree below a package."""
    found = re.search(rf"^{package}/\n((?: .*\n)+)", TREE, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_tree_has_every_layer():
    for layer in " ".join(LAYERS).split():
        package, _, name = layer.partition(".")
        folder = name.rpartition(".")[2]
        assert re.search(rf"\b{folder}\b", rows(package)), f"{layer} is missing"


def test_the_tree_marks_every_pure_layer():
    for layer in PURE:
        package, _, name = layer.partition(".")
        line = next(line for line in rows(package).splitlines() if re.search(rf"\b{name}\b", line))
        assert "*" in line, f"{layer} holds no I/O and no clock"


def test_the_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"^    make ([\w-]+)", TEXT, re.MULTILINE)

    assert [name for name in commands if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
