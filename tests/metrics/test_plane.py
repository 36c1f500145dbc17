"""The plane of three templates: isometry, hand coordinates, the choice of classes, bad input."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vsmooth.metrics import between_share, choose_classes, plane_basis


def templates(seed: int = 0, width: int = 9) -> Tensor:
    return torch.randn(3, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_basis_is_orthonormal_and_the_projection_an_isometry_on_the_plane() -> None:
    corners = templates()
    plane = plane_basis(corners)
    torch.testing.assert_close(plane.basis @ plane.basis.T, torch.eye(2, dtype=torch.float64))
    weights = torch.randn(20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights[:, 2] = 1 - weights[:, 0] - weights[:, 1]  # affine combinations stay in the plane
    inside = weights @ corners
    torch.testing.assert_close(torch.pdist(plane.project(inside)), torch.pdist(inside))


def test_what_is_orthogonal_to_the_plane_vanishes() -> None:
    corners = templates()
    plane = plane_basis(corners)
    spanned = torch.linalg.qr((corners[1:] - corners[0]).T).Q  # an independent basis of the same directions
    offset = torch.randn(5, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    offset -= offset @ spanned @ spanned.T
    torch.testing.assert_close(plane.project(corners[:1] + offset), plane.project(corners[:1]).expand(5, 2))
    any_point = torch.randn(6, 9, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert (torch.pdist(plane.project(any_point)) <= torch.pdist(any_point)).all()


def test_the_picture_is_always_the_same_way_up() -> None:
    found = plane_basis(templates()).project(templates())
    assert found.mean(0).tolist() == pytest.approx([0, 0])
    assert float(found[0, 1]) == pytest.approx(float(found[1, 1]))  # first and second on a horizontal line
    assert found[1, 0] > found[0, 0]
    assert found[2, 1] > found[0, 1]
    right = torch.tensor([[0.0, 0, 7], [3, 0, 7], [0, 4, 7]])
    expected = [[-1, -4 / 3], [2, -4 / 3], [-1, 8 / 3]]
    assert plane_basis(right).project(right).tolist() == [pytest.approx(row) for row in expected]


def test_nearly_flat_triangles_stay_orthonormal() -> None:
    corners = templates()
    corners[2] = 0.3 * corners[0] + 0.7 * corners[1] + 1e-5 * corners[2]
    basis = plane_basis(corners).basis
    torch.testing.assert_close(basis @ basis.T, torch.eye(2, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_lower_precision_is_computed_in_float64(dtype: torch.dtype) -> None:
    plane = plane_basis(templates().to(dtype))
    assert plane.basis.dtype == torch.float64
    assert plane.project(templates().to(dtype)).dtype == torch.float64


def test_choose_the_two_most_confused_and_the_least_confused_with_both() -> None:
    # 0 and 2 share most. 1 and 3 are left: 1 shares .1 + .1 with them, 3 only .1 + .02.
    confusion = torch.tensor([
        [0.50, 0.10, 0.30, 0.10],
        [0.10, 0.80, 0.10, 0.00],
        [0.40, 0.10, 0.48, 0.02],
        [0.10, 0.00, 0.02, 0.88],
    ])
    assert choose_classes(confusion, torch.arange(4)) == (0, 2, 3)
    # Wrongly confident the other way round: only the mean of both directions counts.
    assert choose_classes(confusion.flip(0, 1), torch.arange(4)) == (1, 3, 0)


def test_classes_without_samples_are_not_chosen() -> None:
    probabilities = torch.eye(5)[[0, 1, 4]] * 0.9 + 0.02
    assert set(choose_classes(probabilities, torch.tensor([0, 1, 4]))) == {0, 1, 4}


def test_between_share() -> None:
    plane = plane_basis(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]))
    assert between_share(plane, torch.tensor([[0.0, 0, 5], [2, 0, 5], [0, 3, 5]])) == pytest.approx(1)
    assert between_share(plane, torch.tensor([[0.0, 0, 1], [0, 0, -1]])) == pytest.approx(0)
    assert between_share(plane, torch.tensor([[1.0, 0, 1], [-1, 0, -1]])) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="class means are equal"):
        between_share(plane, torch.ones(3, 3))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"exactly three classes \(3, D\), got \(2, 4\)"):
        plane_basis(torch.zeros(2, 4))
    for line in (torch.tensor([[0.0, 0], [1, 1], [3, 3]]), torch.ones(3, 4), torch.tensor([[0.0, 1], [0, 1], [1, 0]])):
        with pytest.raises(ValueError, match="lie on a line"):
            plane_basis(line)
    with pytest.raises(ValueError, match="templates: row 1 holds NaN or Inf"):
        plane_basis(torch.tensor([[0.0, 0], [float("inf"), 1], [3, 3]]))
    with pytest.raises(ValueError, match="points have 4 dimensions but the plane lies in 9"):
        plane_basis(templates()).project(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="points: row 0 holds NaN or Inf"):
        plane_basis(templates()).project(torch.full((2, 9), float("nan")))
    with pytest.raises(ValueError, match="needs three classes, but the samples are of 2"):
        choose_classes(torch.eye(2), torch.arange(2))
    with pytest.raises(ValueError, match="the samples are of 1"):
        choose_classes(torch.full((3, 4), 0.25), torch.zeros(3, dtype=torch.long))
