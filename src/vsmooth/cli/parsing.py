"""From typed words to a verb; a recipe's values replace the defaults before the words are read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Union

import tyro

from vsmooth.cli.training_options import TrainingOptions
from vsmooth.cli.verb import Verb
from vsmooth.cli.verbs import VERBS
from vsmooth.recipes import Recipe, get_recipe

_DESCRIPTION = """Virtual smoothing labels against label smoothing and one-hot: train networks, see what the labels do.

vsmooth COMMAND --help explains a command; vsmooth --version prints the versions of vsmooth, torch and Python."""


def parse(arguments: Sequence[str] | None, quiet: bool = False) -> Verb:
    """The verb that was typed; ``SystemExit`` after help (also for no words) or a word that is not understood.

    Raises:
        ValueError: an unknown recipe.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    recipe = _named_recipe(words)
    verbs: Any = Union[tuple(_subcommand(verb, recipe) for verb in VERBS)]  # noqa: UP007
    command: Verb = tyro.cli(
        verbs,
        args=words or ["--help"],
        prog="vsmooth",
        description=_DESCRIPTION,
        config=(tyro.conf.OmitArgPrefixes,),
        console_outputs=not quiet,
    )
    return command


def _subcommand(verb: type[Verb], recipe: Recipe | None) -> Any:
    if recipe is None or not issubclass(verb, TrainingOptions):
        return Annotated[verb, tyro.conf.subcommand(verb.name())]
    own = tyro.conf.subcommand(verb.name(), default=verb.of_recipe(recipe), description=_describe(verb, recipe))
    return Annotated[verb, own]


def _named_recipe(words: Sequence[str]) -> Recipe | None:
    for word, following in pairwise([*words, ""]):
        name = following if word == "--recipe" else word.removeprefix("--recipe=")
        if name and name != word:
            return get_recipe(name)
    return None


def _describe(verb: type[Verb], recipe: Recipe) -> str:
    text = "\n".join(line.strip() for line in (verb.__doc__ or "").splitlines())
    return f"{text}\nDefaults: recipe {recipe.name}, {recipe.table} of the paper; any option overrides them."
