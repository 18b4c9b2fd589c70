"""docs/recipes.md names every recipe, and each recipe is tested."""

import re
from pathlib import Path

from tests.recipes.table import RECIPES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "recipes.md").read_text()
ELSEWHERE = {"login.py"}
"""Examples of other pages."""
EXAMPLES = {path.name for path in (ROOT / "examples").glob("*.*")} - ELSEWHERE


def test_each_example_is_a_recipe_that_is_tested():
    tested = [file for recipe in RECIPES.values() for file in recipe.files]

    assert sorted(tested) == sorted(EXAMPLES)


def test_each_recipe_has_its_files_in_the_table_and_in_its_section():
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))

    for name, recipe in RECIPES.items():
        for file in recipe.files:
            assert f"\n[examples/{file}](../examples/{file})\n" in sections[name], name
            assert f"[{file}](../examples/{file})" in PAGE


def test_a_session_is_short():
    lengths = {
        name: (ROOT / "examples" / name).read_text().count("\n")
        for name in EXAMPLES
        if name.endswith(".py")
    }

    assert {name: lines for name, lines in lengths.items() if lines > 60} == {}
