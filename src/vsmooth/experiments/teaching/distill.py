"""Teachers x seeds: a student without a teacher and one for each teacher, compared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from vsmooth.atomic import remove_partials
from vsmooth.data import Dataset
from vsmooth.experiments.compare import CompareListener, Runs, check_seeds
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.specs.robust_distillation import RobustDistillationSettings, Taught
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.teaching.lesson import CACHE_FOLDER, TeacherSource, check_student
from vsmooth.records.comparison import Comparison
from vsmooth.train import Execution
from vsmooth.train.processes import launched

PLAIN = "plain"


@dataclass(frozen=True)
class DistillPlan:
    """What to train: the student ``base`` without a teacher and with each of them, for every seed.

    how: gamma, divergence, logits and cache, or those of robust distillation with the attack, the same for every
    teacher; its fingerprint is filled in. The student without a teacher is trained by ``how.untaught()``.
    Errors: ValueError without teachers or seeds, and for a student that was given a teacher already.
    """

    base: RunSpec
    teachers: tuple[TeacherSource, ...]
    seeds: tuple[int, ...]
    how: Taught = field(default_factory=lambda: Distillation(""))

    def __post_init__(self) -> None:
        if not self.teachers or not self.seeds:
            raise ValueError("distillation needs at least one teacher and one seed")
        check_seeds(self.seeds)
        if self.base.method.teacher:
            raise ValueError("the student of a plan has no teacher of its own: leave base.method at standard training")

    @property
    def num_runs(self) -> int:
        """Number of trainings."""
        return len(self.seeds) * (1 + len(self.teachers))

    def spec(self, source: TeacherSource | None, seed: int) -> RunSpec:
        """One student. Saved logits need to know which image is which, so there every epoch is a view of its own."""
        if isinstance(self.how, RobustDistillationSettings):
            taught = None if source is None else replace(self.how, teacher=source.record.fingerprint)
            return replace(self.base, seed=seed, method=taught or self.how.untaught())
        if source is None:
            return replace(self.base, seed=seed)
        views = self.how.views or (self.base.epochs if source.saved else None)
        how = replace(self.how, teacher=source.record.fingerprint, views=views)
        return replace(self.base, seed=seed, method=how)

    def check_fits(self, num_classes: int) -> None:
        """Raise ``ValueError`` for a teacher whose logits the student cannot imitate."""
        for source in self.teachers:
            check_student(source, self.how, self.base, num_classes)


def distill(
    plan: DistillPlan,
    dataset: Dataset,
    directory: Path,
    command: str,
    listener: CompareListener | None = None,
    execution: Execution | None = None,
) -> Comparison:
    """Train what is not yet trained, then write ``summary.json``; what stops early sums up what is finished.

    Seeds go round first. Student and teacher are evaluated on the test split at the end of a run; it chooses nothing.

    Raises:
        ValueError: a teacher whose logits the student cannot imitate; else as :func:`run_experiment`.
        TrainingDivergedError, CheckpointError: as :func:`run_experiment`, with the teacher and the seed.
    """
    plan.check_fits(dataset.num_classes)
    runs = Runs(dataset, directory, command, plan.num_runs, listener or CompareListener(), execution)
    with runs.summed_up():
        if launched().is_main_process:
            remove_partials(directory / CACHE_FOLDER, recursive=True)
        for seed in plan.seeds:
            runs.kept.append(runs.run(plan.spec(None, seed), PLAIN))
            for source in plan.teachers:
                record = runs.run(plan.spec(source, seed), f"taught by {source.record.name}", source)
                named = replace(record.variant, teacher=source.record)  # its name may depend on the others
                runs.kept.append(replace(record, variant=named))
    return runs.comparison()
