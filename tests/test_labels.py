from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from torch import Tensor

from vsmooth import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing

INDEX = torch.tensor([0, 2])
PROBABILITIES = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.2, 0.6]])

# K = 3, alpha = 0.3, by hand from Eq. 1 (label smoothing) and Eq. 3 (virtual smoothing, V = 2)
HAND_COMPUTED = [
    (OneHot(), INDEX, [[1, 0, 0], [0, 0, 1]]),
    (OneHot(), PROBABILITIES, [[0.5, 0.5, 0], [0.2, 0.2, 0.6]]),
    (LabelSmoothing(0.3), INDEX, [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]),
    (LabelSmoothing(0.3), PROBABILITIES, [[0.45, 0.45, 0.1], [0.24, 0.24, 0.52]]),
    (VirtualSmoothing(0.3, 2), INDEX, [[0.7, 0, 0, 0.15, 0.15], [0, 0, 0.7, 0.15, 0.15]]),
    (VirtualSmoothing(0.3, 2), PROBABILITIES, [[0.35, 0.35, 0, 0.15, 0.15], [0.14, 0.14, 0.42, 0.15, 0.15]]),
    (
        VirtualSmoothing(0.3, distribution=(0.2, 0.8)),
        INDEX,
        [[0.7, 0, 0, 0.06, 0.24], [0, 0, 0.7, 0.06, 0.24]],
    ),
    (VirtualSmoothing(0.3), INDEX, [[0.7, 0, 0, 0.1, 0.1, 0.1], [0, 0, 0.7, 0.1, 0.1, 0.1]]),
]

SCHEMES = [
    OneHot(),
    LabelSmoothing(0.0),
    LabelSmoothing(0.1),
    LabelSmoothing(1.0),
    VirtualSmoothing(0.0, 1),
    VirtualSmoothing(0.3),
    VirtualSmoothing(0.3, 7),
    VirtualSmoothing(1.0, 4),
    VirtualSmoothing(0.6, distribution=(0.1, 0.2, 0.7)),
]


@pytest.mark.parametrize(("scheme", "targets", "rows"), HAND_COMPUTED)
def test_rows_are_those_computed_by_hand(scheme: LabelScheme, targets: Tensor, rows: list[list[float]]) -> None:
    torch.testing.assert_close(scheme.encode(targets, 3), torch.tensor(rows, dtype=torch.float32))


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize("num_classes", [2, 10, 257])
def test_rows_of_index_targets_sum_to_one(scheme: LabelScheme, num_classes: int) -> None:
    encoded = scheme.encode(torch.arange(num_classes), num_classes)
    assert encoded.shape == (num_classes, scheme.width(num_classes))
    torch.testing.assert_close(encoded.double().sum(1), torch.ones(num_classes).double(), atol=1e-6, rtol=0)
    assert encoded.min() >= 0


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6), (torch.bfloat16, 2e-2)]
)
def test_rows_of_probability_targets_sum_to_one_in_their_own_dtype(
    scheme: LabelScheme, dtype: torch.dtype, tolerance: float
) -> None:
    encoded = scheme.encode(torch.rand(20, 5, dtype=torch.float64).softmax(1).to(dtype), 5)
    assert encoded.dtype == dtype
    assert encoded.double().sum(1).sub(1).abs().max() <= tolerance


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_index_targets_give_the_rows_of_their_one_hot_probabilities(scheme: LabelScheme) -> None:
    targets = torch.tensor([3, 0, 3, 1])
    torch.testing.assert_close(scheme.encode(targets, 4), scheme.encode(torch.eye(4)[targets], 4))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.int64])
def test_any_integer_dtype_encodes_to_float32(dtype: torch.dtype) -> None:
    encoded = VirtualSmoothing(0.3, 2).encode(INDEX.to(dtype), 3)
    assert encoded.dtype == torch.float32
    assert torch.equal(encoded, VirtualSmoothing(0.3, 2).encode(INDEX, 3))


@pytest.mark.parametrize("targets", [torch.zeros(0, dtype=torch.long), torch.zeros(0, 3)])
def test_an_empty_batch_encodes_to_no_rows(targets: Tensor) -> None:
    assert VirtualSmoothing(0.3, 2).encode(targets, 3).shape == (0, 5)


def test_encoding_does_not_change_its_targets() -> None:
    targets = PROBABILITIES.clone()
    VirtualSmoothing(0.3, 2).encode(targets, 3)
    assert torch.equal(targets, PROBABILITIES)


@pytest.mark.parametrize("scheme", [LabelSmoothing(0), VirtualSmoothing(0, 2)], ids=repr)
def test_alpha_zero_is_one_hot_padded_with_zeros(scheme: LabelScheme) -> None:
    encoded = scheme.encode(INDEX, 3)
    assert torch.equal(encoded[:, :3], OneHot().encode(INDEX, 3))
    assert not encoded[:, 3:].any()


@pytest.mark.parametrize(
    ("scheme", "row"), [(LabelSmoothing(1), [1 / 3] * 3), (VirtualSmoothing(1, 2), [0, 0, 0, 0.5, 0.5])]
)
@pytest.mark.parametrize("targets", [INDEX, PROBABILITIES], ids=["index", "probability"])
def test_alpha_one_is_uniform_over_the_smoothing_set_whatever_the_class(
    scheme: LabelScheme, row: list[float], targets: Tensor
) -> None:
    torch.testing.assert_close(scheme.encode(targets, 3), torch.tensor([row, row]))


def test_num_virtual_defaults_to_as_many_as_real_classes() -> None:
    assert VirtualSmoothing(0.3).width(7) == 14
    assert torch.equal(VirtualSmoothing(0.3).encode(INDEX, 3), VirtualSmoothing(0.3, num_virtual=3).encode(INDEX, 3))


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_schemes_are_frozen(scheme: LabelScheme) -> None:
    with pytest.raises(FrozenInstanceError):
        scheme.alpha = 0.5  # type: ignore[misc]


def test_schemes_are_equal_and_hash_alike_by_value_and_kind() -> None:
    assert VirtualSmoothing(0.3, 2) == VirtualSmoothing(0.3, 2)
    assert VirtualSmoothing(0.3, distribution=[0.5, 0.5]) == VirtualSmoothing(0.3, distribution=(0.5, 0.5))  # type: ignore[arg-type]
    assert hash(VirtualSmoothing(0.3, distribution=torch.tensor([0.5, 0.5]))) == hash(  # type: ignore[arg-type]
        VirtualSmoothing(0.3, distribution=(0.5, 0.5))
    )
    different = [
        OneHot(),
        LabelSmoothing(0.0),
        LabelSmoothing(0.3),
        VirtualSmoothing(0.0),
        VirtualSmoothing(0.3),
        VirtualSmoothing(0.3, 2),
        VirtualSmoothing(0.3, 2, (0.5, 0.5)),
    ]
    assert len(set(different)) == len(different)
    assert len({*different, LabelSmoothing(0.3), VirtualSmoothing(0.3, 2)}) == len(different)


@pytest.mark.parametrize("alpha", [-0.1, 1.0001, float("nan"), float("inf"), True, "0.3", None])
@pytest.mark.parametrize("scheme", [LabelSmoothing, VirtualSmoothing])
def test_alpha_outside_the_unit_interval_is_refused(scheme: type[LabelScheme], alpha: Any) -> None:
    with pytest.raises(ValueError, match=r"alpha must be a number in \[0, 1\], got"):
        scheme(alpha)


def test_one_hot_refuses_an_alpha() -> None:
    with pytest.raises(ValueError, match=r"one-hot labels have alpha 0, got 0\.1; use LabelSmoothing"):
        OneHot(0.1)


@pytest.mark.parametrize("num_virtual", [0, -3, True, 2.0, "2"])
def test_num_virtual_below_one_or_not_whole_is_refused(num_virtual: Any) -> None:
    with pytest.raises(ValueError, match=r"num_virtual must be a whole number of at least 1 .*, got"):
        VirtualSmoothing(0.3, num_virtual)


@pytest.mark.parametrize("distribution", [(), (0.5, 0.4), (1.5, -0.5), (float("nan"), 1.0), (float("inf"), 0.0)])
def test_a_distribution_that_is_none_is_refused(distribution: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="distribution must be non-negative and sum to 1"):
        VirtualSmoothing(0.3, distribution=distribution)


def test_a_distribution_of_another_length_than_num_virtual_is_refused() -> None:
    with pytest.raises(ValueError, match="distribution has 2 numbers for num_virtual=3"):
        VirtualSmoothing(0.3, 3, (0.5, 0.5))


BAD_TARGETS = [
    (torch.tensor([0, 3]), r"target 3 is out of range: class indices must be in 0\.\.2; check num_classes=3"),
    (torch.tensor([0, -1]), r"target -1 is out of range"),
    (torch.tensor([0, -100]), r"target -100 is out of range"),
    (torch.tensor([0.0, 1.0]), r"got shape \(2,\); class indices must be integers: use targets\.long\(\)"),
    (torch.tensor([True, False]), r"index targets must be integers of shape \(N,\), got torch\.bool"),
    (torch.zeros(2, 2, dtype=torch.long), r"index targets must be integers of shape \(N,\)"),
    (torch.tensor([[0.5, 0.4, 0.0]]), r"must sum to 1 over the classes; a row is off by 0\.1"),
    (torch.tensor([[0.5, 0.5, 0.5]]).bfloat16(), r"must sum to 1 over the classes; a row is off by 0\.5"),
    (torch.tensor([[1.5, -0.5, 0.0]]), r"must not be negative, got -0\.5"),
    (torch.tensor([[float("nan"), 0.5, 0.5]]), r"must sum to 1 .* off by nan"),
    (torch.tensor([[0.5, 0.5]]), r"have 2 columns, expected one per real class: 3"),
]


@pytest.mark.parametrize(("targets", "message"), BAD_TARGETS)
@pytest.mark.parametrize("scheme", [OneHot(), LabelSmoothing(0.3), VirtualSmoothing(0.3)], ids=lambda s: s.name)
def test_bad_targets_are_refused(scheme: LabelScheme, targets: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scheme.encode(targets, 3)


@pytest.mark.parametrize("num_classes", [1, 0, -2])
def test_fewer_than_two_classes_are_refused(num_classes: int) -> None:
    with pytest.raises(ValueError, match=f"num_classes must be at least 2, got {num_classes}"):
        VirtualSmoothing(0.3).encode(torch.tensor([0]), num_classes)


@pytest.mark.parametrize(
    ("scheme", "width", "message"),
    [
        (OneHot(), 6, "logits have 6 classes, but one-hot labels .* need exactly 3; .* wants VirtualSmoothing"),
        (LabelSmoothing(0.3), 2, "logits have 2 classes, but label-smoothing labels .* need exactly 3"),
        (VirtualSmoothing(0.3), 2, r"needs more than 3, 6 for V = K; widen the model with add_virtual_classes"),
        (VirtualSmoothing(0.3), 3, r"the 3 real ones; in eval mode use torch.nn.functional.cross_entropy as "),
        (VirtualSmoothing(0.3, 2), 3, r"the 3 real ones; .* without virtual classes wants add_virtual_classes"),
        (VirtualSmoothing(0.3, 2), 6, r"needs exactly 5; .* all_logits\(model\)"),
        (VirtualSmoothing(0.3, distribution=(0.5, 0.5)), 4, "needs exactly 5"),
    ],
)
def test_a_width_that_does_not_fit_names_the_widths_that_would(scheme: LabelScheme, width: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scheme.smoothing_slice(3, width)
