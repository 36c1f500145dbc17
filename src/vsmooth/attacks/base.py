"""Base class of attacks: the outer call checks, projects and judges, so that a subclass implements only the search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, final

import torch
from torch import Tensor

from vsmooth.attacks.target import Target
from vsmooth.attacks.threat import ThreatModel
from vsmooth.targets import check_index_targets


@dataclass(frozen=True, eq=False)
class Attacked:
    """images: (N, C, H, W) float32, in the ball and in the bounds; fooled: (N,) bool, `Target.broken`."""

    images: Tensor
    fooled: Tensor


class Attack(ABC):
    """A frozen dataclass of settings; a subclass implements :meth:`_craft`."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name in tables."""

    @final
    def __call__(
        self,
        target: Target,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        *,
        seed: int = 0,
        right: Tensor | None = None,
    ) -> Attacked:
        """Attack every image that the model classifies correctly; the others come back unchanged and count as fooled.

        Args:
            images: (N, C, H, W) floating point in the threat model's bounds, not normalised.
            labels: (N,) class indices in 0..K-1.
            seed: all randomness depends on it (and on the batch).
            right: (N,) bool, ``target.right(images, labels)`` where that is known already; it saves a forward pass.

        Returns:
            What was found, clamped into the ball and the bounds, then judged by ``target.decide``. Epsilon 0 gives the
            clean images and decisions.

        Raises:
            ValueError: images or labels that are not as above; an epsilon wider than the images' space.
        """
        with torch.inference_mode(False), torch.no_grad():
            origin, labels = _checked(images, labels, target.num_classes, threat)
            right = target.right(origin, labels) if right is None else _checked_right(right, origin)
            if threat.epsilon == 0 or not right.any():
                return Attacked(origin.clone(), ~right)
            if right.all():
                return self._attack(target, origin, labels, threat, seed)
            attacked = self._attack(target, origin[right], labels[right], threat, seed)
            return Attacked(
                origin.index_put((right,), attacked.images), (~right).index_put((right,), attacked.fooled)
            )

    @abstractmethod
    def _craft(
        self, target: Target, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        """Images of the shape of ``images``, all of which are right when clean; ``generator`` is on the CPU."""

    def settings(self) -> dict[str, Any]:
        """The settings as plain values for a record; an attack inside an attack becomes a dict."""
        own = fields(self)  # type: ignore[arg-type]
        return {field.name: _plain(getattr(self, field.name)) for field in own if field.repr}

    def _attack(self, target: Target, origin: Tensor, labels: Tensor, threat: ThreatModel, seed: int) -> Attacked:
        with torch.enable_grad():
            found = self._craft(target, origin, labels, threat, torch.Generator().manual_seed(seed))
        if found.shape != origin.shape:
            raise ValueError(f"{self.name} gave images {tuple(found.shape)} for {tuple(origin.shape)}")
        found = found.detach().to(origin)
        found = torch.where(found.isnan(), origin, found)
        # What is inside already stays bit for bit as the attack judged it.
        keeps = threat.contains(found, origin)[:, None, None, None]
        inside = torch.where(keeps, found, threat.project(found, origin)).clamp_(threat.low, threat.high)
        return Attacked(inside, target.broken(inside, labels))


def _plain(value: Any) -> Any:
    if isinstance(value, Attack):
        return {"name": value.name, **value.settings()}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return list(value) if isinstance(value, tuple) else value


def _checked(images: Tensor, labels: Tensor, num_classes: int, threat: ThreatModel) -> tuple[Tensor, Tensor]:
    if images.ndim != 4 or not images.is_floating_point():
        found = f"{images.dtype} {tuple(images.shape)}"
        raise ValueError(f"images must be floating point (N, C, H, W), got {found}")
    if images.numel() == 0:
        raise ValueError(f"images are empty: shape {tuple(images.shape)}")
    low, high = (float(bound) for bound in images.detach().aminmax())
    if not (low >= threat.low and high <= threat.high):  # also true for NaN
        raise ValueError(
            f"images must lie in [{threat.low:g}, {threat.high:g}], got {low:.4g} to {high:.4g}: pass them as they are "
            "before normalisation, which belongs into the model, and bytes divided by 255"
        )
    if labels.shape != images.shape[:1] or labels.dtype == torch.bool or labels.is_floating_point():
        found = f"{labels.dtype} {tuple(labels.shape)}"
        raise ValueError(f"labels must be class indices ({len(images)},), one for each image, got {found}")
    check_index_targets(labels, num_classes)
    threat.check_fits(images)
    origin, labels = images.detach().float(), labels.to(images.device, torch.int64)
    # Inference tensors cannot take part in a backward pass; their copies here can.
    return (origin.clone() if origin.is_inference() else origin), (labels.clone() if labels.is_inference() else labels)


def _checked_right(right: Tensor, images: Tensor) -> Tensor:
    if right.shape != images.shape[:1] or right.dtype != torch.bool:
        found = f"{right.dtype} {tuple(right.shape)}"
        raise ValueError(f"right must be bool ({len(images)},), the decisions on the clean images, got {found}")
    return right.to(images.device)
