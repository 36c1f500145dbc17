"""From typed words to a command; a recipe's values take the place of the defaults before the words are read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Annotated, Any

import tyro

from vsmooth.cli.analysis_options import Attack, Calibrate, Inspect
from vsmooth.cli.options import (
    Command,
    Compare,
    Distill,
    Evaluate,
    Recipes,
    Report,
    Setting,
    StudentSetting,
    Train,
)
from vsmooth.data import known_image_shape
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.models import check_model
from vsmooth.recipes import Recipe, get_recipe
from vsmooth.train import best_precision

_DESCRIPTION = "Virtual smoothing labels against label smoothing and one-hot: train networks, see what the labels do."
_SHARED = {field.name for field in fields(Setting)} & {field.name for field in fields(RunSpec)} - {"precision"}


def parse(arguments: Sequence[str] | None, quiet: bool = False) -> Command:
    """The command that was typed; ``SystemExit`` after help or a word that is not understood.

    Raises:
        ValueError: an unknown recipe.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    recipe = _named_recipe(words)
    train, compare = (Train(), Compare()) if recipe is None else (_train_of(recipe), _compare_of(recipe))
    distill = Distill() if recipe is None else _distill_of(recipe)
    verbs: Any = (
        Annotated[Train, tyro.conf.subcommand("train", default=train, description=_describe(Train, recipe))]
        | Annotated[Compare, tyro.conf.subcommand("compare", default=compare, description=_describe(Compare, recipe))]
        | Annotated[Distill, tyro.conf.subcommand("distill", default=distill, description=_describe(Distill, recipe))]
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[Report, tyro.conf.subcommand("report")]
        | Annotated[Calibrate, tyro.conf.subcommand("calibrate")]
        | Annotated[Inspect, tyro.conf.subcommand("inspect")]
        | Annotated[Attack, tyro.conf.subcommand("attack")]
        | Annotated[Recipes, tyro.conf.subcommand("recipes")]
    )
    command: Command = tyro.cli(
        verbs,
        args=words,
        prog="vsmooth",
        description=_DESCRIPTION,
        config=(tyro.conf.OmitArgPrefixes,),
        console_outputs=not quiet,
    )
    return command


def spec_of(setting: Setting) -> RunSpec:
    """The experiment that ``setting`` describes, with one-hot labels; ``ValueError`` for values that cannot be.

    Whatever can be told from the words alone is told here, before any image is read.
    """
    check_model(setting.model, setting.drop_path)
    shape = known_image_shape(setting.data)
    if shape is not None:
        size = setting.image_size
        setting.augmentation.check_fits(*((size, size) if size else shape[1:]))
    return RunSpec(
        **{name: getattr(setting, name) for name in _SHARED},
        precision=best_precision() if setting.precision == "auto" else setting.precision,
        compile_model=setting.compile,
    )


def setting_of(spec: RunSpec) -> Setting:
    """The options of an experiment; its precision stays the machine's best."""
    return Setting(**{name: getattr(spec, name) for name in _SHARED}, compile=spec.compile_model)


def _named_recipe(words: Sequence[str]) -> Recipe | None:
    for word, following in pairwise([*words, ""]):
        name = following if word == "--recipe" else word.removeprefix("--recipe=")
        if name and name != word:
            return get_recipe(name)
    return None


def _train_of(recipe: Recipe) -> Train:
    return Train(label=recipe.spec.objective.text, recipe=recipe.name, setting=setting_of(recipe.spec))


def _compare_of(recipe: Recipe) -> Compare:
    return Compare(labels=recipe.label_texts, recipe=recipe.name, setting=setting_of(recipe.spec))


def _distill_of(recipe: Recipe) -> Distill:
    return Distill(recipe=recipe.name, setting=StudentSetting(**vars(setting_of(recipe.spec))))


def _describe(kind: type, recipe: Recipe | None) -> str:
    text = "\n".join(line.strip() for line in (kind.__doc__ or "").splitlines())
    if recipe is None:
        return text
    return f"{text}\nDefaults: recipe {recipe.name}, {recipe.table} of the paper; any option overrides them."
