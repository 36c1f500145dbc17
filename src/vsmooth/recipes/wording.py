"""Recipes in words: lines for a terminal, tables for the documentation (``python -m vsmooth.recipes.wording``)."""

from __future__ import annotations

from collections.abc import Sequence

from vsmooth.labels import LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.recipes.catalogue import list_recipes
from vsmooth.recipes.recipe import Recipe

_HEAD = ("recipe", "network", "epochs", "batch", "optimizer", "augmentation", "LS α", "VS α", "one-hot", "LS", "VS")
_NUMBERS_FROM = _HEAD.index("LS α")


def describe_settings(recipe: Recipe) -> list[tuple[str, str]]:
    """What is trained, in (title, text) lines."""
    spec = recipe.spec
    shape = f"{recipe.num_classes} classes, 3x{recipe.image_size}x{recipe.image_size}"
    return [
        ("data", f"{spec.data}: {shape}, {100 * spec.validation_fraction:g} % of train held out"),
        ("network", spec.model),
        ("training", f"{spec.epochs} epochs, batch {spec.batch_size}"),
        ("optimizer", optimizer_text(recipe)),
        ("augmentation", augmentation_text(recipe)),
    ]


def describe_origins(recipe: Recipe) -> list[tuple[str, str]]:
    """Where the values come from, in (title, text) lines."""
    origins = recipe.origins
    return [("from the paper", origins.paper), ("from code", origins.reference), ("chosen here", origins.chosen)]


def optimizer_text(recipe: Recipe) -> str:
    """Optimizer, learning rate and its schedule, weight decay."""
    optimization, epochs = recipe.spec.optimization, recipe.spec.epochs
    if optimization.optimizer == "sgd":
        name = f"SGD, {'Nesterov ' if optimization.nesterov else ''}momentum {optimization.momentum:g}"
    else:
        name = "AdamW"
    drops = [f"{milestone * epochs:g}" for milestone in optimization.milestones]
    schedule = (
        f"divided by 10 after epochs {', '.join(drops[:-1])} and {drops[-1]}"
        if optimization.schedule == "step"
        else f"{optimization.schedule} to {optimization.final_learning_rate:g}"
    )
    rate, decay = optimization.learning_rate, optimization.weight_decay
    return f"{name}, learning rate {rate:g} {schedule}, weight decay {decay:g}"


def augmentation_text(recipe: Recipe) -> str:
    """What is done to the images, and drop-path."""
    spec, augmentation = recipe.spec, recipe.spec.augmentation
    parts = []
    if augmentation.resized_crop is not None:
        low, high = (100 * share for share in augmentation.resized_crop)
        parts.append(f"crop of {low:g} to {high:g} % of the area")
    if augmentation.crop_padding:
        parts.append(f"crop after padding {augmentation.crop_padding} ({augmentation.padding_mode})")
    parts += ["flip"] * augmentation.flip
    if augmentation.rand_augment is not None:
        parts.append(f"RandAugment {augmentation.rand_augment}")
    parts += [f"MixUp {spec.mixing.mixup:g}"] * (spec.mixing.mixup > 0)
    parts += [f"drop-path {spec.drop_path:g}"] * (spec.drop_path > 0)
    return ", ".join(parts)


def settings_table() -> str:
    """Every recipe with its settings and the paper's test accuracy, as a Markdown table."""
    rule = ["---:" if column in (2, 3) or column >= _NUMBERS_FROM else "---" for column in range(len(_HEAD))]
    rows: list[Sequence[str]] = [_HEAD, rule, *(_cells(recipe) for recipe in list_recipes())]
    return "\n".join(_row(cells) for cells in rows)


def origins_list() -> str:
    """Where the values come from, as Markdown, once for recipes that share it."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for recipe in list_recipes():
        groups.setdefault(tuple(describe_origins(recipe)), []).append(f"`{recipe.name}`")
    parts = []
    for origins, names in groups.items():
        parts.append("\n".join([", ".join(names) + ":", "", *(f"- {title}: {text}" for title, text in origins)]))
    return "\n\n".join(parts)


def label_numbers(recipe: Recipe) -> tuple[str, ...]:
    """Alpha of LS and of VS, then the paper's test accuracy in % with one-hot, LS and VS."""
    cells = tuple(recipe.cell(scheme.name) for scheme in (OneHot, LabelSmoothing, VirtualSmoothing))
    alphas = (f"{cell.spec.objective.parameter:g}" for cell in cells[1:])
    return *alphas, *(f"{cell.paper['accuracy']:.2f}" for cell in cells)


def _cells(recipe: Recipe) -> list[str]:
    spec = recipe.spec
    return [
        *(f"`{recipe.name}`", f"`{spec.model}`", str(spec.epochs), str(spec.batch_size)),
        *(optimizer_text(recipe), augmentation_text(recipe), *label_numbers(recipe)),
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(settings_table(), origins_list(), sep="\n\n")
