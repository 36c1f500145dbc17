"""An experiment as a frozen value; its hash is the run folder's name, the resume key and the join key of reports."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vsmooth.data import Augmentation
from vsmooth.experiments.label_names import AutoAlpha, label_text, parse_label
from vsmooth.labels import LabelScheme, OneHot
from vsmooth.train.hardware import Precision
from vsmooth.train.optim import Optimization


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides the outcome of one training, and nothing else."""

    data: str
    model: str
    label: LabelScheme = field(default_factory=OneHot)
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

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be inside (0, 1), got {self.validation_fraction}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")

    def to_json(self) -> dict[str, Any]:
        """Plain values; the label as its text."""
        return {**asdict(self), "label": label_text(self.label)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RunSpec:
        """Undo :meth:`to_json`; ``ValueError`` for a file of another version."""
        try:
            label = parse_label(value["label"])
            if isinstance(label, AutoAlpha):
                raise TypeError(f"label {value['label']!r} has no alpha")
            optimization = {**value["optimization"], "milestones": tuple(value["optimization"]["milestones"])}
            parts = {
                "label": label,
                "optimization": Optimization(**optimization),
                "augmentation": Augmentation(**value["augmentation"]),
            }
            return cls(**{**value, **parts})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the run's spec is of another vsmooth version ({error})") from error

    @property
    def key(self) -> str:
        """Ten hexadecimal digits that change with any field."""
        canonical = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:10]

    @property
    def folder(self) -> str:
        """A run folder's name that a person can read: ``vs-0.3-seed0-1a2b3c4d5e``."""
        return f"{label_text(self.label).replace(':', '-')}-seed{self.seed}-{self.key}"

    def with_label(self, label: LabelScheme, seed: int | None = None) -> RunSpec:
        """The same experiment with another label, and another seed."""
        return replace(self, label=label, seed=self.seed if seed is None else seed)
