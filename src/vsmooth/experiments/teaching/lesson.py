"""A student's lesson: from a teacher and a spec to the method that trains it, and the fidelity to the teacher."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from accelerate import Accelerator
from torch import Tensor

from vsmooth.data import BatchPlan, Dataset, Placement, Split, StreamedBatches, make_batches
from vsmooth.evaluate import Predictions
from vsmooth.experiments.build import training_splits
from vsmooth.experiments.results import evaluation_batches
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.specs.robust_distillation import RobustDistillationSettings, Taught
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.head import LogitSet
from vsmooth.methods import Distill, Method, NetworkTeacher, Teacher, Watch
from vsmooth.methods.adversarial import ROBUST, watch_robustness
from vsmooth.methods.teacher_cache import CachedTeacher, CacheKey, Storage, write_cache
from vsmooth.metrics import accuracy, fidelity
from vsmooth.models import prefers_channels_last
from vsmooth.records.teacher import TeacherRecord

CACHE_FOLDER = "teacher-cache"
_CACHE_BATCH = 256
_POOR = 1.5  # times chance
_ATTACKED = 100


class TeacherSource(ABC):
    """Where a teacher comes from. saved: its logits are of the plain images, whatever the student sees of them."""

    record: TeacherRecord
    saved: bool = False

    @abstractmethod
    def width(self, taught: LogitSet, num_classes: int) -> int:
        """How many logits it teaches; ``ValueError`` for all of a teacher without virtual classes."""

    @abstractmethod
    def precision(self, spec: RunSpec) -> str:
        """What its forward pass runs in."""

    @abstractmethod
    def teacher(self, spec: RunSpec, dataset: Dataset, accelerator: Accelerator) -> Teacher:
        """The teacher of one training, on its device."""

    @abstractmethod
    def test_logits(self, dataset: Dataset, accelerator: Accelerator, workers: int | None) -> Tensor | None:
        """Its K real logits (N, K) of the test images, in fp32 on the CPU; ``None`` where they are not known."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """One student's training by one teacher."""

    spec: RunSpec
    dataset: Dataset
    source: TeacherSource
    accelerator: Accelerator
    workers: int | None = None

    @property
    def settings(self) -> Taught:
        found = self.spec.method
        if not isinstance(found, Taught) or found.teacher != self.source.record.fingerprint:
            raise ValueError(f"the run's teacher has another fingerprint than {self.source.record.origin}")
        return found

    @property
    def kept_views(self) -> int | None:
        """Views of each image whose logits a cache keeps; ``None`` where there is nothing to keep."""
        found = self.settings
        return None if self.source.saved or found.gamma == 0 else found.views

    def teacher(self) -> Teacher:
        """The teacher, which looks at every batch; ``ValueError`` for another than the spec's."""
        check_student(self.source, self.settings, self.spec, self.dataset.num_classes)
        return self.source.teacher(self.spec, self.dataset, self.accelerator)

    def cached(self, method: Method, train: Split, root: Path, tell: Callable[[str], None]) -> Method:
        """The same method with the teacher's logits from a cache below ``root``, which is written if need be."""
        found, views = self.settings, self.kept_views
        if views is None or not isinstance(method, Distill) or not isinstance(found, Distillation):
            return method
        key = self._key(found, views, method.teacher.width, len(train))
        folder = root / CACHE_FOLDER / key.name
        plan = BatchPlan(
            min(_CACHE_BATCH, len(train)),
            shuffle=False,
            drop_last=False,
            seed=self.spec.seed,
            augmentation=self.spec.augmentation,
            views=views,
        )
        device = self.accelerator.device
        layout = prefers_channels_last(device)
        batches = make_batches(train, plan, Placement(device, channels_last=layout, workers=self.workers))
        mine = range(self.accelerator.process_index, views, self.accelerator.num_processes)

        def on_view(view: int) -> None:
            tell(f"the teacher looks at view {view + 1} of {views}; its logits are kept in {folder}")

        write_cache(folder, key, method.teacher, batches, views=mine, on_view=on_view)
        if isinstance(batches, StreamedBatches):
            batches.close()
        self.accelerator.wait_for_everyone()
        return replace(method, teacher=CachedTeacher(folder, key))

    def _key(self, found: Distillation, views: int, width: int, samples: int) -> CacheKey:
        spec = self.spec
        split = f"{self.dataset.fingerprint} {spec.train_limit} {spec.validation_fraction} {spec.split_seed}"
        return CacheKey(
            teacher=found.teacher,
            taught=found.logits,
            width=width,
            precision=self.source.precision(spec),
            data=split,
            samples=samples,
            augmentation=spec.augmentation,
            seed=spec.seed,
            views=views,
            storage=Storage() if found.top_k is None else Storage(found.top_k, found.divergence.tau),
        )

    def introduce(self, tell: Callable[[str], None]) -> None:
        """Say so if the teacher is hardly ever right: its classes may be others, or in another order."""
        logits = self.source.test_logits(self.dataset, self.accelerator, self.workers)
        if logits is None:
            return
        right = float((logits.argmax(1) == self.dataset.test.labels.cpu()).double().mean())
        if right < _POOR / self.dataset.num_classes:
            tell(
                f"the teacher {self.source.record.name} is right on {100 * right:.1f} % of the test images only: does "
                "it know these classes, in this order?"
            )
        if isinstance(self.settings, RobustDistillationSettings):
            self._doubt_robustness(self.settings, tell)

    def _doubt_robustness(self, found: RobustDistillationSettings, tell: Callable[[str], None]) -> None:
        """Say so if hardly any held-out image stands under attack: robustness is what this teacher is for."""
        teacher = self.teacher()
        if not isinstance(teacher, NetworkTeacher):
            return
        _, validation = training_splits(self.spec, self.dataset)
        batches = evaluation_batches(validation, self.accelerator.device, self.workers)
        watch = Watch(images=_ATTACKED)
        robust = watch_robustness(teacher.network, batches, self.dataset.num_classes, found.crafting, watch)[ROBUST]
        if robust < _POOR / self.dataset.num_classes:
            tell(
                f"the teacher {self.source.record.name} is not robust: under PGD-{watch.steps} {100 * robust:.1f} % of "
                f"{min(_ATTACKED, len(validation))} held-out images stand; a student cannot learn robustness from it"
            )

    def metrics(self, test: Predictions) -> dict[str, float]:
        """Of the teacher on the test images, and of the student's fidelity to it; none where its logits are unknown."""
        logits = self.source.test_logits(self.dataset, self.accelerator, self.workers)
        if logits is None:
            return {}
        found = fidelity(logits, test.logits)
        return {
            "teacher_accuracy": accuracy(logits.double().softmax(1), test.labels),
            "teacher_agreement": found.agreement,
            "teacher_divergence": found.divergence,
        }


def make_lesson(
    spec: RunSpec, dataset: Dataset, source: TeacherSource | None, accelerator: Accelerator, workers: int | None
) -> Lesson | None:
    """``None`` for a run without a teacher; ``ValueError`` where one of spec and source has a teacher alone."""
    if (source is None) != (not spec.method.teacher):
        raise ValueError("a teacher and a spec with distillation go together; one of them is missing")
    return None if source is None else Lesson(spec, dataset, source, accelerator, workers)


def check_student(source: TeacherSource, method: Taught, spec: RunSpec, num_classes: int) -> None:
    """Raise ``ValueError`` unless the student of ``spec`` has the logits that ``method`` teaches."""
    width, own = source.width(method.logits, num_classes), num_classes + spec.objective.num_virtual(num_classes)
    if width not in (num_classes, own):
        raise ValueError(
            f"{source.record.name} teaches {width} logits and the student has {own}: all K + V logits can be taught "
            f"only where both have the same virtual classes; give the student --label vs:ALPHA:{width - num_classes}, "
            "or teach the real ones (--logits real)"
        )
    if method.divergence.kind == "decoupled" and width < 3:
        raise ValueError("decoupled distillation needs 3 classes or more: of 2 there is but one other class")
