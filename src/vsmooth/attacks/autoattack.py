"""AutoAttack: the official code, from its package `pyautoattack`, as attacks of this library.

The members are the package's own objects with the settings of its versions. They run on what `Target.craft` gives;
what they find is judged, like that of any attack, by `Target.decide`. Source: Croce and Hein, "Reliable evaluation of
adversarial robustness with an ensemble of diverse parameter-free attacks" (ICML 2020).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vsmooth.attacks.base import Attack
from vsmooth.attacks.climb import Keep, check_count, input_gradient
from vsmooth.attacks.objectives import Aim
from vsmooth.attacks.retire import stop_where_fooled
from vsmooth.attacks.target import Logits, Target
from vsmooth.attacks.threat import ThreatModel
from vsmooth.bounds import check_one_of
from vsmooth.losses import dlr, margin

Member = Literal["apgd-ce", "apgd-dlr", "apgd-t", "fab-t", "square"]

_NAMES = {"apgd-ce": "APGD-CE", "apgd-dlr": "APGD-DLR", "apgd-t": "APGD-T", "fab-t": "FAB-T", "square": "Square"}
_FEWEST = {"apgd-dlr": 3, "apgd-t": 4}
"""The logits that a DLR loss needs."""
_NORMS = {"linf": "Linf", "l2": "L2"}
_USUAL_TARGETS = 9


@dataclass(frozen=True)
class AutoAttackMember(Attack):
    """One member of AutoAttack on one batch, as `run_standard_evaluation` of the package calls it.

    targets: wrong classes tried by APGD-T and FAB-T, the most likely first. steps: of APGD and FAB. queries: of Square.
    eot: gradients averaged in each step of APGD, for randomised models. keep: of APGD, as :class:`Climb` has it: "best"
        computes no further with an image that `decide` confirms to be fooled, "last" goes on with it to the last step,
        as the package does. The verdicts are the same but for images whose real decision turns back on the way, which
        count as fooled with "best". With eot > 1 it is always "last".

    The seed is set anew for each call, as in the package: batches of the same images give the same result. The random
    state of the caller is kept.

    Errors: ValueError for settings out of range, for fewer logits than the DLR loss or the targets need, for bounds of
    pixels other than [0, 1]; ModuleNotFoundError without the package.
    Limits: with K + V logits (view "all") the member takes a sample for broken as soon as a virtual class leads, and
    goes no further with it, although the real decision may still be right; on the K real logits it does not.
    """

    member: Member
    targets: int = _USUAL_TARGETS
    steps: int = 100
    queries: int = 5000
    restarts: int = 1
    eot: int = 1
    keep: Keep = "best"

    def __post_init__(self) -> None:
        check_one_of("member", self.member, get_args(Member))
        for name in ("targets", "steps", "queries", "restarts", "eot"):
            check_count(getattr(self, name), name)
        check_one_of("keep", self.keep, get_args(Keep))

    @property
    def name(self) -> str:
        """As in the paper: APGD-CE, APGD-T, FAB-T, Square."""
        return _NAMES[self.member]

    def _craft(
        self, target: Target, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        if (threat.low, threat.high) != (0.0, 1.0):
            raise ValueError(f"AutoAttack knows pixels in [0, 1] alone, got bounds [{threat.low:g}, {threat.high:g}]")
        logits = _contiguous(target.craft)
        devices = [images.device] if images.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.no_grad():
            self._check_outputs(logits(images[:1]).shape[1])
            attack = self._official(logits, threat, generator.initial_seed(), images.device)
            if self.keep == "best" and self.eot == 1 and self.member.startswith("apgd"):
                stop_where_fooled(attack, target)
            found: Tensor = attack.perturb(images.contiguous(), labels)
        return found

    def _check_outputs(self, outputs: int) -> None:
        fewest = _FEWEST.get(self.member, 2)
        if outputs < fewest:
            raise ValueError(
                f"{self.name} needs {fewest} logits or more for its DLR loss, got {outputs}: leave it out, as "
                "standard_autoattack does, or use the margin (CW, MultiTargetPGD)"
            )
        if self.member in ("apgd-t", "fab-t") and self.targets > outputs - 1:
            raise ValueError(f"targets must be at most {outputs - 1} for {outputs} logits, got {self.targets}")

    def _official(self, logits: Logits, threat: ThreatModel, seed: int, device: torch.device) -> Any:
        """The package's object; values that are not settings here are those of its `AutoAttack.__init__`."""
        _package()
        from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
        from pyautoattack.fab_pt import FABAttack_PT
        from pyautoattack.square import SquareAttack

        common = {
            "norm": _NORMS[threat.norm],
            "eps": threat.epsilon,
            "n_restarts": self.restarts,
            "seed": seed,
            "device": device,
        }
        if self.member == "square":
            return SquareAttack(logits, p_init=0.8, n_queries=self.queries, resc_schedule=False, **common)
        if self.member == "fab-t":
            return FABAttack_PT(logits, n_iter=self.steps, targeted=True, n_target_classes=self.targets, **common)
        apgd = common | {"n_iter": self.steps, "eot_iter": self.eot, "rho": 0.75, "logger": _Messages()}
        if self.member == "apgd-t":
            return APGDAttack_targeted(logits, n_target_classes=self.targets, **apgd)
        return APGDAttack(logits, loss=self.member.removeprefix("apgd-"), **apgd)


def standard_autoattack(num_outputs: int, targets: int | None = None) -> tuple[AutoAttackMember, ...]:
    """The standard version: APGD-CE, APGD-T, FAB-T, Square, each on the images that those before it left standing.

    num_outputs: the logits that are attacked, K or K + V. targets: of APGD-T and FAB-T; None is the standard version's
    min(9, num_outputs - 1); num_outputs - 1 on the K + V logits is AA+. With fewer than 4 logits there is no targeted
    DLR: with 3 APGD-DLR takes the place of APGD-T, with 2 nothing. ValueError for fewer than 2, or too many targets.
    """
    if num_outputs < 2:
        raise ValueError(f"AutoAttack needs 2 logits or more, got {num_outputs}")
    count = min(_USUAL_TARGETS, num_outputs - 1) if targets is None else targets
    if count > num_outputs - 1:
        raise ValueError(f"targets must be at most {num_outputs - 1} for {num_outputs} logits, got {count}")
    second = [AutoAttackMember("apgd-t", count)] if num_outputs >= _FEWEST["apgd-t"] else _untargeted_dlr(num_outputs)
    return (AutoAttackMember("apgd-ce"), *second, AutoAttackMember("fab-t", count), AutoAttackMember("square"))


def rand_autoattack(num_outputs: int, eot: int = 20) -> tuple[AutoAttackMember, ...]:
    """The version for randomised models: APGD-CE and, from 3 logits, APGD-DLR, on means of `eot` gradients."""
    return (AutoAttackMember("apgd-ce", eot=eot), *_untargeted_dlr(num_outputs, eot))


def _untargeted_dlr(num_outputs: int, eot: int = 1) -> list[AutoAttackMember]:
    return [AutoAttackMember("apgd-dlr", eot=eot)] if num_outputs >= _FEWEST["apgd-dlr"] else []


def autoattack_flags(target: Target, images: Tensor, labels: Tensor) -> tuple[str, ...]:
    """Warnings of the package's own checks of a model, as sentences, from a few images; empty if there are none.

    They ask whether logits are random or are probabilities (`decide` and `craft`), whether the model optimises when it
    classifies (`decide`), and how many of the images that are right have a zero gradient (`craft`; of DLR, or of the
    margin below 3 logits).
    """
    _package()
    from pyautoattack import checks

    said = _Messages()
    images, labels = images.detach().contiguous(), labels.to(images.device)
    with torch.no_grad():
        for logits in (target.decide, target.craft):
            checks.check_randomized(logits, images, labels, bs=len(images), logger=said)
            outputs = checks.check_range_output(logits, images, logger=said)
    with _tracer_kept(checks.funcs):
        checks.check_dynamic(target.decide, images, logger=said)
    # The DLR of a wrong sample whose label is third is constant: its gradient says nothing of the model.
    right = target.right(images, labels)
    if right.any():
        aim = Aim(dlr if outputs >= _FEWEST["apgd-dlr"] else margin, (labels[right],))
        gradient, _ = input_gradient(target.craft, aim, images[right])
        checks.check_zero_gradients(gradient.contiguous(), logger=said)
    return tuple(dict.fromkeys(said))


def autoattack_version() -> str:
    """Version of the official package. ModuleNotFoundError without it."""
    return str(_package().__version__)


class _Messages(list[str]):
    """A logger for the package, which would write each of its warnings anew for every batch and target."""

    def warning(self, message: str) -> None:
        self.append(message.split(" See ")[0])


def _package() -> Any:
    try:
        import pyautoattack
    except ModuleNotFoundError as error:
        if error.name != "pyautoattack":
            raise
        text = 'AutoAttack is the official code: pip install pyautoattack (or "vsmooth[robust]")'
        raise ModuleNotFoundError(text, name="pyautoattack") from error
    return pyautoattack


def _contiguous(craft: Logits) -> Callable[[Tensor], Tensor]:
    """`craft` on contiguous images with contiguous gradients: the package takes views of both."""

    def logits(images: Tensor) -> Tensor:
        pixels = images.contiguous()
        if pixels.requires_grad and torch.is_grad_enabled():
            pixels = pixels.view_as(pixels)  # a tensor of ours: hooks on the package's would pile up
            pixels.register_hook(Tensor.contiguous)
        return craft(pixels)

    return logits


@contextmanager
def _tracer_kept(counts: dict[str, int]) -> Iterator[None]:
    """For the package's check of dynamic defences, which ends the tracer of a debugger and counts over all models."""
    tracer = sys.gettrace()
    counts.update(dict.fromkeys(counts, 0))
    try:
        yield
    finally:
        sys.settrace(tracer)
        counts.update(dict.fromkeys(counts, 0))
