"""The words of the code: one meaning per name, and plain sentences.

Docstrings begin with one.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.test_layers import MODULES, ROOT

HERE = Path(__file__)
TESTS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted((ROOT / "tests").rglob("*.py"))
}
ALL = MODULES | TESTS

MAX_FIRST_LINE = 79
"""Characters of a docstring's first line."""
NO_SUBJECT = re.compile(r"(Who|What|Whose|Whether|How|Which)\b")
"""The first words of a sentence without a noun for its subject."""
OLD_WORDS = re.compile(
    r"\b(mends?|mended|whoever|nobody else|by and by|so many|zygote|playbill|vigil|whereabouts"
    r"|household|crew|(?<!iq:)roster|newsroom|behaviours?)\b"
)
"""Words that the glossary of CONTRIBUTING.md replaces; `iq:roster` is a name of XMPP's."""
DOCUMENTED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module


def docstrings(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(ALL[module].read_text())):
        if isinstance(node, DOCUMENTED):
            yield ast.get_docstring(node) or ""


def test_a_class_name_has_one_meaning():
    names = Counter(
        node.name
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )

    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("module", ALL)
def test_a_docstring_begins_with_one_short_sentence_that_has_a_subject(module):
    first_lines = [text.splitlines()[0] for text in docstrings(module) if text]

    assert [line for line in first_lines if len(line) > MAX_FIRST_LINE] == []
    assert [line for line in first_lines if NO_SUBJECT.match(line)] == []


@pytest.mark.parametrize("module", [name for name, path in ALL.items() if path != HERE])
def test_the_code_uses_the_words_of_the_glossary(module):
    assert OLD_WORDS.findall(ALL[module].read_text()) == []
