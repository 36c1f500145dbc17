"""What can be typed to look at runs that are finished: calibrate, inspect, attack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vsmooth.evaluate.robust.columns import Family


@dataclass(frozen=True)
class Calibrate:
    """How well confidence fits accuracy: calibration errors with intervals, before and after scaling.

    Example: vsmooth calibrate runs/compare --out runs/compare/calibration

    Of runs it reads the saved predictions, fits temperature and vector scaling on the validation ones, and writes
    calibration.json in each run's folder, which the page of `vsmooth report` then shows. Runs of three alphas or more
    also give the ECE against alpha.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """run folders, the --out of a comparison, or npz files with `logits` (N, K) and `labels` (N,)"""
    validation: Path | None = None
    """an npz of validation logits, to fit the temperature of one file of logits"""
    bins: int = 15
    """of every binned error and of the diagrams; the ECE with 10 and 15 is always in the record"""
    resamples: int = 1000
    """of the bootstrap over the test images"""
    level: float = 0.95
    """of the intervals"""
    out: Path | None = None
    """write tables (Markdown, JSON) and figures (PNG, PDF) here"""
    shift: bool = False
    """also evaluate corrupted test images, five severities each; needs the images and time"""
    corruptions: tuple[str, ...] = ()
    """with --shift: gaussian-noise, defocus-blur, fog, jpeg, ...; all of them if left out"""
    shift_images: int | None = None
    """with --shift: so many evenly spaced test images; all of them if left out"""
    store_temperature: bool = False
    """write model-calibrated.safetensors, which divides by the temperature, beside each run's weights"""
    data: str | None = None
    """where the images are now, if not where the runs were trained; they must be the same images"""
    skip_broken: bool = False
    """go on without images that cannot be read, as the runs did"""


@dataclass(frozen=True)
class Inspect:
    """What the last layer holds: virtual classes, similarity between classes, the plane of three, input gradients.

    Example: vsmooth inspect runs/compare --human cifar10h-counts.npy --out runs/compare/inspection

    Needs the runs' images. It writes features, gradients and inspection.json in each run's folder, which the page of
    `vsmooth report` then shows. Runs of one seed are compared with its one-hot run.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """run folders, or the --out of a comparison"""
    classes: tuple[str, ...] = ()
    """three for the plane, by name or number; otherwise two that one-hot confuses most and one that it does not"""
    virtual_templates: bool = False
    """draw the templates of the virtual classes on the plane too"""
    human: Path | None = None
    """an npy of (test images, classes) counts or probabilities that people gave, in the order of the test split"""
    images: int | None = None
    """so many evenly spaced test images; all of them if left out"""
    samples: int = 8
    """test images whose input gradients are shown"""
    integrated: bool = False
    """also integrated gradients (needs captum)"""
    resamples: int = 1000
    """of the bootstrap over the test images"""
    out: Path | None = None
    """write tables (Markdown) and figures (PNG, PDF) here"""
    data: str | None = None
    """where the images are now, if not where the runs were trained; they must be the same images"""
    skip_broken: bool = False
    """go on without images that cannot be read, as the runs did"""


@dataclass(frozen=True)
class Attack:
    """Accuracy under attack: the columns of the paper, and the worst case that an honest attacker reaches.

    Example: vsmooth attack runs/compare --epsilon 8/255 --images 500 --out runs/compare/robust

    Needs the runs' images, time, and `pip install "vsmooth[robust]"` for AutoAttack. The decision of a network is the
    argmax over its K real logits, so these are the whole white-box target. Each run's folder keeps the numbers, which
    the page of `vsmooth report` then shows, and the adversarial images. Ctrl-C stops; the same command resumes.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """run folders, or the --out of a comparison"""
    epsilon: str = "8/255"
    """radius of the ball, for images in [0, 1]: a fraction or a number"""
    norm: Literal["linf", "l2"] = "linf"
    """linf: no channel of a pixel changes by more than epsilon; l2: Euclidean length of the change"""
    images: int | Literal["all"] = 500
    """so many evenly spaced test images; all: the whole test split, as where it has no more"""
    attacks: tuple[Family, ...] = ()
    """pgd cw aa aa+ multi-target lambda-sweep transfer; all that apply if left out"""
    columns: Literal["all", "standing"] = "all"
    """all: the paper's columns have numbers of their own; standing: each attacks what still stands (cheaper)"""
    step_size: float | None = None
    """of PGD-20 and CW-20, for images in [0, 1]; None: epsilon / 4"""
    restarts: int = 2
    """of the multi-targeted PGD"""
    transfer_from: Path | None = None
    """a run folder: what fools its network is tried too"""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: a column's first attack runs in bf16 too; what that leaves meets all of them in fp32 before it counts"""
    compile: bool = False
    """torch.compile the network that is attacked"""
    batch_size: int = 128
    """images attacked at once; halved where the memory is too small"""
    seed: int = 0
    """of every random start and of AutoAttack"""
    sanity: bool = True
    """also ask whether the attacks themselves can be trusted: more steps, larger epsilon, gradients, loss surface"""
    sanity_images: int = 100
    """of the images, for these checks"""
    verify: Path | None = None
    """judge saved adversarial images again on the run that they belong to, and stop; goes with --data, --skip-broken"""
    out: Path | None = None
    """write tables (Markdown) and figures (PNG, PDF) here"""
    data: str | None = None
    """where the images are now, if not where the runs were trained; they must be the same images"""
    skip_broken: bool = False
    """go on without images that cannot be read, as the runs did"""
