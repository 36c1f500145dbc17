"""What can be typed: each command is a frozen value, and its help is read off the types."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vsmooth.data import Augmentation
from vsmooth.train.optim import Optimization


@dataclass(frozen=True)
class Setting:
    """Data, network and training, the same for every label."""

    data: str = "embedded"
    """embedded; cifar10, cifar100, svhn, mnist, fashion-mnist (downloaded); a folder of parquet files or of
    train/CLASS/*.png; hub:owner/name"""
    model: str = "small"
    """small, resnet20, resnet18, or any timm architecture"""
    epochs: int = 20
    batch_size: int = 128
    optimization: Annotated[Optimization, tyro.conf.arg(name="")] = field(default_factory=Optimization)
    augmentation: Annotated[Augmentation, tyro.conf.arg(name="")] = field(default_factory=Augmentation)
    validation_fraction: float = 0.1
    """share of the train split that is held out; everything that is chosen is chosen on it"""
    train_limit: int | None = None
    """train on a fixed, class-balanced subset of this many images"""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 autocast where the hardware multiplies it natively, else fp32; the final evaluation is always fp32"""
    compile: bool = False
    """torch.compile the network"""


@dataclass(frozen=True)
class Train:
    """Train one network and evaluate it on the test split.

    Example: vsmooth train --label vs:0.3 --data embedded --model small --epochs 20

    Ctrl-C saves; the same command resumes.
    """

    label: str = "vs:0.3"
    """one-hot, ls:ALPHA, vs:ALPHA or vs:ALPHA:V (V virtual classes; V = K if left out)"""
    seed: int = 0
    setting: Annotated[Setting, tyro.conf.arg(name="")] = field(default_factory=Setting)
    out: Path = Path("runs/train")
    """the run becomes a folder in here"""


@dataclass(frozen=True)
class Compare:
    """Train every label with every seed; write a table, summary.json and report.html.

    Example: vsmooth compare --labels one-hot ls:0.1 vs:0.1 vs:0.3 --seeds 3 --data cifar10 --model resnet20

    Ctrl-C saves; the same command resumes. Finished runs are not trained again, so labels and seeds can be added:
    the table and the page show the labels of the last command.
    """

    labels: tuple[str, ...] = ("one-hot", "ls:0.1", "vs:0.3")
    """one-hot, ls:ALPHA, vs:ALPHA, vs:ALPHA:V; ls:auto and vs:auto choose alpha on the validation split"""
    seeds: int = 1
    """seeds 0, 1, ... for every label; three or more give confidence intervals over seeds"""
    setting: Annotated[Setting, tyro.conf.arg(name="")] = field(default_factory=Setting)
    out: Path = Path("runs/compare")
    """results go here"""


@dataclass(frozen=True)
class Evaluate:
    """Evaluate a finished run on its test split again: accuracy, NLL, Brier, calibration errors, confidence.

    Example: vsmooth evaluate runs/compare/vs-0.3-seed0-1a2b3c4d5e
    """

    run: Annotated[Path, tyro.conf.Positional]
    """a run folder"""
    data: str | None = None
    """where the images are now, if not where the run was trained; they must be the same images"""


@dataclass(frozen=True)
class Report:
    """Rebuild report.html and print the table of a comparison, from its records alone.

    Example: vsmooth report runs/compare
    """

    directory: Annotated[Path, tyro.conf.Positional]
    """the --out of a comparison"""
