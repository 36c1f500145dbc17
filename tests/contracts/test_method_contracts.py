"""What holds for every training method with every step rule: it learns, resumes, is written down and stands alone."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from finding import found_below
from record_builders import run_record
from torch import Tensor, nn

import vsmooth.experiments.specs
import vsmooth.methods
from vsmooth.data import NO_AUGMENTATION, Batch, Dataset, ImageSet
from vsmooth.experiments.build import build_network
from vsmooth.experiments.outliers import training_outliers
from vsmooth.experiments.run import run_experiment
from vsmooth.experiments.specs.adversarial import (
    AdversarialTrainingSettings,
    FastSettings,
    MartSettings,
    TradesSettings,
    one_step,
)
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.specs.method import MethodSettings
from vsmooth.experiments.specs.outlier import (
    EnergyBoundSettings,
    OutlierExposureSettings,
    RejectClassesSettings,
)
from vsmooth.experiments.specs.outlier_stream import OutlierStream
from vsmooth.experiments.specs.robust_distillation import RobustDistillationSettings
from vsmooth.experiments.specs.run_spec import CONVERTER, RunSpec
from vsmooth.experiments.specs.standard import StandardTraining
from vsmooth.experiments.teaching.lesson import TeacherSource
from vsmooth.experiments.teaching.sources import open_teacher
from vsmooth.experiments.variants import variant_of
from vsmooth.losses import parse_objective
from vsmooth.methods import Crafting, Method, Plain, StepRule, Watch, WeightPerturbation
from vsmooth.records.comparison import Comparison
from vsmooth.records.run import RunRecord, read_record
from vsmooth.records.serialisation import from_plain
from vsmooth.train import Interrupted, Listener, make_accelerator, read_weights

BASE = RunSpec("toy", "small", epochs=3, batch_size=32, augmentation=NO_AUGMENTATION)
OBJECTIVES = ("one-hot", "ls:0.2", "vs:0.3", "vs:0.3:2", "vs-normalised:0.3", "dummy:2", "focal:2")
MADE = OutlierStream("synthetic", 16, 64)
WEAK, FEW = Crafting(epsilon=0.01, steps=2, step_size=0.005), Watch(images=8, steps=2)
# A new method needs a line here: its settings, with what differs from the defaults; so does a new step rule below.
METHODS: dict[type[MethodSettings], Callable[[TeacherSource], MethodSettings]] = {
    StandardTraining: lambda source: StandardTraining(),
    Distillation: lambda source: Distillation(source.record.fingerprint, gamma=0.5),
    AdversarialTrainingSettings: lambda source: AdversarialTrainingSettings(WEAK, FEW),
    FastSettings: lambda source: FastSettings(replace(one_step(), epsilon=0.01), FEW),
    TradesSettings: lambda source: TradesSettings(replace(WEAK, start="gaussian", fold=False), FEW, beta=2.0),
    MartSettings: lambda source: MartSettings(replace(WEAK, batchnorm="train"), FEW, beta=2.0),
    RobustDistillationSettings: lambda source: RobustDistillationSettings(
        WEAK, FEW, teacher=source.record.fingerprint, gamma=0.5
    ),
    OutlierExposureSettings: lambda source: OutlierExposureSettings(MADE, target="vs2"),
    RejectClassesSettings: lambda source: RejectClassesSettings(MADE, reject=3),
    EnergyBoundSettings: lambda source: EnergyBoundSettings(MADE, low=-5.0, high=-2.0),
}
STEPS: dict[type[StepRule], StepRule] = {Plain: Plain(), WeightPerturbation: WeightPerturbation(0.01, warmup=1)}
every_pair = pytest.mark.parametrize(("kind", "step"), list(product(METHODS, STEPS)))


@pytest.fixture(scope="module")
def source(toy_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> TeacherSource:
    """A one-hot teacher."""
    root = tmp_path_factory.mktemp("teacher")
    return open_teacher(str(root / run_experiment(BASE, toy_dataset, root).folder), toy_dataset)


def spec_of(
    kind: type[MethodSettings], step: type[StepRule], source: TeacherSource, text: str = "vs:0.3"
) -> RunSpec:
    return replace(BASE, objective=parse_objective(text), method=METHODS[kind](source), step=STEPS[step])


def teacher_of(spec: RunSpec, source: TeacherSource) -> TeacherSource | None:
    return source if spec.method.teacher else None


def method_of(spec: RunSpec, source: TeacherSource, dataset: Dataset) -> Method:
    found = teacher_of(spec, source)
    teacher = None if found is None else found.teacher(spec, dataset, make_accelerator("fp32"))
    return spec.method.build(spec.objective, dataset.num_classes, teacher)


def network_and_batch(spec: RunSpec, dataset: Dataset) -> tuple[nn.Module, Batch]:
    torch.manual_seed(0)
    assert isinstance(dataset.train, ImageSet)
    batch = Batch(dataset.train.images[::5].float() / 255, dataset.train.labels[::5])
    if spec.method.outliers is not None:
        outliers = training_outliers(spec.method.outliers, dataset).images
        batch = replace(batch, extra=Batch(outliers.images[::4].float() / 255, outliers.labels[::4]))
    return build_network(spec, dataset), batch


def test_no_method_and_no_step_rule_is_forgotten(source: TeacherSource, toy_dataset: Dataset) -> None:
    assert found_below(MethodSettings, vsmooth.experiments.specs) == METHODS.keys()
    assert found_below(StepRule, vsmooth.methods) == STEPS.keys()
    built = {type(method_of(spec_of(kind, Plain, source), source, toy_dataset)) for kind in METHODS}
    assert found_below(Method, vsmooth.methods) == built


@every_pair
@pytest.mark.parametrize("text", OBJECTIVES)
def test_a_few_steps_lower_the_loss(
    kind: type[MethodSettings], step: type[StepRule], text: str, source: TeacherSource, toy_dataset: Dataset
) -> None:
    spec = spec_of(kind, step, source, text)
    method, (model, batch) = method_of(spec, source, toy_dataset), network_and_batch(spec, toy_dataset)
    optimizer, losses = torch.optim.SGD(model.parameters(), 0.1), []
    for _ in range(10):
        optimizer.zero_grad()
        loss = spec.step.backward(method, model, method.craft(model, batch), Tensor.backward)
        assert loss.total.shape == ()
        assert all(part.shape == () for part in loss.parts.values())
        optimizer.step()
        losses.append(loss.total.item())
    assert losses[-1] < losses[0]


@every_pair
def test_crafting_leaves_no_weight_gradient_and_keeps_the_batch_and_a_step_keeps_the_weights(
    kind: type[MethodSettings], step: type[StepRule], source: TeacherSource, toy_dataset: Dataset
) -> None:
    spec = spec_of(kind, step, source)
    method, (model, batch) = method_of(spec, source, toy_dataset), network_and_batch(spec, toy_dataset)
    images, weights = batch.images.clone(), [weight.detach().clone() for weight in model.parameters()]
    crafted = method.craft(model, batch)
    assert all(weight.grad is None for weight in model.parameters())
    assert torch.equal(batch.images, images)
    spec.step.backward(method, model, crafted, Tensor.backward)
    assert all(weight.grad is not None for weight in model.parameters())
    assert all(torch.equal(old, new) for old, new in zip(weights, model.parameters(), strict=True))


class Stops(Listener):
    """Sends SIGTERM after a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_step(self, step: int, total: int, loss: float) -> None:
        if step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


@every_pair
def test_a_run_learns_and_resumes_bit_for_bit(
    kind: type[MethodSettings], step: type[StepRule], source: TeacherSource, toy_dataset: Dataset, tmp_path: Path
) -> None:
    spec = spec_of(kind, step, source)
    teacher = teacher_of(spec, source)
    whole = run_experiment(spec, toy_dataset, tmp_path / "whole", teacher=teacher)
    with pytest.raises(Interrupted):
        run_experiment(spec, toy_dataset, tmp_path / "resumed", Stops(at=6), teacher=teacher)
    resumed = run_experiment(spec, toy_dataset, tmp_path / "resumed", teacher=teacher)
    expected, found = (
        read_weights(tmp_path / name / spec.folder / "model.safetensors") for name in ("whole", "resumed")
    )
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    assert (resumed.metrics, resumed.variant) == (whole.metrics, whole.variant)
    timeless = [
        [replace(epoch, seconds=0.0, images_per_second=0.0) for epoch in run.history] for run in (whole, resumed)
    ]
    assert timeless[0] == timeless[1]
    assert whole.history[-1].loss < whole.history[0].loss
    record = None if teacher is None else teacher.record
    assert read_record(tmp_path / "whole" / spec.folder).variant == variant_of(spec, toy_dataset.num_classes, record)


@every_pair
def test_the_spec_survives_json(kind: type[MethodSettings], step: type[StepRule], source: TeacherSource) -> None:
    spec = spec_of(kind, step, source)
    again = from_plain(RunSpec, json.loads(json.dumps(spec.to_json())), CONVERTER)
    assert (again, again.key, again.folder) == (spec, spec.key, spec.folder)


def made_up(spec: RunSpec, source: TeacherSource, accuracy: float) -> RunRecord:
    found = teacher_of(spec, source)
    run = run_record("one-hot", 0.0, 0, 0, "toy", "small", 1, 1, 4, {"accuracy": accuracy}, 1.0, 1.0, (), spec.folder)
    return replace(run, variant=variant_of(spec, 4, None if found is None else found.record))


@every_pair
def test_each_is_a_row_of_its_own_with_the_right_baseline(
    kind: type[MethodSettings], step: type[StepRule], source: TeacherSource
) -> None:
    """Beside one-hot and VS in standard training; a taught student is compared with the one that has no teacher."""
    own = spec_of(kind, step, source, "one-hot")
    plain = replace(BASE, step=STEPS[step], method=own.method.untaught() or BASE.method)
    specs = dict.fromkeys(
        spec.with_objective(parse_objective(text)) for spec in (BASE, plain, own) for text in ("one-hot", "vs:0.3")
    )
    runs = tuple(made_up(spec, source, 0.5 + 0.05 * place) for place, spec in enumerate(specs))
    comparison = Comparison(runs, "", {}, ("a", "b", "c", "d"))
    assert [group.runs for group in comparison.groups] == [(run,) for run in runs]
    assert len({group.name for group in comparison.groups}) == len(specs)
    one_hot, virtual = (own.with_objective(parse_objective(text)) for text in ("one-hot", "vs:0.3"))
    if own.method.teacher:
        pairs = [(one_hot, plain), (virtual, plain.with_objective(virtual.objective))]
    else:
        pairs = [(virtual, one_hot)]
    by_spec = dict(zip(specs, comparison.groups, strict=True))
    for spec, baseline in pairs:
        assert comparison.baseline_of(by_spec[spec]) is by_spec[baseline]
