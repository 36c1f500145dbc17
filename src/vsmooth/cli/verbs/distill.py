"""`vsmooth distill`: students without and with teachers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

import tyro
from rich.console import Console

from vsmooth.cli.display import Display
from vsmooth.cli.dry_run import dry_distill
from vsmooth.cli.images import say_replaced
from vsmooth.cli.method_options import AttackOptions, fill_in
from vsmooth.cli.training_options import Setting, TrainingOptions, setting_of, spec_of
from vsmooth.cli.verbs.report import show_report
from vsmooth.experiments.compare import first_seeds
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.specs.robust_distillation import RobustDistillationSettings, Taught
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.teaching.distill import DistillPlan, distill
from vsmooth.experiments.teaching.sources import open_teachers
from vsmooth.head import LogitSet
from vsmooth.losses import FORMS, Divergence, DivergenceKind, parse_objective
from vsmooth.recipes import Recipe


@dataclass(frozen=True)
class StudentSetting(Setting):
    """The same for students, whose network has another name on the command line."""

    model: Annotated[str, tyro.conf.arg(name="student")] = "small"
    """network of the students: small, resnet20, mobilenet-v2, resnet18, ... or any timm architecture"""


@dataclass(frozen=True)
class Distill(TrainingOptions):
    """Train a student without a teacher and one for each teacher, with every seed; write table and page.

    Example: vsmooth distill --teacher runs/compare/vs-0.3-seed0-1a2b3c4d5e --student mobilenet-v2 --data cifar10

    The loss is gamma * tau^2 * KL(teacher || student) + (1 - gamma) * CE(student). Give --teacher once for each:
    --teacher RUN1 --teacher RUN2. Ctrl-C saves; the same command resumes; teachers and seeds can be added.
    """

    method: Literal["kd", "ard"] = "kd"
    """kd: on the images as they are; ard: robust distillation, on images that the student is attacked with"""
    teacher: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """a run folder, timm:NAME (pretrained), or an npz file with logits and labels of the training split"""
    label: Annotated[str, tyro.conf.arg(help=f"of the students' own loss: {FORMS}; see vsmooth labels")] = "one-hot"
    gamma: float = 1.0
    """weight of the divergence from the teacher, 0..1; the student's own cross entropy weighs 1 - gamma"""
    tau: float | None = None
    """temperature of both softmaxes (kd: 30, ard: 1, as in the paper; most of the literature: 4; decoupled: 4;
    standardised: 2)"""
    divergence: DivergenceKind = "kl"
    """kl; decoupled: true class and other classes weighted separately (DKD); standardised: KL of standardised logits"""
    target_weight: float = 1.0
    """weight of the true class against the rest (decoupled only)"""
    other_weight: float = 8.0
    """weight of the distribution over the other classes (decoupled only)"""
    logits: LogitSet = "real"
    """real: the K logits of the real classes; all: K + V, where teacher and student have the same V"""
    cache_teacher: int | None = None
    """train on this many fixed views of each image, whose teacher logits are computed once; None: every view is new"""
    cache_top_k: int | None = None
    """number of largest logits kept per image, the rest as one number; None: all (2 bytes each)"""
    attack: Annotated[AttackOptions, tyro.conf.arg(name="")] = field(default_factory=AttackOptions)
    seeds: int = 1
    """number of seeds per teacher (0, 1, ...); three or more give confidence intervals over seeds"""
    setting: Annotated[StudentSetting, tyro.conf.arg(name="")] = field(default_factory=StudentSetting)
    out: Path = Path("runs/distill")
    """folder for the runs, the summary, the page and the teachers' logits"""

    @classmethod
    def of_recipe(cls, recipe: Recipe) -> Self:
        return cls(recipe=recipe.name, setting=StudentSetting(**vars(setting_of(recipe.spec))))

    def base(self) -> RunSpec:
        """The student without a teacher; ``ValueError`` for a label whose value is left to choose."""
        return spec_of(self.setting).with_objective(parse_objective(self.label))

    def settings(self) -> Taught:
        """What students learn; the teacher's fingerprint is filled in later. ``ValueError`` for impossible values."""
        divergence = Divergence(self.divergence, self._tau, self.target_weight, self.other_weight)
        settings: Taught
        if self.method == "ard":
            self._check_ard()
            settings = RobustDistillationSettings(gamma=self.gamma, divergence=divergence)
        else:
            settings = Distillation("", self.gamma, divergence, self.logits, self.cache_teacher, self.cache_top_k)
        settings = fill_in(settings, self.attack, f"--method {self.method}")
        settings.check_fits(self.setting.mixing)
        return settings

    @property
    def _tau(self) -> float:
        usual = RobustDistillationSettings().divergence.tau if self.method == "ard" else Divergence().tau
        return usual if self.tau is None else self.tau

    def _check_ard(self) -> None:
        unread = ("logits", "cache_teacher", "cache_top_k")
        given = [name for name in unread if getattr(self, name) != getattr(Distill, name)]
        if given:
            option = given[0].replace("_", "-")
            raise ValueError(f"--{option} does nothing with --method ard, whose teacher sees every image: leave it out")

    def run(self, console: Console, typed: str) -> None:
        seeds = first_seeds(self.seeds)
        base, method = self.base(), self.settings()
        dataset = self.load(console)
        plan = DistillPlan(base, open_teachers(self.teacher, dataset), seeds, method)
        if self.dry_run:
            dry_distill(plan, dataset, self.execution, console)
            return
        names = {source.record.fingerprint: source.record.name for source in plan.teachers}
        with Display(console, names) as display:
            distill(plan, dataset, self.out, typed, display, execution=self.execution)
        say_replaced(dataset, console)
        if not console.quiet:  # of several processes one writes the page
            show_report(self.out, console)
