"""`vsmooth recipes`: the recipes as a table, and one of them in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vsmooth.cli.display import say
from vsmooth.cli.verb import Verb
from vsmooth.recipes import Recipe, get_recipe, list_recipes
from vsmooth.recipes.wording import describe_origins, describe_settings, label_numbers

_HINTS = (
    "vsmooth recipes NAME             where its values come from",
    "vsmooth train --recipe NAME      trains VS at the paper's α; with --dry-run: what that costs here",
    "vsmooth compare --recipe NAME    trains all three labels",
)


@dataclass(frozen=True)
class Recipes(Verb):
    """List the paper's settings with its numbers, or say of one where each value comes from.

    Example: vsmooth recipes cifar100-resnext29
    """

    recipe: Annotated[str | None, tyro.conf.Positional] = None
    """a recipe; None: list all"""

    def run(self, console: Console, typed: str) -> None:
        if self.recipe is None:
            print_recipes(console)
        else:
            print_recipe(self.recipe, console)


def print_recipes(console: Console) -> None:
    """Name, length and alphas of each recipe, and the test accuracy (%) that the paper reports."""
    title = "Settings of the paper, and its test accuracy in %"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))  # 80 columns wide
    table.add_column("recipe", no_wrap=True)
    for column in ("epochs", "batch", "LS α", "VS α", "one-hot", "LS", "VS"):
        table.add_column(column, justify="right")
    for recipe in list_recipes():
        spec = recipe.spec
        table.add_row(recipe.name, f"{spec.epochs}", f"{spec.batch_size}", *label_numbers(recipe))
    console.print(table)
    for hint in _HINTS:
        say(console, hint)


def print_recipe(name: str, console: Console) -> None:
    """One recipe: its settings, the paper's numbers, and where each value comes from."""
    recipe = get_recipe(name)
    say(console, f"{recipe.name} ({recipe.table} of the paper)")
    lines = Table.grid(padding=(0, 2))
    lines.add_column(no_wrap=True)
    for title, text in (*describe_settings(recipe), _reported(recipe), *describe_origins(recipe)):
        lines.add_row(Text(title), Text(text))
    console.print(lines)


def _reported(recipe: Recipe) -> tuple[str, str]:
    numbers = (f"{cell.spec.objective.text} {cell.paper['accuracy']:.2f}" for cell in recipe.cells)
    return "accuracy %", f"{', '.join(numbers)} (test, in the paper)"
