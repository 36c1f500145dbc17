"""A criterion in a validation loop: the ordinary cross entropy of the K real logits."""

from __future__ import annotations

import copy
import io

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsmooth import (
    LabelSmoothing,
    SmoothedCrossEntropy,
    VirtualSmoothing,
    VirtualSmoothingLoss,
    add_virtual_classes,
    virtual_smoothing_loss,
)

K, V, ROWS = 4, 3, 8


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return add_virtual_classes(nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, K)), V)


def a_batch(width: int, *places: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(ROWS, width, *places, generator=generator)
    return logits, torch.randint(K, (ROWS, *places), generator=generator)


def test_k_and_v_are_those_of_the_head(model: nn.Module) -> None:
    criterion = VirtualSmoothingLoss.for_model(model, 0.3)
    assert (criterion.num_classes, criterion.scheme) == (K, VirtualSmoothing(0.3, V))
    logits, targets = a_batch(K + V)
    assert torch.equal(criterion(logits, targets), virtual_smoothing_loss(logits, targets, K, 0.3))
    target = VirtualSmoothing(0.3, V).encode(targets, K)
    torch.testing.assert_close(criterion(logits, targets), F.cross_entropy(logits, target))
    with pytest.raises(ValueError, match="Linear has no virtual classes; add them with add_virtual_classes"):
        VirtualSmoothingLoss.for_model(nn.Linear(3, K), 0.3)
    other = nn.ModuleList([model, add_virtual_classes(nn.Linear(5, K), V + 1)])
    with pytest.raises(ValueError, match=r"different numbers of classes \('0\.2' 4 \+ 3, '1' 4 \+ 4\): make one"):
        VirtualSmoothingLoss.for_model(other, 0.3)


@pytest.mark.parametrize("width", [K + V - 1, K + V + 1, K - 1, 2 * K])
def test_another_width_is_an_error_whatever_the_mode(model: nn.Module, width: int) -> None:
    for criterion in (VirtualSmoothingLoss.for_model(model, 0.3), VirtualSmoothingLoss(K, 0.3, V)):
        for mode in (True, False):
            with pytest.raises(ValueError, match=f"logits have {width} classes, .* needs exactly {K + V}"):
                criterion.train(mode)(*a_batch(width))


def test_a_validation_loop_needs_no_change(model: nn.Module) -> None:
    criterion = VirtualSmoothingLoss.for_model(model, 0.3)
    inputs, targets = torch.randn(ROWS, 5), a_batch(K)[1]
    assert criterion(model(inputs), targets) != F.cross_entropy(model(inputs), targets)
    logits = model.eval()(inputs)
    torch.testing.assert_close(criterion(logits, targets), F.cross_entropy(logits, targets))
    torch.testing.assert_close(criterion.eval()(logits, targets), F.cross_entropy(logits, targets))


WEIGHT = torch.tensor([1.0, 0.5, 2.0, 3.0])


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weight", [None, WEIGHT, torch.cat([WEIGHT, torch.ones(V)])], ids=["", "K", "K + V"])
@pytest.mark.parametrize("places", [(), (2, 3)], ids=["(N,)", "(N, H, W)"])
def test_eval_mode_is_torchs_cross_entropy_of_the_real_logits(
    places: tuple[int, ...], weight: Tensor | None, reduction: str
) -> None:
    logits, targets = a_batch(K + V, *places)
    targets[0] = -100
    criterion = VirtualSmoothingLoss(K, 0.3, weight=weight, reduction=reduction).eval()
    expected = F.cross_entropy(
        logits[:, :K], targets, weight=None if weight is None else weight[:K], reduction=reduction
    )
    torch.testing.assert_close(criterion(logits, targets), expected)
    torch.testing.assert_close(criterion(logits[:, :K], targets), expected)


def test_one_sample_and_probabilities_too() -> None:
    criterion = VirtualSmoothingLoss(K, 0.3).eval()
    logits, targets = a_batch(K + V)
    torch.testing.assert_close(criterion(logits[0], targets[0]), F.cross_entropy(logits[0, :K], targets[0]))
    mixed = torch.softmax(a_batch(K)[0], 1)
    torch.testing.assert_close(criterion(logits, mixed), F.cross_entropy(logits[:, :K], mixed))


def test_in_train_mode_k_logits_are_an_error_unless_the_model_is_known() -> None:
    with pytest.raises(ValueError, match="virtual smoothing needs more than the 4 real ones; in eval mode"):
        VirtualSmoothingLoss(K, 0.3)(*a_batch(K))
    with pytest.raises(ValueError, match="virtual smoothing needs more than the 4 real ones"):
        VirtualSmoothingLoss(K, 0.3, V)(*a_batch(K))


def test_label_smoothing_stays_itself_in_eval_mode_as_torchs_does() -> None:
    logits, targets = a_batch(K)
    smoothed = SmoothedCrossEntropy(LabelSmoothing(0.1), K).eval()(logits, targets)
    torch.testing.assert_close(smoothed, nn.CrossEntropyLoss(label_smoothing=0.1).eval()(logits, targets))


def test_a_copy_knows_the_model_too(model: nn.Module) -> None:
    criterion, file = VirtualSmoothingLoss.for_model(model, 0.3), io.BytesIO()
    torch.save(criterion, file)
    file.seek(0)
    for other in (copy.deepcopy(criterion), torch.load(file, weights_only=False)):
        assert torch.equal(other(*a_batch(K)), criterion(*a_batch(K)))


def test_a_compiled_criterion_follows_its_mode(model: nn.Module) -> None:
    torch.compiler.reset()
    criterion = VirtualSmoothingLoss.for_model(model, 0.3)
    compiled = torch.compile(criterion, backend="aot_eager")
    for mode in (True, False):
        for width in (K, K + V):
            torch.testing.assert_close(compiled.train(mode)(*a_batch(width)), criterion.train(mode)(*a_batch(width)))
