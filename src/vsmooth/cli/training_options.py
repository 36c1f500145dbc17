"""The options that every training shares, and the experiment that they describe."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, fields
from typing import Annotated, Literal, Self

import tyro
from rich.console import Console

from vsmooth.cli.images import load_data, warn
from vsmooth.cli.method_options import StepOptions, step_options_of
from vsmooth.cli.verb import Verb
from vsmooth.data import Augmentation, Dataset, Mixing, known_image_shape
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.models import check_model
from vsmooth.recipes import Recipe, get_recipe
from vsmooth.train import Execution, Optimization, hardware


@dataclass(frozen=True)
class Setting:
    """Data, network and training, the same for every label."""

    data: str = "embedded"
    """embedded; cifar10, cifar100, svhn, mnist, fashion-mnist (downloaded); a folder of parquet files or of
    train/CLASS/*.png; hub:owner/name; tiny-imagenet, imagenet (your copy, in $VSMOOTH_DATA)"""
    image_size: int | None = None
    """side in pixels of crops streamed from the files; None: whole images in memory (imagenet: crops of 224)"""
    skip_broken: bool = False
    """skip images that cannot be read; otherwise the first one stops the run"""
    model: str = "small"
    """small, resnet20, resnet18, resnext29-2x64d, wrn-28-10, t2t-vit-14, ... or any timm architecture"""
    drop_path: float = 0.0
    """highest rate of stochastic depth, for networks that have it"""
    epochs: int = 20
    """passes over the training images"""
    batch_size: int = 128
    """images per step, summed over all processes"""
    optimization: Annotated[Optimization, tyro.conf.arg(name="")] = field(default_factory=Optimization)
    augmentation: Annotated[Augmentation, tyro.conf.arg(name="")] = field(default_factory=Augmentation)
    mixing: Annotated[Mixing, tyro.conf.arg(name="")] = field(default_factory=Mixing)
    validation_fraction: float = 0.1
    """fraction of the training split that is held out for validation; auto values are chosen on it"""
    train_limit: int | None = None
    """size of the fixed, class-balanced subset of the training images to train on; None: all"""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 autocast where the hardware multiplies it natively, else fp32; the final evaluation is always fp32"""
    compile: bool = False
    """torch.compile the network"""
    sync_batchnorm: bool = False
    """with several processes: compute BatchNorm statistics over the batches of all of them"""
    step_rule: Annotated[StepOptions, tyro.conf.arg(name="")] = field(default_factory=StepOptions)


@dataclass(frozen=True)
class TrainingOptions(Verb):
    """The options of every command that trains."""

    recipe: str | None = None
    """a setting of the paper (`vsmooth recipes` lists them): its values become the defaults of the other options"""
    dry_run: bool = False
    """build everything, time ten steps, print size, schedule, time and memory, and stop; nothing is written"""
    setting: Annotated[Setting, tyro.conf.arg(name="")] = field(default_factory=Setting)
    execution: Annotated[Execution, tyro.conf.arg(name="")] = field(default_factory=Execution)

    @classmethod
    @abstractmethod
    def of_recipe(cls, recipe: Recipe) -> Self:
        """The options with the values of a recipe as defaults."""

    def load(self, console: Console) -> Dataset:
        """The images of the training; ``ValueError`` unless they are those that the recipe is for."""
        setting = self.setting
        dataset = load_data(setting.data, setting.image_size, setting.skip_broken, console)
        if self.recipe is not None:
            recipe = get_recipe(self.recipe)
            recipe.check_fits(dataset, setting.image_size)
            warn(recipe.doubt(dataset), console)
        return dataset


# The options that are fields of the spec as they are; the rest is renamed or resolved in `spec_of`.
_SHARED = {field.name for field in fields(Setting)} & {field.name for field in fields(RunSpec)} - {"precision"}


def spec_of(setting: Setting) -> RunSpec:
    """The experiment that ``setting`` describes, with one-hot labels; ``ValueError`` for values that cannot be.

    All that the options alone can tell is checked here, before any image is read.
    """
    check_model(setting.model, setting.drop_path)
    shape = known_image_shape(setting.data)
    if shape is not None:
        size = setting.image_size
        setting.augmentation.check_fits(*((size, size) if size else shape[1:]))
    return RunSpec(
        **{name: getattr(setting, name) for name in _SHARED},
        step=setting.step_rule.rule(),
        precision=hardware.best_precision() if setting.precision == "auto" else setting.precision,
        compile_model=setting.compile,
    )


def setting_of(spec: RunSpec) -> Setting:
    """The options of an experiment; its precision stays the machine's best."""
    shared = {name: getattr(spec, name) for name in _SHARED}
    return Setting(**shared, compile=spec.compile_model, step_rule=step_options_of(spec.step))
