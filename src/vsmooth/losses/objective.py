"""Objectives: what the logits of a classifier are trained towards, and how it is written in one word.

An objective is a label scheme in the closed form of :mod:`vsmooth.losses.cross_entropy`, or one of
:mod:`vsmooth.losses.rivals`. Its text is what is typed and kept in records: ``one-hot``, ``ls:0.1``, ``vs:0.3:20``,
``focal:2``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from vsmooth.about import About
from vsmooth.labels import LabelScheme, OneHot, VirtualSmoothing
from vsmooth.losses.cross_entropy import smoothed_cross_entropy


class Objective(ABC):
    """A frozen value that turns logits and targets into a loss.

    usual: values of the parameter that are tried where it is to be chosen on validation data; empty for an objective
    without a parameter.
    """

    usual: ClassVar[tuple[float, ...]] = ()

    @property
    @abstractmethod
    def kind(self) -> str:
        """Long name of the family: "virtual-smoothing"."""

    @property
    @abstractmethod
    def text(self) -> str:
        """Canonical text, which :func:`vsmooth.losses.parse_objective` reads back: "vs:0.3"."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Short name in tables and figures: "VS 0.3"."""

    @property
    @abstractmethod
    def about(self) -> About:
        """Formula, purpose, cost and source, in a line each."""

    @property
    def parameter(self) -> float | None:
        """The number that tells objectives of one kind apart (alpha, gamma, ...); ``None`` where there is none."""
        return None

    def with_parameter(self, value: float) -> Objective:
        """The same objective with another parameter; ``ValueError`` where it has none."""
        raise ValueError(f"{self.text} has no parameter to choose")

    @property
    def virtual_labels(self) -> VirtualSmoothing | None:
        """The labels that the virtual classes of a network learn; ``None`` for an objective without such classes."""
        return None

    def num_virtual(self, num_classes: int) -> int:
        """V: how many virtual classes a network of ``num_classes`` real ones has in training."""
        labels = self.virtual_labels
        return 0 if labels is None else labels.width(num_classes) - num_classes

    def name_for(self, num_classes: int) -> str:
        """The name in a comparison of ``num_classes`` real classes, with V where it is not K: "VS 0.3 V=20"."""
        labels = self.virtual_labels
        count = num_classes if labels is None else labels.count(num_classes)
        return self.name if count == num_classes else f"{self.name} V={count}"

    @abstractmethod
    def loss(self, logits: Tensor, targets: Tensor, num_classes: int) -> Tensor:
        """The mean loss, a scalar, of logits (N, K + V) against class indices (N,) or probabilities (N, K).

        Every objective is linear in the probabilities: their loss is that of each class, weighted. Further dimensions
        follow the classes, as in torch. Index targets of -100 add nothing. Half-precision logits give float32.
        ``ValueError`` as :func:`vsmooth.losses.smoothed_cross_entropy`.
        """


@dataclass(frozen=True)
class LabelObjective(Objective):
    """Cross entropy against the labels of a scheme: ``mean_i CE(z_i, scheme(y_i))``; the paper's Eq. 4 for VS."""

    scheme: LabelScheme
    usual: ClassVar[tuple[float, ...]] = (0.05, 0.1, 0.3, 0.5)

    @property
    def kind(self) -> str:
        return self.scheme.name

    @property
    def text(self) -> str:
        """Raises:
            ValueError: virtual classes that the text cannot say: whose distribution is not uniform (fixed or redrawn),
                and collapsed ones.
        """
        scheme = self.scheme
        if isinstance(scheme, OneHot):
            return scheme.name
        if isinstance(scheme, VirtualSmoothing) and scheme.distribution is not None:
            raise ValueError(
                "an experiment's label has no text for a distribution over the virtual classes, fixed or redrawn; use "
                "SmoothedCrossEntropy in your own training loop"
            )
        if isinstance(scheme, VirtualSmoothing) and scheme.collapsed:
            raise ValueError(
                "collapsed virtual classes are an objective of their own, typed vs-collapsed:ALPHA: use "
                "CollapsedVirtualSmoothing of vsmooth.losses.rivals"
            )
        text = f"{scheme.short_name.lower()}:{shortest(scheme.alpha)}"
        count = scheme.num_virtual if isinstance(scheme, VirtualSmoothing) else None
        return text if count is None else f"{text}:{count}"

    @property
    def name(self) -> str:
        if isinstance(self.scheme, OneHot):
            return self.scheme.short_name
        return f"{self.scheme.short_name} {self.scheme.alpha:g}"

    @property
    def about(self) -> About:
        return self.scheme.about

    @property
    def parameter(self) -> float | None:
        return None if isinstance(self.scheme, OneHot) else self.scheme.alpha

    def with_parameter(self, value: float) -> Objective:
        if isinstance(self.scheme, OneHot):
            return super().with_parameter(value)
        return LabelObjective(replace(self.scheme, alpha=value))

    @property
    def virtual_labels(self) -> VirtualSmoothing | None:
        return self.scheme if isinstance(self.scheme, VirtualSmoothing) else None

    def loss(self, logits: Tensor, targets: Tensor, num_classes: int) -> Tensor:
        return smoothed_cross_entropy(logits, targets, self.scheme, num_classes)


def shortest(value: float) -> str:
    """A number as text that reads back as the same number, without digits that it does not need."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))
