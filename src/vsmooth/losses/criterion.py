"""The one loss as a module: virtual smoothing in training, the ordinary cross entropy in eval mode."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from vsmooth.labels import LabelScheme, OneHot, VirtualSmoothing
from vsmooth.losses.cross_entropy import Reduction, check_options, compute_loss
from vsmooth.virtual_layers import shared_classes

_REAL_ONES = OneHot()


class SmoothedCrossEntropy(nn.Module):
    """Module form of :func:`smoothed_cross_entropy`; arguments as there, ``weight`` is kept as a buffer.

    In eval mode (``criterion.eval()``) a scheme with virtual classes gives the ordinary cross entropy of the K real
    logits, whether the K + V logits are given or the K ones; schemes without virtual classes ignore the mode.
    """

    weight: Tensor | None

    def __init__(
        self,
        scheme: LabelScheme,
        num_classes: int,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_options(scheme, num_classes, reduction, weight)
        self.scheme, self.num_classes = scheme, num_classes
        self.ignore_index, self.reduction = ignore_index, reduction
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self._wants_real(logits):
            return self._real_loss(logits, targets)
        weight = self._buffers["weight"]  # what self.weight finds, after a search that a small loss feels
        return compute_loss(logits, targets, self.scheme, self.num_classes, weight, self.ignore_index, self.reduction)

    def _wants_real(self, logits: Tensor) -> bool:
        return not self.training and isinstance(self.scheme, VirtualSmoothing) and isinstance(logits, Tensor)

    def _real_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy of the first K logits with hard labels, or with the given probabilities."""
        classes, dimension = self.num_classes, min(logits.ndim - 1, 1)
        if logits.ndim and logits.shape[dimension] != classes:
            self.scheme.smoothing_slice(classes, logits.shape[dimension])  # refuses what is not K + V
            logits = logits.narrow(dimension, 0, classes)
        weight = None if self.weight is None else self.weight[:classes]
        return compute_loss(logits, targets, _REAL_ONES, classes, weight, self.ignore_index, self.reduction)

    def extra_repr(self) -> str:
        return f"{self.scheme}, num_classes={self.num_classes}, reduction={self.reduction!r}"


class VirtualSmoothingLoss(SmoothedCrossEntropy):
    """``SmoothedCrossEntropy(VirtualSmoothing(alpha, num_virtual), num_classes)`` in one word."""

    knows_model: bool = False

    def __init__(
        self,
        num_classes: int,
        alpha: float,
        num_virtual: int | None = None,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
    ) -> None:
        scheme = VirtualSmoothing(alpha, num_virtual)
        super().__init__(scheme, num_classes, weight=weight, ignore_index=ignore_index, reduction=reduction)

    @classmethod
    def for_model(
        cls,
        model: nn.Module,
        alpha: float,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
    ) -> Self:
        """The criterion for the virtual classes that ``model`` has: K and V are those of its head.

        Logits must then have exactly K + V classes, which gives virtual smoothing, or exactly K, which the model
        returns in eval mode and which gives the ordinary cross entropy, so that a validation loop needs no change.

        Raises:
            ValueError: the model has no virtual classes, or heads of different K or V.

        Limits: a head in eval mode also returns K logits during training; :func:`vsmooth.check` finds that.
        """
        num_classes, num_virtual = shared_classes(model)
        made = cls(num_classes, alpha, num_virtual, weight=weight, ignore_index=ignore_index, reduction=reduction)
        made.knows_model = True
        return made

    def _wants_real(self, logits: Tensor) -> bool:
        if not self.training:
            return isinstance(logits, Tensor)
        return self.knows_model and isinstance(logits, Tensor) and self.num_classes in logits.shape[:2][-1:]
