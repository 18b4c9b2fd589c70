"""The quick part of `make recipes`."""

import pytest

from tests.recipes.recipe import faults
from tests.recipes.table import RECIPES


@pytest.mark.timeout(300)  # the first run installs the servers
@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.quick])
def test_a_recipe_does_what_it_says(tmp_path, name):
    recipe = RECIPES[name]
    with recipe.server() as url:
        found = faults(recipe, recipe.files[0], url, tmp_path)
        assert not found, found
