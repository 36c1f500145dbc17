"""Everything that a training of a spec needs, built once for runs and dry runs; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator
from torch import nn

from vsmooth.data import Dataset, Split
from vsmooth.evaluate import evaluate_clean
from vsmooth.experiments.build import prepared_network, training_batches, training_splits
from vsmooth.experiments.environment import describe_environment
from vsmooth.experiments.outliers import describe_outliers, doubt_outliers
from vsmooth.experiments.results import Evaluator, evaluation_batches, split_evaluator
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.teaching.lesson import Lesson, TeacherSource, make_lesson
from vsmooth.train import Execution, Listener, Selection, Trainer, make_accelerator

_VALIDATED = ("accuracy", "nll", "ece", "mean_confidence")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A training that can begin. validate: predictions of a network on the validation split."""

    trainer: Trainer
    accelerator: Accelerator
    train: Split
    validation: Split
    validate: Evaluator
    lesson: Lesson | None

    def keep_teacher_logits(self, root: Path, listener: Listener) -> None:
        """Let the teacher, if there is one, look at the images whose logits are kept below ``root``."""
        if self.lesson is not None:
            self.lesson.introduce(listener.on_message)
            self.trainer.method = self.lesson.cached(self.trainer.method, self.train, root, listener.on_message)


def prepare(
    spec: RunSpec,
    dataset: Dataset,
    execution: Execution,
    teacher: TeacherSource | None,
    *,
    checkpoints: Path,
    logs: Path | None = None,
    listener: Listener | None = None,
) -> Prepared:
    """The trainer of ``spec`` and what belongs to it. logs: where trackers write; ``None``: nothing is tracked.

    Raises:
        ValueError: a network, a batch size or options that do not go with the data or with each other; there is no
            teacher where the spec has one, or another.
    """
    accelerator = make_accelerator(
        spec.precision,
        accumulate=spec.optimization.accumulate,
        compile_model=spec.compile_model,
        track=None if logs is None else execution.track,
        logs=logs,
    )
    check_execution(spec, execution, accelerator)
    if listener is not None and (doubt := spec.method.doubt()) is not None:
        listener.on_message(doubt)
    environment = describe_environment(spec.precision, accelerator.device)
    if (stream := spec.method.outliers) is not None:
        environment["outliers"] = describe_outliers(stream, dataset)
        if listener is not None and (doubt := doubt_outliers(stream, dataset)) is not None:
            listener.on_message(doubt)
    train, validation = training_splits(spec, dataset)
    validate = split_evaluator(validation, accelerator, execution.workers)
    lesson = make_lesson(spec, dataset, teacher, accelerator, execution.workers)
    taught = None if lesson is None else lesson.teacher()
    method = spec.method.build(spec.objective, dataset.num_classes, taught)
    batches = evaluation_batches(validation, accelerator.device, execution.workers)

    def evaluate(network: nn.Module) -> Mapping[str, float]:
        metrics = evaluate_clean(validate(network))
        own = {name: getattr(metrics, name) for name in _VALIDATED}
        return {**own, **method.validate(network, batches)}

    trainer = Trainer(
        method,
        prepared_network(spec, dataset, accelerator, execution),
        training_batches(spec, dataset, train, accelerator, execution),
        evaluate,
        accelerator,
        epochs=spec.epochs,
        optimization=spec.optimization,
        checkpoints=checkpoints,
        keep_checkpoints=execution.keep_checkpoints,
        shard=execution.fsdp,
        step_rule=spec.step,
        selection=Selection(spec.method.selected_by, spec.method.patience),
        listener=listener,
        environment=environment,
    )
    return Prepared(trainer, accelerator, train, validation, validate, lesson)


def check_execution(spec: RunSpec, execution: Execution, accelerator: Accelerator) -> None:
    """Raise ``ValueError`` for a way to carry out a training that does not go with ``spec``."""
    if execution.fsdp and spec.compile_model:
        raise ValueError("fsdp and compile do not go together; leave one of them out")
    if execution.fsdp and spec.method.needs_whole_weights:
        raise ValueError(f"{spec.method.name} needs the whole weights in each process: leave --fsdp out")
    if execution.fsdp and accelerator.num_processes == 1:
        raise ValueError("fsdp shards over several processes, but there is one: start with torchrun, or leave fsdp out")
