"""Projection onto the plane through the templates of three classes (the paper's Fig. 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vsmooth.metrics.inputs import check_predictions
from vsmooth.metrics.representation_inputs import check_points
from vsmooth.metrics.similarity import mean_confusion

_FLAT = 1e-6  # of the longer side: three templates nearer to a line than this span no plane


@dataclass(frozen=True, eq=False)
class Plane:
    """An origin (D,) on the plane and an orthonormal basis (2, D) of its directions, float64."""

    origin: Tensor
    basis: Tensor

    def project(self, points: Tensor) -> Tensor:
        """Points (N, D) to coordinates (N, 2), `(p - origin) basis^T`; distances within the plane are kept."""
        points = check_points(points, "points")
        if points.shape[1] != len(self.origin):
            raise ValueError(f"points have {points.shape[1]} dimensions but the plane lies in {len(self.origin)}")
        return (points - self.origin.to(points.device)) @ self.basis.T.to(points.device)


def plane_basis(templates: Tensor) -> Plane:
    """The plane through three templates (3, D), D >= 2, with its origin at their centre.

    The first axis runs from the first template to the second; the third lies on the positive side of the other axis, so
    that the picture of a model is always the same way up. Source: Mueller, Kornblith and Hinton (2019), Sec. 2.
    ValueError for another number of templates, NaN or Inf, and three that lie on a line.
    """
    if templates.ndim != 2 or len(templates) != 3:
        raise ValueError(f"a plane needs the templates of exactly three classes (3, D), got {tuple(templates.shape)}")
    templates = check_points(templates, "templates")
    first, second = templates[1] - templates[0], templates[2] - templates[0]
    length = first.norm()
    along = first / length
    aside = second - (second @ along) * along
    longer = max(float(length), float(second.norm()))
    if not (float(length) > _FLAT * longer and float(aside.norm()) > _FLAT * longer):
        raise ValueError("the three templates lie on a line, so they span no plane; choose other classes")
    aside = aside / aside.norm()
    aside = aside - (aside @ along) * along  # once more: the first pass leaves rounding for nearly flat triangles
    return Plane(templates.mean(0), torch.stack([along, aside / aside.norm()]))


def choose_classes(probabilities: Tensor, labels: Tensor) -> tuple[int, int, int]:
    """Two classes that the model confuses most, and the one that it confuses least with both.

    By the symmetric mean confusion `(C + C^T) / 2`, `C_ij` the mean probability of j on samples of i; ties go to lower
    classes. probabilities (N, K), labels (N,). To compare labels, choose once, on the one-hot model. ValueError for
    fewer than three classes, in the probabilities or among the labels.
    """
    probabilities, labels = check_predictions(probabilities, labels)
    present = labels.unique()
    if len(present) < 3:
        raise ValueError(f"the plane needs three classes, but the samples are of {len(present)}: use data with more")
    confusion = mean_confusion(probabilities, labels)[present][:, present]
    shared = ((confusion + confusion.T) / 2).fill_diagonal_(-1.0)
    first, second = divmod(int(shared.argmax()), len(present))
    with_both = shared[first] + shared[second]
    with_both[[first, second]] = torch.inf
    return int(present[first]), int(present[second]), int(present[with_both.argmin()])


def between_share(plane: Plane, means: Tensor) -> float:
    """Share of the spread between class means (K, D) that lies in the plane, in [0, 1]: how much the picture shows.

    `sum ||P (m_k - m)||^2 / sum ||m_k - m||^2`. Limits: 1 for the three means of a plane through them. ValueError for
    fewer than two means, NaN or Inf, and equal means.
    """
    means = check_points(means, "class means", least=2)
    centred = means - means.mean(0)
    total = float(centred.square().sum())
    if total == 0:
        raise ValueError("all class means are equal, so there is no spread between them")
    return float((centred @ plane.basis.T.to(centred.device)).square().sum()) / total
