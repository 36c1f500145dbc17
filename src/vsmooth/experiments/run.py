"""One run: from a spec to a folder with weights, predictions and a record."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from torch import nn

from vsmooth.atomic import remove_partials
from vsmooth.data import Dataset
from vsmooth.digests import DamagedFileError
from vsmooth.evaluate import CleanMetrics, evaluate_clean
from vsmooth.experiments.build import network_for, place, training_splits
from vsmooth.experiments.ownership import owned
from vsmooth.experiments.prepare import Prepared, prepare
from vsmooth.experiments.results import (
    Outcome,
    check_same_metrics,
    evaluate_split,
    evaluation_batches,
    finite_metrics,
    save_predictions,
    write_results,
)
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.specs.spec_file import CLAIM, SPEC_FILE, ClaimedRun
from vsmooth.experiments.teaching.lesson import TeacherSource
from vsmooth.records.comparison import SUMMARY_FILE
from vsmooth.records.run import (
    PREDICTIONS,
    RECORD_FILE,
    Checkpoint,
    RunRecord,
    intact_predictions,
    intact_weights,
    read_record,
    read_run,
    write_record,
)
from vsmooth.train import (
    Execution,
    Listener,
    Trained,
    has_checkpoint,
    load_weights,
    make_accelerator,
    read_weights,
    tracked,
)
from vsmooth.train.processes import launched

_CHECKPOINTS = "checkpoints"


def run_experiment(
    spec: RunSpec,
    dataset: Dataset,
    root: Path,
    listener: Listener | None = None,
    execution: Execution | None = None,
    teacher: TeacherSource | None = None,
) -> RunRecord:
    """Train and evaluate ``spec`` in ``root / spec.folder``; a finished run is read back, an unfinished one resumed.

    Under ``torchrun`` or ``accelerate launch`` every process calls this, and ``root`` must be a folder that all of
    them see; the first one writes. ``execution`` says how, not what: it does not change the folder. ``teacher`` is the
    one whose fingerprint ``spec.method`` has.

    Raises:
        ValueError: the folder belongs to another experiment or other data, another process is training it, or it
            cannot be written; there is no teacher where the spec has one, or another.
        TrainingDivergedError, Interrupted: as :meth:`Trainer.train`.
        KeyboardInterrupt: outside of the training steps; the message says whether there is a checkpoint.
        CheckpointError: a checkpoint or the results could not be written.
    """
    folder = root / spec.folder
    if not _is_finished(spec, dataset, folder):
        with owned(folder):
            if launched().is_main_process:
                remove_partials(folder / _CHECKPOINTS)
            try:
                _train_and_write(spec, dataset, folder, listener or Listener(), execution or Execution(), teacher)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(_how_to_go_on(folder)) from None
    if launched().is_main_process:
        shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)  # the record is written: nothing is left to resume
    return read_run(root, spec.folder)


def _how_to_go_on(folder: Path) -> str:
    if has_checkpoint(folder / _CHECKPOINTS):
        return "stopped; run the same command again to resume from the last checkpoint"
    return "stopped; this run has no checkpoint yet, so the same command begins it again"


def _is_finished(spec: RunSpec, dataset: Dataset, folder: Path) -> bool:
    """ValueError for a folder of another spec or other images."""
    claimed = (folder / SPEC_FILE).is_file()
    if claimed:
        dataset_fits(folder, spec, dataset, f"the data behind {spec.data!r} changed since: choose another --out")
    return claimed and (folder / RECORD_FILE).is_file()


def _train_and_write(
    spec: RunSpec,
    dataset: Dataset,
    folder: Path,
    listener: Listener,
    execution: Execution,
    teacher: TeacherSource | None,
) -> None:
    prepared = prepare(
        spec,
        dataset,
        execution,
        teacher,
        checkpoints=folder / _CHECKPOINTS,
        logs=folder.parent / "logs",
        listener=listener,
    )
    accelerator, trainer = prepared.accelerator, prepared.trainer
    if accelerator.is_main_process:
        _claim_folder(folder, spec, dataset)  # only now: a spec that cannot be built leaves no folder
    accelerator.wait_for_everyone()
    prepared.keep_teacher_logits(folder.parent, listener)
    with tracked(accelerator, listener, folder, spec.to_json()) as trainer.listener:
        trained = trainer.train()
    outcome = _evaluate(prepared, trained, dataset, execution, teacher)
    if accelerator.is_main_process:
        write_results(spec, dataset, outcome, folder)
    accelerator.wait_for_everyone()


def _evaluate(
    prepared: Prepared, trained: Trained, dataset: Dataset, execution: Execution, teacher: TeacherSource | None
) -> Outcome:
    """The networks of a training on the test split, which chooses nothing."""
    accelerator, lesson = prepared.accelerator, prepared.lesson
    batches = evaluation_batches(dataset.test, accelerator.device, execution.workers)

    def own_metrics(model: nn.Module) -> dict[str, float]:
        return dict(prepared.trainer.method.validate(model, batches))

    test = evaluate_split(trained.model, dataset.test, accelerator, execution.workers)
    predictions = {"test": test, "validation": prepared.validate(trained.model)}
    taught = {} if lesson is None else lesson.metrics(test)
    metrics, best = {**taught, **own_metrics(trained.model)}, None
    if trained.best is not None:
        predicted = evaluate_split(trained.best, dataset.test, accelerator, execution.workers)
        best = {**finite_metrics(evaluate_clean(predicted)), **own_metrics(trained.best)}
    return Outcome(trained, predictions, metrics, best, None if teacher is None else teacher.record)


def read_spec(folder: Path) -> RunSpec:
    """The spec of a run folder. Errors: as :func:`read_claim`."""
    return read_claim(folder).spec


def read_claim(folder: Path) -> ClaimedRun:
    """What a run folder is for.

    Raises:
        ValueError: the folder is not a run folder, or its `spec.json` is damaged: the message names the field.
    """
    if not (folder / SPEC_FILE).is_file():
        what = f"is not a run folder: it has no {SPEC_FILE}" if folder.exists() else "does not exist"
        inside = (folder / SUMMARY_FILE).is_file()
        hint = "it is a comparison, name one of its runs" if inside else "`vsmooth train` makes a run folder"
        raise ValueError(f"{folder} {what}; {hint}")
    return CLAIM.read(folder)


def finished_record(folder: Path) -> RunRecord:
    """The record of a run; ValueError for one that is not finished, and where spec and record are of different runs."""
    if not (folder / RECORD_FILE).is_file():
        raise ValueError(f"the run in {folder} is not finished: run the command that began it again")
    record = read_record(folder)
    if not (folder / SPEC_FILE).is_file():  # a published record needs no spec to be read
        return record
    spec = read_spec(folder)
    if (record.folder, record.seed) != (spec.folder, spec.seed):
        raise ValueError(
            f"in {folder} {SPEC_FILE} is of the run {spec.folder} and {RECORD_FILE} of {record.folder}, seed "
            f"{record.seed}: one of them was changed; put back a copy of it, or train again"
        )
    return record


def load_run(folder: str | Path, checkpoint: Checkpoint = "last") -> nn.Module:
    """The trained network of a finished run, in eval mode on the CPU: images (N, C, H, W) in [0, 1] to logits (N, K).

    The folder alone is enough: classes, image size and normalisation are in its records and weights. A network that
    was trained with virtual classes still has them: :func:`vsmooth.all_logits` shows their logits,
    :func:`vsmooth.remove_virtual_classes` removes them. ``checkpoint``: the "last" weights, or the "best" ones, of a
    run whose method watches a metric on the validation split.

    Raises:
        ValueError: not a run folder, not finished, or the weights are not those of the record.
        CheckpointError: the weights are missing, or do not fit the network of the spec.
    """
    folder = Path(folder)
    spec, record = read_spec(folder), finished_record(folder)
    weights = intact_weights(folder, record, checkpoint)
    model = network_for(spec, record.num_classes, trained_image_shape(folder))
    load_weights(model, read_weights(weights), weights)
    return model.eval()


def trained_image_shape(folder: Path) -> tuple[int, int, int]:
    """(C, H, W) of the images that a run was trained on. Errors: as :func:`read_claim`."""
    return read_claim(folder).image_shape


def evaluate_run(folder: Path, dataset: Dataset) -> CleanMetrics:
    """Evaluate a finished run again; write anew predictions that are missing or damaged, and nothing else.

    Raises:
        ValueError: not a run folder, not finished, its images changed, its weights are damaged, the numbers are not
            those of its record up to rounding, or another process is writing the folder. Nothing is written then.
        CheckpointError: the weights are missing.
    """
    spec, record = read_spec(folder), finished_record(folder)
    dataset_fits(folder, spec, dataset)
    accelerator = make_accelerator(spec.precision)
    model = place(load_run(folder), accelerator.device)
    predictions = {"test": evaluate_split(model, dataset.test, accelerator)}
    metrics = evaluate_clean(predictions["test"])
    check_same_metrics(record, finite_metrics(metrics), folder)
    lacking = [split for split in PREDICTIONS if not _has_predictions(folder, record, split)]
    if "validation" in lacking:
        _, validation = training_splits(spec, dataset)
        predictions["validation"] = evaluate_split(model, validation, accelerator)
    if lacking:
        with owned(folder):
            if accelerator.is_main_process:
                digests = save_predictions({split: predictions[split] for split in lacking}, folder)
                write_record(replace(record, digests={**record.digests, **digests}), folder)
            accelerator.wait_for_everyone()
    return metrics


def _has_predictions(folder: Path, record: RunRecord, split: str) -> bool:
    try:
        return intact_predictions(folder, record, split).is_file()
    except DamagedFileError:
        return False


def dataset_fits(folder: Path, spec: RunSpec, dataset: Dataset, remedy: str | None = None) -> None:
    """Raise ``ValueError`` unless the run in ``folder`` is ``spec`` on just these images.

    ``remedy``: what to do about other images; None: what helps whoever opens a finished run.
    """
    claimed = read_claim(folder)
    if claimed.spec != spec:
        raise ValueError(f"{folder} is a run of another experiment (see its {SPEC_FILE}); choose another --out")
    if claimed.data_fingerprint != dataset.fingerprint:
        remedy = remedy or f"give --data with those behind {spec.data!r}, as they were then"
        raise ValueError(f"{folder} was trained on other images than {dataset.name} has now; {remedy}")


def _claim_folder(folder: Path, spec: RunSpec, dataset: Dataset) -> None:
    if (folder / SPEC_FILE).is_file():
        return
    try:
        CLAIM.write(ClaimedRun(spec, dataset.fingerprint, dataset.image_shape), folder)
    except OSError as error:
        raise ValueError(f"cannot write to the output folder {folder}: {error.strerror or error}") from error
