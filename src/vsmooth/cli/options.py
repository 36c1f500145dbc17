"""What can be typed: each command is a frozen value, and its help is read off the types."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vsmooth.cli.analysis_options import Attack, Calibrate, Inspect
from vsmooth.data import Augmentation, Mixing
from vsmooth.head import LogitSet
from vsmooth.losses import DivergenceKind
from vsmooth.train import Execution, Optimization


@dataclass(frozen=True)
class Setting:
    """Data, network and training, the same for every label."""

    data: str = "embedded"
    """embedded; cifar10, cifar100, svhn, mnist, fashion-mnist (downloaded); a folder of parquet files or of
    train/CLASS/*.png; hub:owner/name; tiny-imagenet, imagenet (your copy, in $VSMOOTH_DATA)"""
    image_size: int | None = None
    """stream crops of so many pixels a side from files; None: whole images, in memory (imagenet: crops of 224)"""
    skip_broken: bool = False
    """go on without images that cannot be read; otherwise the first one stops the run"""
    model: str = "small"
    """small, resnet20, resnet18, resnext29-2x64d, wrn-28-10, t2t-vit-14, ... or any timm architecture"""
    drop_path: float = 0.0
    """largest rate of stochastic depth, for networks that have it"""
    epochs: int = 20
    batch_size: int = 128
    """images in a step, over all processes"""
    optimization: Annotated[Optimization, tyro.conf.arg(name="")] = field(default_factory=Optimization)
    augmentation: Annotated[Augmentation, tyro.conf.arg(name="")] = field(default_factory=Augmentation)
    mixing: Annotated[Mixing, tyro.conf.arg(name="")] = field(default_factory=Mixing)
    validation_fraction: float = 0.1
    """share of the train split that is held out; everything that is chosen is chosen on it"""
    train_limit: int | None = None
    """train on a fixed, class-balanced subset of this many images"""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 autocast where the hardware multiplies it natively, else fp32; the final evaluation is always fp32"""
    compile: bool = False
    """torch.compile the network"""
    sync_batchnorm: bool = False
    """with several processes: BatchNorm statistics over the batches of all of them"""


@dataclass(frozen=True)
class Train:
    """Train one network and evaluate it on the test split.

    Example: vsmooth train --label vs:0.3 --data embedded --model small --epochs 20

    With --recipe NAME the options default to a setting of the paper; `vsmooth train --recipe NAME --help` shows it.
    Ctrl-C saves; the same command resumes. Several GPUs: torchrun --nproc-per-node 4 -m vsmooth train ...
    """

    label: str = "vs:0.3"
    """one-hot, ls:ALPHA, vs:ALPHA or vs:ALPHA:V (V virtual classes; V = K if left out)"""
    recipe: str | None = None
    """a setting of the paper (`vsmooth recipes` lists them): its values become the defaults of the other options"""
    dry_run: bool = False
    """build everything, time ten steps, print size, schedule, time and memory, and stop; nothing is written"""
    seed: int = 0
    setting: Annotated[Setting, tyro.conf.arg(name="")] = field(default_factory=Setting)
    execution: Annotated[Execution, tyro.conf.arg(name="")] = field(default_factory=Execution)
    out: Path = Path("runs/train")
    """the run becomes a folder in here"""


@dataclass(frozen=True)
class Compare:
    """Train every label with every seed; write a table, summary.json and report.html.

    Example: vsmooth compare --labels one-hot ls:0.1 vs:0.1 vs:0.3 --seeds 3 --data cifar10 --model resnet20

    With --recipe NAME the options default to a setting of the paper; `vsmooth compare --recipe NAME --help` shows it.
    Ctrl-C saves; the same command resumes. Finished runs are not trained again, so labels and seeds can be added:
    the table and the page show the labels of the last command.
    """

    labels: tuple[str, ...] = ("one-hot", "ls:0.1", "vs:0.3")
    """one-hot, ls:ALPHA, vs:ALPHA, vs:ALPHA:V; ls:auto and vs:auto choose alpha on the validation split"""
    recipe: str | None = None
    """a setting of the paper (`vsmooth recipes` lists them): its values become the defaults of the other options"""
    dry_run: bool = False
    """build one run, time ten steps, print how many runs there are and how long they take, and stop"""
    seeds: int = 1
    """seeds 0, 1, ... for every label; three or more give confidence intervals over seeds"""
    setting: Annotated[Setting, tyro.conf.arg(name="")] = field(default_factory=Setting)
    execution: Annotated[Execution, tyro.conf.arg(name="")] = field(default_factory=Execution)
    out: Path = Path("runs/compare")
    """results go here"""


@dataclass(frozen=True)
class StudentSetting(Setting):
    """The same for students, whose network has another name on the command line."""

    model: Annotated[str, tyro.conf.arg(name="student")] = "small"
    """network of the students: small, resnet20, mobilenet-v2, resnet18, ... or any timm architecture"""


@dataclass(frozen=True)
class Distill:
    """Train a student without a teacher and one for each teacher, with every seed; write table and page.

    Example: vsmooth distill --teacher runs/compare/vs-0.3-seed0-1a2b3c4d5e --student mobilenet-v2 --data cifar10

    The loss is gamma * tau^2 * KL(teacher || student) + (1 - gamma) * CE(student). Teachers are named one by one:
    --teacher RUN1 --teacher RUN2. Ctrl-C saves; the same command resumes; teachers and seeds can be added.
    """

    teacher: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """a run folder, timm:NAME (pretrained), or an npz file with logits and labels of the train split"""
    label: str = "one-hot"
    """label of the students' own cross entropy: one-hot, ls:ALPHA, vs:ALPHA or vs:ALPHA:V"""
    gamma: float = 1.0
    """weight of what the teacher says, 0..1; the student's own cross entropy weighs 1 - gamma"""
    tau: float = 30.0
    """temperature of both softmaxes (the paper: 30; most of the literature: 4; decoupled: 4; standardised: 2)"""
    divergence: DivergenceKind = "kl"
    """kl; decoupled: true class and other classes weighed apart (DKD); standardised: KL of standardised logits"""
    target_weight: float = 1.0
    """of the true class against the rest (decoupled alone)"""
    other_weight: float = 8.0
    """of the distribution among the other classes (decoupled alone)"""
    logits: LogitSet = "real"
    """real: the K of the real classes; all: K + V, where teacher and student have the same V"""
    cache_teacher: int | None = None
    """show the students so many views of each image, again and again, and compute the teacher's logits for them once"""
    cache_top_k: int | None = None
    """keep so many logits an image one by one and the rest as one number; None: all (2 bytes each)"""
    recipe: str | None = None
    """a setting of the paper (`vsmooth recipes` lists them): its values become the defaults of the other options"""
    dry_run: bool = False
    """build the students, time ten steps with each teacher, print how many runs there are and how long, and stop"""
    seeds: int = 1
    """seeds 0, 1, ... for every teacher; three or more give confidence intervals over seeds"""
    setting: Annotated[StudentSetting, tyro.conf.arg(name="")] = field(default_factory=StudentSetting)
    execution: Annotated[Execution, tyro.conf.arg(name="")] = field(default_factory=Execution)
    out: Path = Path("runs/distill")
    """results go here, the teachers' logits too"""


@dataclass(frozen=True)
class Evaluate:
    """Evaluate a finished run on its test split again: accuracy, NLL, Brier, calibration errors, confidence.

    Example: vsmooth evaluate runs/compare/vs-0.3-seed0-1a2b3c4d5e
    """

    run: Annotated[Path, tyro.conf.Positional]
    """a run folder"""
    data: str | None = None
    """where the images are now, if not where the run was trained; they must be the same images"""
    skip_broken: bool = False
    """go on without images that cannot be read, as the run did"""


@dataclass(frozen=True)
class Report:
    """Rebuild report.html and print the table of a comparison, from its records alone.

    Example: vsmooth report runs/compare
    """

    directory: Annotated[Path, tyro.conf.Positional]
    """the --out of a comparison"""


@dataclass(frozen=True)
class Recipes:
    """List the paper's settings with its numbers, or say of one where each value comes from.

    Example: vsmooth recipes cifar100-resnext29
    """

    name: Annotated[str | None, tyro.conf.Positional] = None
    """a recipe; all of them if left out"""


Command = Train | Compare | Distill | Evaluate | Report | Calibrate | Inspect | Attack | Recipes
