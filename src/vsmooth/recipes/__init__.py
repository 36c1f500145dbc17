"""The paper's settings as values: ``get_recipe("cifar100-resnext29")``."""

from vsmooth.recipes.catalogue import get_recipe, list_recipes
from vsmooth.recipes.recipe import Cell, Origins, Recipe

__all__ = ["Cell", "Origins", "Recipe", "get_recipe", "list_recipes"]
