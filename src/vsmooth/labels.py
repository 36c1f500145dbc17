"""Label schemes: the target probability of each class."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import Tensor

from vsmooth.about import About
from vsmooth.bounds import check_most
from vsmooth.shares import RedrawnShares
from vsmooth.targets import check_index_targets, check_not_one_hot, check_probabilities

_MOST_VIRTUAL = 1_000_000


def check_num_classes(num_classes: int) -> None:
    """Raise ``ValueError`` unless there are at least two real classes."""
    if not isinstance(num_classes, int | Integral):
        raise ValueError(f"num_classes must be a whole number, got {num_classes!r}")
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes}")


@dataclass(frozen=True)
class LabelScheme(ABC):
    """A target distribution over C classes: ``(1 - alpha) * y`` plus ``alpha`` spread over a smoothing set S."""

    alpha: float = 0.0
    name: ClassVar[str]
    short_name: ClassVar[str]
    about: ClassVar[About]

    def __post_init__(self) -> None:
        known = isinstance(self.alpha, int | float | Real)  # Real: numpy's numbers too
        if isinstance(self.alpha, bool) or not known or not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be a number in [0, 1], got {self.alpha!r}")

    @abstractmethod
    def smoothing_slice(self, num_classes: int, width: int) -> slice:
        """The classes of S among ``width`` outputs; ``ValueError`` if ``width`` does not fit the scheme."""

    @abstractmethod
    def width(self, num_classes: int) -> int:
        """Number of outputs C that a model trained with this scheme has."""

    def smoothing_weights(self, size: int) -> tuple[float, ...] | None:
        """How alpha is shared among the ``size`` classes of S, in the mean over samples; ``None``: equally."""
        return None

    @property
    def redrawn(self) -> RedrawnShares | None:
        """The shares that each sample draws for itself; ``None`` where all samples have :meth:`smoothing_weights`."""
        return None

    def smoothing_shares(self, samples: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor | None:
        """What the labels of N = ``samples`` take: (|S|,) if fixed, (N, |S|) if redrawn, ``None`` if uniform."""
        if self.redrawn is not None:
            return self.redrawn.draw(samples, size, dtype, device)
        weights = self.smoothing_weights(size)
        return None if weights is None else torch.tensor(weights, dtype=dtype, device=device)

    def encode(self, targets: Tensor, num_classes: int) -> Tensor:
        """Soft targets ``(1 - alpha) * y + alpha * u_S``.

        Args:
            targets: class indices (N,), any integer dtype, or probabilities (N, K), floating point.
            num_classes: K, the number of real classes.

        Returns:
            (N, C) probabilities, rows sum to 1; float32 for index targets, else the dtype of ``targets``.

        Raises:
            ValueError: an index outside 0..K-1, float indices, rows that do not sum to 1, or the wrong shape.

        Limits: ``alpha = 0`` gives the one-hot (or given) distribution padded with zeros; ``alpha = 1`` gives
        the uniform distribution over S whatever the class. The losses never build this tensor; it is here for
        inspection, for tests and for losses of your own.
        """
        y = _as_probabilities(targets, num_classes)
        encoded = y.new_zeros(len(y), self.width(num_classes))
        encoded[:, :num_classes] = y * (1 - self.alpha)
        members = self.smoothing_slice(num_classes, encoded.shape[1])
        size = members.stop - members.start
        if size:
            shares = self.smoothing_shares(len(y), size, encoded.dtype, encoded.device)
            encoded[:, members] += self.alpha * (1 / size if shares is None else shares)
        return encoded


def _as_probabilities(targets: Tensor, num_classes: int) -> Tensor:
    check_num_classes(num_classes)
    if targets.is_floating_point():
        if targets.ndim != 2:
            raise ValueError(
                f"floating-point targets are read as (N, K) probabilities, got shape {tuple(targets.shape)}; "
                "class indices must be integers: use targets.long()"
            )
        check_probabilities(targets, num_classes)
        return targets
    check_not_one_hot(targets, num_classes)
    if targets.ndim != 1 or targets.dtype == torch.bool:
        raise ValueError(f"index targets must be integers of shape (N,), got {targets.dtype} {tuple(targets.shape)}")
    indices = targets.long()
    check_index_targets(indices, num_classes)
    return torch.nn.functional.one_hot(indices, num_classes).float()


@dataclass(frozen=True)
class OneHot(LabelScheme):
    """All confidence on the true class: ``alpha = 0`` and S is empty."""

    name: ClassVar[str] = "one-hot"
    short_name: ClassVar[str] = "one-hot"
    about: ClassVar[About] = About("CE", "cross entropy: the baseline of all others", "none", "the usual training")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha != 0:
            raise ValueError(f"one-hot labels have alpha 0, got {self.alpha}; use LabelSmoothing or VirtualSmoothing")

    def width(self, num_classes: int) -> int:
        return num_classes

    def smoothing_slice(self, num_classes: int, width: int) -> slice:
        _check_plain_width(self, num_classes, width)
        return slice(0, 0)


@dataclass(frozen=True)
class LabelSmoothing(LabelScheme):
    """``(1 - alpha) * y + alpha / K`` on the K real classes (Szegedy et al. 2016; the paper's Eq. 1)."""

    name: ClassVar[str] = "label-smoothing"
    short_name: ClassVar[str] = "LS"
    about: ClassVar[About] = About(
        "(1 - ALPHA) CE - ALPHA mean_k log p_k",
        "less confidence: ALPHA is spread over all real classes",
        "none",
        "Szegedy et al. 2016",
    )

    def width(self, num_classes: int) -> int:
        return num_classes

    def smoothing_slice(self, num_classes: int, width: int) -> slice:
        _check_plain_width(self, num_classes, width)
        return slice(0, num_classes)


def _check_plain_width(scheme: LabelScheme, num_classes: int, width: int) -> None:
    if width != num_classes:
        raise ValueError(
            f"logits have {width} classes, but {scheme.name} labels with num_classes={num_classes} need exactly "
            f"{num_classes}; a model with virtual classes wants VirtualSmoothing"
        )


@dataclass(frozen=True)
class VirtualSmoothing(LabelScheme):
    """``(1 - alpha) * y`` on the K real classes and ``alpha`` spread over V virtual ones (the paper's Eq. 3).

    Args:
        alpha: total confidence of the virtual classes, in [0, 1], both ends allowed.
        num_virtual: V, at most a million. ``None`` means V = K when encoding; a loss then takes V from the width of
            the logits.
        distribution: how alpha is shared among the virtual classes. ``None``: uniform, alpha / V each, as in the paper.
            V non-negative numbers that sum to 1: a fixed distribution, the same for all samples.
            ``NoisyUniform(0.005)`` or ``RandomIntegers()``: redrawn for each sample and step, as in the authors' code
            for the ablation of the paper.
        collapsed: one virtual logit stands for all V: it is log V above each of V equal ones, which
            ``add_virtual_classes(model, V, collapsed=True)`` adds. Not with a distribution.

    Limits: ``alpha = 0`` is cross entropy over K + V logits with hard labels. Where V virtual logits are equal, the
    collapsed loss is less by the constant alpha log V, with the same gradient for the features and the real classes.
    Source: "Training Deep Neural Networks with Virtual Smoothing Classes", AAAI 2025, Sec. 3.1.
    """

    num_virtual: int | None = None
    distribution: tuple[float, ...] | RedrawnShares | None = None
    collapsed: bool = False
    name: ClassVar[str] = "virtual-smoothing"
    short_name: ClassVar[str] = "VS"
    about: ClassVar[About] = About(
        "-(1 - ALPHA) log p_y - ALPHA mean_v log p_v, p over K + V",
        "less over-confidence: ALPHA is spread over V virtual classes",
        "V more rows of the classifier, in training alone (V = K unless given)",
        "the paper (AAAI 2025)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        virtual = self.num_virtual
        if virtual is not None and (isinstance(virtual, bool) or not isinstance(virtual, int) or virtual < 1):
            raise ValueError(f"num_virtual must be a whole number of at least 1 (or None for V = K), got {virtual!r}")
        if virtual is not None:
            check_most("num_virtual", virtual, _MOST_VIRTUAL, "each is a row of weights, a logit of every image")
        if self.collapsed and self.distribution is not None:
            raise ValueError("collapsed virtual classes share alpha equally: leave out the distribution, or collapsed")
        if self.distribution is not None and not isinstance(self.distribution, RedrawnShares):
            shares = tuple(float(share) for share in self.distribution)
            object.__setattr__(self, "distribution", shares)
            self._check_distribution(shares)

    def _check_distribution(self, shares: tuple[float, ...]) -> None:
        if not shares or not all(share >= 0 for share in shares) or not math.isclose(sum(shares), 1, abs_tol=1e-6):
            raise ValueError(
                f"distribution must be non-negative and sum to 1, got {len(shares)} numbers summing to {sum(shares):g}"
            )
        if self.num_virtual is not None and len(shares) != self.num_virtual:
            raise ValueError(f"distribution has {len(shares)} numbers for num_virtual={self.num_virtual}")

    def count(self, num_classes: int) -> int:
        """V: how many virtual classes share alpha."""
        return self._fixed_virtual() or num_classes

    def _fixed_virtual(self) -> int | None:
        return len(self.distribution) if isinstance(self.distribution, tuple) else self.num_virtual

    def width(self, num_classes: int) -> int:
        return num_classes + (1 if self.collapsed else self.count(num_classes))

    def smoothing_slice(self, num_classes: int, width: int) -> slice:
        if width == num_classes:
            raise ValueError(
                f"logits have {width} classes, but virtual smoothing needs more than the {num_classes} real ones; in "
                "eval mode use torch.nn.functional.cross_entropy as validation loss, or all_logits(model) for all "
                "logits; a model without virtual classes wants add_virtual_classes(model)"
            )
        fixed = 1 if self.collapsed else self._fixed_virtual()
        if (width != num_classes + fixed) if fixed else (width < num_classes):
            raise ValueError(self._explain_width(num_classes, width, fixed))
        return slice(num_classes, width)

    def _explain_width(self, num_classes: int, width: int, fixed: int | None) -> str:
        loose = f"more than {num_classes}, {2 * num_classes} for V = K"
        fits = f"exactly {num_classes + fixed}" if fixed else loose
        kind, option = ("collapsed ", ", collapsed=True") if self.collapsed else ("", "")
        return (
            f"logits have {width} classes, but {kind}virtual smoothing with num_classes={num_classes} and "
            f"num_virtual={self._fixed_virtual()} needs {fits}; widen the model with add_virtual_classes(model{option})"
            " and, in eval mode, ask for all logits with all_logits(model)"
        )

    def smoothing_weights(self, size: int) -> tuple[float, ...] | None:
        return self.distribution if isinstance(self.distribution, tuple) else None

    @property
    def redrawn(self) -> RedrawnShares | None:
        return self.distribution if isinstance(self.distribution, RedrawnShares) else None
