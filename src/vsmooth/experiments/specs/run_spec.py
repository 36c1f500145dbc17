"""An experiment as a frozen value; its hash is the run folder's name, the resume key and the join key of reports."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

from vsmooth.bounds import MOST_EPOCHS, check_batch_size, check_count, check_seed
from vsmooth.data import Augmentation, Mixing
from vsmooth.experiments.specs.adversarial import (
    AdversarialTrainingSettings,
    FastSettings,
    MartSettings,
    TradesSettings,
)
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.specs.method import differing
from vsmooth.experiments.specs.outlier import EnergyBoundSettings, OutlierExposureSettings, RejectClassesSettings
from vsmooth.experiments.specs.robust_distillation import RobustDistillationSettings
from vsmooth.experiments.specs.standard import StandardTraining
from vsmooth.labels import OneHot
from vsmooth.losses import LabelObjective, Objective, parse_objective
from vsmooth.methods import Plain, WeightPerturbation
from vsmooth.records.serialisation import make_converter, register_text, to_plain
from vsmooth.train.hardware import Precision
from vsmooth.train.optim import Optimization

SCHEMA = 3
# A method's settings are one name here, and a step rule is one below.
Training = (
    StandardTraining
    | Distillation
    | AdversarialTrainingSettings
    | FastSettings
    | TradesSettings
    | MartSettings
    | RobustDistillationSettings
    | OutlierExposureSettings
    | RejectClassesSettings
    | EnergyBoundSettings
)
Step = Plain | WeightPerturbation

_MOST_IMAGES, _LARGEST_IMAGE = 10**9, 4096


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides the outcome of one training, and nothing else.

    objective: what the logits are trained towards. method: the settings of the training method, which builds it. step:
    the rule by which a step makes gradients of the method's loss. image_size: side in pixels to which images are
    brought (None: as they are). drop_path: largest rate of stochastic depth. sync_batchnorm: BatchNorm's statistics are
    taken over all processes.
    """

    data: str
    model: str
    objective: Objective = field(default_factory=lambda: LabelObjective(OneHot()))
    method: Training = field(default_factory=StandardTraining)
    step: Step = field(default_factory=Plain)
    seed: int = 0
    epochs: int = 20
    batch_size: int = 128
    optimization: Optimization = field(default_factory=Optimization)
    augmentation: Augmentation = field(default_factory=Augmentation)
    validation_fraction: float = 0.1
    split_seed: int = 0
    train_limit: int | None = None
    precision: Precision = "fp32"
    compile_model: bool = False
    image_size: int | None = None
    mixing: Mixing = field(default_factory=Mixing)
    drop_path: float = 0.0
    sync_batchnorm: bool = False

    def __post_init__(self) -> None:
        check_count("epochs", self.epochs, 1, MOST_EPOCHS, "no training ends that takes longer")
        check_batch_size(self.batch_size)
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be inside (0, 1), got {self.validation_fraction}")
        check_seed(self.seed)
        check_seed(self.split_seed, "split_seed")
        if self.train_limit is not None:
            check_count("train_limit", self.train_limit, 1, _MOST_IMAGES, "no data set has more images: leave it out")
        if self.image_size is not None:
            why = f"one image of {_LARGEST_IMAGE:,} pixels a side is 200 MB of floats"
            check_count("image_size", self.image_size, 1, _LARGEST_IMAGE, why)
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path must be a probability in [0, 1), got {self.drop_path}")
        self.method.check_fits(self.mixing)

    def to_json(self) -> dict[str, Any]:
        """Plain values; the objective as its text. `from_plain` with the `CONVERTER` of this module undoes it."""
        found: dict[str, Any] = to_plain(self, RunSpec, CONVERTER)
        return found

    @property
    def key(self) -> str:
        """Ten hexadecimal digits that change with any field; fields at their defaults have no part in it."""
        canonical = json.dumps({"schema": SCHEMA, **_canonical(self)}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:10]

    @property
    def folder(self) -> str:
        """A run folder's name that a person can read: ``vs-0.3-seed0-1a2b3c4d5e``, ``kd-one-hot-seed0-...``."""
        words = (self.method.name, self.step.name, self.objective.text)
        name = "-".join(re.sub(r"[^a-z0-9.]+", "-", word.lower()) for word in words if word)
        return f"{name}-seed{self.seed}-{self.key}"

    def with_objective(self, objective: Objective, seed: int | None = None) -> RunSpec:
        """The same experiment with another objective, and another seed."""
        method = self.method.fitted_to(objective)
        return replace(self, objective=objective, method=method, seed=self.seed if seed is None else seed)


CONVERTER = make_converter()
register_text(CONVERTER, Objective, lambda objective: objective.text, parse_objective)  # type: ignore[type-abstract]


def _canonical(value: Any) -> dict[str, Any]:
    """The fields that are not at their defaults, as plain values; of a value that may be of several kinds, its kind."""
    found: dict[str, Any] = {}
    for name, own in differing(value).items():
        nested = is_dataclass(own) and not isinstance(own, Objective)
        kind = {"kind": own.kind} if nested and "kind" in vars(type(own)) else {}
        found[name] = kind | _canonical(own) if nested else _number_as_float(to_plain(own, None, CONVERTER))
    return found


def _number_as_float(value: Any) -> Any:
    """6 and 6.0 are one setting; a file gives the second for the first."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
