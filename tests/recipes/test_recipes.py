"""`make recipes`: every recipe, against its server."""

import pytest

from tests.recipes.recipe import faults
from tests.recipes.table import RECIPES


@pytest.mark.timeout(600)  # the first run installs the servers
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_does_what_it_says(tmp_path, name):
    recipe = RECIPES[name]
    with recipe.server() as url:
        for file in recipe.files:
            found = faults(recipe, file, url, tmp_path)
            assert not found, found
