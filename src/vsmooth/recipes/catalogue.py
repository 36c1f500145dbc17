"""All recipes by name."""

from __future__ import annotations

import difflib

from vsmooth.recipes import table2, table3
from vsmooth.recipes.recipe import Recipe

_RECIPES = {recipe.name: recipe for recipe in (*table2.RECIPES, *table3.RECIPES)}


def list_recipes() -> tuple[Recipe, ...]:
    """Every recipe, in the order of the paper's tables."""
    return tuple(_RECIPES.values())


def get_recipe(name: str) -> Recipe:
    """The recipe of that name; ``ValueError`` with the nearest names for an unknown one."""
    found = _RECIPES.get(name.lower())
    if found is None:
        near = difflib.get_close_matches(name.lower(), _RECIPES, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"recipes are {', '.join(_RECIPES)}"
        raise ValueError(f"unknown recipe {name!r}; {hint}")
    return found
