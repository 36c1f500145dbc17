"""Gradients of chosen outputs: finite differences, linear models, captum, what is left alone, bad input."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor, nn

from vsmooth import add_virtual_classes, all_logits
from vsmooth.evaluate import choose_outputs, input_gradients, integrated_gradients
from vsmooth.metrics import map_overlap

LABELS = torch.tensor([0, 2, 1])


def smooth_model(virtual: int = 0) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    return add_virtual_classes(model, virtual) if virtual else model


def images() -> Tensor:
    return torch.rand(3, 3, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_chosen_outputs_by_hand() -> None:
    assert choose_outputs("correct", LABELS, 3, 5).tolist() == [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0]]
    assert choose_outputs("incorrect", LABELS, 3, 5).tolist() == [[0, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0]]
    assert choose_outputs("virtual", LABELS, 3, 5).tolist() == [[0, 0, 0, 1, 1]] * 3
    assert choose_outputs("incorrect", LABELS, 3, 3).sum(1).tolist() == [2, 2, 2]


@pytest.mark.parametrize("which", ["correct", "incorrect", "virtual"])
@pytest.mark.parametrize("of", ["logits", "probabilities"])
def test_agrees_with_finite_differences(which: str, of: str) -> None:
    model = smooth_model(virtual=4)
    chosen = choose_outputs(which, LABELS, 3, 7)  # type: ignore[arg-type]
    found = input_gradients(model, images(), chosen, of=of)  # type: ignore[arg-type]

    def total(pixels: Tensor) -> Tensor:
        with all_logits(model.eval()), torch.no_grad():
            outputs = model(pixels)
        return ((outputs if of == "logits" else outputs.softmax(1)) * chosen).sum(1)

    step = 1e-5
    for place in range(12):
        nudge = torch.zeros(12, dtype=torch.float64).scatter(0, torch.tensor(place), step).view(1, 3, 2, 2)
        slope = (total(images() + nudge) - total(images() - nudge)) / (2 * step)
        torch.testing.assert_close(found.flatten(1)[:, place].double(), slope, atol=1e-6, rtol=1e-4)


def test_the_gradient_of_a_linear_model_is_its_rows() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    found = input_gradients(model, images().float(), choose_outputs("correct", LABELS, 3, 3))
    torch.testing.assert_close(found.flatten(1), model[1].weight.detach()[LABELS])


def test_batches_do_not_matter_and_the_model_is_left_alone() -> None:
    model = smooth_model(virtual=2).train()
    chosen = choose_outputs("virtual", LABELS, 3, 5)
    whole, parts = (input_gradients(model, images(), chosen, batch_size=size) for size in (128, 2))
    torch.testing.assert_close(whole, parts)
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model(images()).shape[1] == 5
    assert model.eval()(images()).shape[1] == 3


def test_inference_tensors_and_no_grad_are_no_obstacle() -> None:
    with torch.inference_mode():
        inputs = images()
    with torch.no_grad():
        found = input_gradients(smooth_model(), inputs, choose_outputs("correct", LABELS, 3, 3))
    assert found.abs().sum() > 0


def test_all_probabilities_sum_to_one_so_their_gradients_cancel() -> None:
    model = smooth_model(virtual=4)
    parts = [
        input_gradients(model, images(), choose_outputs(which, LABELS, 3, 7), of="probabilities")
        for which in ("correct", "incorrect", "virtual")
    ]
    torch.testing.assert_close(sum(parts), torch.zeros_like(parts[0]), atol=1e-7, rtol=0)


def test_overlap_of_mirrored_maps_is_complete() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    with torch.no_grad():
        model[1].weight[1] = -model[1].weight[0]  # as rows that sum to 0 must be for two classes
    maps = [
        input_gradients(model, images().float(), choose_outputs(which, LABELS.clamp(max=1), 2, 2))
        for which in ("correct", "incorrect")
    ]
    assert map_overlap(*maps).rank.tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("virtual", [0, 2])
def test_integrated_gradients_are_complete_and_exact_for_linear_models(virtual: int) -> None:
    pytest.importorskip("captum")
    width = 3 + virtual
    chosen = choose_outputs("virtual" if virtual else "correct", LABELS, 3, width)
    model = smooth_model(virtual)
    found = integrated_gradients(model, images(), chosen, steps=64, batch_size=2).double()

    def total(pixels: Tensor) -> Tensor:
        outputs = model.train(False)(pixels)
        if virtual:
            with all_logits(model):
                outputs = model(pixels)
        return (outputs * chosen).sum(1).detach()

    expected = total(images()) - total(torch.zeros_like(images()))
    torch.testing.assert_close(found.flatten(1).sum(1), expected, atol=1e-4, rtol=1e-4)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    exact = integrated_gradients(linear, images().float(), choose_outputs("correct", LABELS, 3, 3), steps=4)
    rows = linear[1].weight.detach()[LABELS]
    torch.testing.assert_close(exact.flatten(1), images().float().flatten(1) * rows, atol=1e-5, rtol=1e-4)


def test_without_captum_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(ModuleNotFoundError, match="integrated gradients need captum: pip install captum"):
        integrated_gradients(smooth_model(), images(), choose_outputs("correct", LABELS, 3, 3))


def test_bad_input_is_named() -> None:
    model, chosen = smooth_model(), choose_outputs("correct", LABELS, 3, 3)
    with pytest.raises(ValueError, match="3 outputs for 3 real classes: there are no virtual ones"):
        choose_outputs("virtual", LABELS, 3, 3)
    with pytest.raises(ValueError, match="'correct', 'incorrect' or 'virtual', got 'all'"):
        choose_outputs("all", LABELS, 3, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"label 2 at index 1 is outside 0\.\.1"):
        choose_outputs("correct", LABELS, 2, 2)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got"):
        input_gradients(model, images() * 255, chosen)
    with pytest.raises(ValueError, match=r"must be \(3, C\), a row for each image, got \(2, 3\)"):
        input_gradients(model, images(), chosen[:2])
    with pytest.raises(ValueError, match="the model gives 3 outputs but 5 were chosen from"):
        input_gradients(model, images(), choose_outputs("virtual", LABELS, 3, 5))
    with pytest.raises(ValueError, match="of must be 'logits' or 'probabilities', got 'loss'"):
        input_gradients(model, images(), chosen, of="loss")  # type: ignore[arg-type]
