"""The options of the training method, its attack and the step rule, and the settings that they describe."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from vsmooth.experiments.initial import InitialRuns
from vsmooth.experiments.run_paths import find_runs
from vsmooth.experiments.specs.adversarial import (
    AdversarialTrainingSettings,
    FastSettings,
    MartSettings,
    TradesSettings,
    one_step,
)
from vsmooth.experiments.specs.outlier import EnergyBoundSettings, OutlierExposureSettings, RejectClassesSettings
from vsmooth.experiments.specs.run_spec import Step, Training
from vsmooth.experiments.specs.standard import StandardTraining
from vsmooth.methods import Plain, WeightPerturbation

_METHODS: dict[str, type[Training]] = {
    kind.kind: kind
    for kind in (
        StandardTraining,
        AdversarialTrainingSettings,
        FastSettings,
        TradesSettings,
        MartSettings,
        OutlierExposureSettings,
        RejectClassesSettings,
        EnergyBoundSettings,
    )
}
# Where an option's value goes in the settings of a method.
_PLACES = {
    "epsilon": "crafting.epsilon",
    "attack_steps": "crafting.steps",
    "attack_step_size": "crafting.step_size",
    "attack_start": "crafting.start",
    "attack_batchnorm": "crafting.batchnorm",
    "epsilon_warmup": "crafting.epsilon_warmup",
    "fold": "crafting.fold",
    "craft_precision": "crafting.precision",
    "label_warmup": "label_warmup",
    "watch_images": "watch.images",
    "watch_steps": "watch.steps",
    "patience": "watch.patience",
    "train_attack": "attack",
    "attack_logits": "logits",
    "beta": "beta",
    "outliers": "outliers.source",
    "outlier_batch_size": "outliers.batch_size",
    "outlier_limit": "outliers.limit",
    "outlier_weight": "weight",
    "outlier_target": "target",
    "reject_classes": "reject",
    "pseudo_label": "pseudo_label",
    "energy_low": "low",
    "energy_high": "high",
    "energy_logits": "energy_logits",
}


@dataclass(frozen=True)
class AttackOptions:
    """The attack inside a training. An option that is left out has the default of the method."""

    epsilon: str | None = None
    """radius of the ball that training images are attacked in, for images in [0, 1]: a fraction or a number (8/255)"""
    attack_steps: int | None = None
    """steps of the training attack (10; fast-at: 1)"""
    attack_step_size: str | None = None
    """length of a step, for images in [0, 1] (2/255; fast-at: 1.25 epsilon)"""
    attack_start: Literal["uniform", "gaussian", "clean"] | None = None
    """where the attack begins: uniform in the ball; gaussian: .001 N(0, 1), trades' default; clean: the image itself"""
    attack_batchnorm: Literal["eval", "train"] | None = None
    """mode of the network while images are crafted (eval)"""
    epsilon_warmup: int | None = None
    """epochs over which epsilon grows to its full size (0)"""
    fold: bool = True
    """craft on a copy with BatchNorms folded into convolutions: faster, equal up to rounding"""
    craft_precision: Literal["fp32", "bf16"] | None = None
    """precision that images are crafted in (fp32)"""
    train_attack: Literal["ce", "kl", "margin", "kl-teacher"] | None = None
    """what the attack maximises, for at (ce, kl, margin) and distill --method ard (kl, kl-teacher, ce)"""
    label_warmup: int | None = None
    """epochs at the start with one-hot labels (0; the authors of virtual smoothing: 20 with AWP)"""
    watch_images: int | None = None
    """number of held-out images attacked by PGD after each epoch, which selects the best epoch; 0: none (1000)"""
    watch_steps: int | None = None
    """steps of that attack (10)"""
    patience: int | None = None
    """end the training after so many epochs without a better robust accuracy on held-out images (never)"""


@dataclass(frozen=True)
class OutlierOptions:
    """Outliers in a training. An option that is left out has the default of the method."""

    outliers: str | None = None
    """images of none of the classes: a folder, parquet or npy file, hub:owner/name, a name such as places365, or made:
    synthetic, synthetic:noise, synthetic:texture, synthetic:jigsaw, synthetic:blend (synthetic)"""
    outlier_batch_size: int | None = None
    """number of outliers in a batch, beside its images (256)"""
    outlier_limit: int | None = None
    """number of outliers, evenly spaced (all; 10,000 synthetic ones)"""
    outlier_weight: float | None = None
    """weight of the outliers' loss (0.5; energy: 0.1)"""
    outlier_target: Literal["vs1", "vs2", "uniform"] | None = None
    """what oe trains outliers of virtual smoothing towards: vs1: alpha on the virtual classes; vs2: all on them;
    uniform: nothing; with other labels it is uniform over the real classes (vs1)"""
    reject_classes: int | None = None
    """number of reject classes of ssl (as many as there are classes)"""
    pseudo_label: Literal["decision", "best-reject", "random"] | None = None
    """class of an outlier in ssl: the network's decision where that is a reject class, else a random one; the reject
    class with the largest logit; random (decision)"""
    energy_low: float | None = None
    """bound of the energy of images of the classes (-23)"""
    energy_high: float | None = None
    """bound of the energy of outliers (-5)"""
    energy_logits: Literal["real", "all"] | None = None
    """logits that the energy is of (real)"""
    start_from: tuple[Path, ...] = ()
    """finished runs, or the --out of a comparison, whose weights the training starts from: the one of its seed and,
    among several, of its label"""

    @property
    def initial(self) -> InitialRuns | None:
        """The runs to start from; ``ValueError`` for a path that holds none."""
        return InitialRuns.of(find_runs(self.start_from)) if self.start_from else None


@dataclass(frozen=True)
class MethodOptions(OutlierOptions, AttackOptions):
    """The method that trains, and its settings."""

    method: Literal["standard", "at", "fast-at", "trades", "mart", "oe", "ssl", "energy"] = "standard"
    """standard; at: PGD adversarial training; fast-at: with one step; trades; mart; with outliers: oe (outlier
    exposure), ssl (reject classes), energy (energy bounds). `vsmooth distill` has ard"""
    beta: float | None = None
    """weight of the robust term of trades (6) and mart (5); the paper raises it with virtual labels (12 to 18)"""
    attack_logits: Literal["all", "real", "hybrid"] | None = None
    """logits that the attack climbs on and trades compares: all K + V; the K real ones; hybrid: attack on the real
    ones, divergence over all (trades only) (all)"""

    def settings(self) -> Training:
        """The method; ``ValueError`` for values that cannot be, and for an option that the method does not read."""
        return fill_in(_METHODS[self.method](), self, f"--method {self.method}")


@dataclass(frozen=True)
class StepOptions:
    """How a step makes gradients."""

    awp: float | None = None
    """adversarial weight perturbation: its size relative to each layer's weights (.005 to .01); None: plain steps"""
    awp_warmup: int = 0
    """epochs of plain steps before it starts (10 with trades in the literature)"""
    awp_layers: Literal["all", "body", "classifier"] = "all"
    """which layers are perturbed; body: all but the classifier"""

    def rule(self) -> Step:
        """The step rule; ``ValueError`` for AWP's settings without AWP."""
        if self.awp is not None:
            return WeightPerturbation(self.awp, self.awp_warmup, self.awp_layers)
        if self != StepOptions():
            raise ValueError("--awp-warmup and --awp-layers do nothing without --awp: give it a size, such as 0.005")
        return Plain()


def fill_in(settings: Any, options: AttackOptions, chosen: str) -> Any:
    """The settings with the options that were given.

    ``ValueError`` names an option that the settings have no place for; ``chosen``: the words that chose them.
    """
    given = {
        each.name: getattr(options, each.name)
        for each in fields(options)
        if each.name in _PLACES and getattr(options, each.name) != each.default
    }
    for name in ("epsilon", "attack_step_size"):
        if name in given:
            given[name] = parse_radius(given[name], name.replace("_", "-"))
    if isinstance(settings, FastSettings) and "epsilon" in given:
        given.setdefault("attack_step_size", one_step(given["epsilon"]).step_size)
    for name in given:
        if not _has(settings, _PLACES[name]):
            raise ValueError(f"--{name.replace('_', '-')} does nothing with {chosen}: leave it out{_hint(settings)}")
    return _replaced(settings, {_PLACES[name]: value for name, value in given.items()})


def options_of(settings: Training) -> MethodOptions:
    """The options that describe a method of this verb."""
    usual = type(settings)()
    own = {name: place for name, place in _PLACES.items() if _has(settings, place)}
    found = {name: (_get(settings, place), _get(usual, place)) for name, place in own.items()}
    changed = {name: value for name, (value, default) in found.items() if value != default}
    for name in ("epsilon", "attack_step_size"):
        if name in changed:
            changed[name] = repr(changed[name])
    return MethodOptions(method=settings.kind, **changed)  # type: ignore[arg-type]


def step_options_of(step: Step) -> StepOptions:
    """The options that describe a step rule."""
    return StepOptions(step.gamma, step.warmup, step.layers) if isinstance(step, WeightPerturbation) else StepOptions()


def parse_radius(text: str, option: str = "epsilon") -> float:
    """"8/255" or "0.03" as a number; ``ValueError`` for other words."""
    parts = text.split("/")
    try:
        numbers = [float(part) for part in parts]
        if not all(map(math.isfinite, numbers)):
            raise ValueError
        return numbers[0] if len(numbers) == 1 else numbers[0] / _only(numbers[1:])
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"--{option} takes a number or a fraction such as 8/255, got {text!r}") from None


def _only(numbers: list[float]) -> float:
    (number,) = numbers
    return number


def _hint(settings: Any) -> str:
    trained = isinstance(settings, StandardTraining)
    return ", or choose --method at, trades or another that reads it" if trained else ""


def _has(settings: Any, place: str) -> bool:
    first, _, rest = place.partition(".")
    names = {each.name for each in fields(settings)}
    return first in names and (not rest or _has(getattr(settings, first), rest))


def _get(settings: Any, place: str) -> Any:
    first, _, rest = place.partition(".")
    return _get(getattr(settings, first), rest) if rest else getattr(settings, first)


def _replaced(settings: Any, values: dict[str, Any]) -> Any:
    """The settings with new values at dotted places, all of a nested value at once: they are checked together."""
    direct = {name: value for name, value in values.items() if "." not in name}
    nested: dict[str, dict[str, Any]] = {}
    for place, value in values.items():
        first, _, rest = place.partition(".")
        if rest:
            nested.setdefault(first, {})[rest] = value
    inner = {name: replace(getattr(settings, name), **own) for name, own in nested.items()}
    return replace(settings, **direct, **inner)
