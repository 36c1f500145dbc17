"""An experiment as a frozen value; its hash is the run folder's name, the resume key and the join key of reports."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vsmooth.data import Augmentation, Mixing
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.specs.label_names import AutoAlpha, label_text, parse_label
from vsmooth.labels import LabelScheme, OneHot
from vsmooth.train.hardware import Precision
from vsmooth.train.optim import Optimization

# Fields younger than the first runs: at their defaults they stay out of the key, so that those runs keep theirs.
_YOUNGER = (
    "image_size",
    "mixing",
    "drop_path",
    "sync_batchnorm",
    "distillation",
    "optimization.final_learning_rate",
    "augmentation.resized_crop",
    "augmentation.rand_augment",
    "augmentation.erasing",
)


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides the outcome of one training, and nothing else.

    image_size: side in pixels to which images are brought (None: as they are). drop_path: largest rate of
    stochastic depth. sync_batchnorm: BatchNorm's statistics are taken over all processes. distillation: what is learnt
    from a teacher (None: nothing, there is none).
    """

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
    image_size: int | None = None
    mixing: Mixing = field(default_factory=Mixing)
    drop_path: float = 0.0
    sync_batchnorm: bool = False
    distillation: Distillation | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be inside (0, 1), got {self.validation_fraction}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        if self.image_size is not None and self.image_size < 1:
            raise ValueError(f"image_size must be at least 1 pixel, got {self.image_size}")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path must be a probability in [0, 1), got {self.drop_path}")
        if self.distillation is not None:
            self.distillation.check_fits(self.mixing)

    def to_json(self) -> dict[str, Any]:
        """Plain values; the label as its text."""
        return {**asdict(self), "label": label_text(self.label)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RunSpec:
        """Undo :meth:`to_json`, also of an earlier version; ``ValueError`` for a file of a later one."""
        try:
            label = parse_label(value["label"])
            if isinstance(label, AutoAlpha):
                raise TypeError(f"label {value['label']!r} has no alpha")
            distillation = value.get("distillation")
            parts = {
                "label": label,
                "optimization": Optimization(**_with_tuples(value["optimization"])),
                "augmentation": Augmentation(**_with_tuples(value["augmentation"])),
                "mixing": Mixing(**value.get("mixing", {})),
                "distillation": None if distillation is None else Distillation.from_json(distillation),
            }
            return cls(**{**value, **parts})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the run's spec is of another vsmooth version ({error})") from error

    @property
    def key(self) -> str:
        """Ten hexadecimal digits that change with any field."""
        values, usual = self.to_json(), RunSpec(self.data, self.model).to_json()
        for path in _YOUNGER:
            part, _, name = path.rpartition(".")
            own, default = (values[part], usual[part]) if part else (values, usual)
            if own[name] == default[name]:
                del own[name]
        canonical = json.dumps(values, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:10]

    @property
    def folder(self) -> str:
        """A run folder's name that a person can read: ``vs-0.3-seed0-1a2b3c4d5e``, ``one-hot-kd-seed0-...``."""
        taught = "" if self.distillation is None else "-kd"
        return f"{label_text(self.label).replace(':', '-')}{taught}-seed{self.seed}-{self.key}"

    def with_label(self, label: LabelScheme, seed: int | None = None) -> RunSpec:
        """The same experiment with another label, and another seed."""
        return replace(self, label=label, seed=self.seed if seed is None else seed)


def _with_tuples(value: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
