"""Arguments of the wrong kind are told before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vsmooth import SmoothedCrossEntropy, VirtualSmoothing, VirtualSmoothingLoss, smoothed_cross_entropy

LOGITS, TARGETS = torch.randn(4, 6), torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"logits": [[0.0] * 6]}, "must be tensors, got list and Tensor"),
        ({"targets": [0, 1, 2, 0]}, "must be tensors, got Tensor and list"),
        ({"scheme": "vs:0.3"}, r"scheme must be OneHot\(\), .* got 'vs:0.3'"),
        ({"num_classes": "3"}, "num_classes must be a whole number, got '3'"),
        ({"num_classes": 3.0}, "num_classes must be a whole number, got 3.0"),
        ({"weight": [1.0, 1.0, 1.0]}, "weight must be a tensor, got list"),
    ],
)
def test_the_kind_is_named(changed: dict[str, Any], message: str) -> None:
    arguments = {"logits": LOGITS, "targets": TARGETS, "scheme": VirtualSmoothing(0.3), "num_classes": 3, **changed}
    with pytest.raises(ValueError, match=message):
        smoothed_cross_entropy(**arguments)


def test_the_module_refuses_at_once() -> None:
    with pytest.raises(ValueError, match="reduction must be"):
        VirtualSmoothingLoss(3, 0.3, reduction="avg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scheme must be"):
        SmoothedCrossEntropy("vs", 3)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    ours = smoothed_cross_entropy(LOGITS, TARGETS, VirtualSmoothing(np.float64(0.3)), int(np.int64(3)))
    assert ours == smoothed_cross_entropy(LOGITS, TARGETS, VirtualSmoothing(0.3), np.int64(3))  # type: ignore[arg-type]
