"""The shared forward pass: what it returns, what it leaves untouched, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vsmooth.evaluate import predict


def linear_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


def batches(count: int = 3, size: int = 5) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.rand(size, 3, 2, 2, generator=generator), torch.randint(0, 4, (size,), generator=generator))
        for _ in range(count)
    ]


def test_gathers_the_eval_mode_logits_in_order() -> None:
    model, split = linear_model(), batches()
    predictions = predict(model, iter(split))
    expected = model.eval()(torch.cat([images for images, _ in split]))
    torch.testing.assert_close(predictions.logits, expected)
    assert predictions.logits.dtype == torch.float32
    assert predictions.labels.tolist() == torch.cat([labels for _, labels in split]).tolist()
    assert not predictions.logits.is_inference()
    assert not predictions.logits.requires_grad


def test_leaves_the_model_as_it_was() -> None:
    model = linear_model().train()
    model[2].eval()  # a frozen BatchNorm must come back frozen
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predict(model, batches())
    assert [module.training for module in model.modules()] == [True, True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_restores_the_mode_after_an_error() -> None:
    model = linear_model().train()
    with pytest.raises(ValueError, match="lie in"):
        predict(model, [(torch.full((2, 3, 2, 2), 2.0), torch.zeros(2, dtype=torch.long))])
    assert all(module.training for module in model.modules())


def test_autocast_runs_in_the_named_dtype_and_returns_float32() -> None:
    seen: list[torch.dtype] = []
    model = linear_model()
    model[1].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    mixed = predict(model, batches(), autocast=torch.bfloat16)
    assert set(seen) == {torch.bfloat16}
    assert mixed.logits.dtype == torch.float32
    torch.testing.assert_close(mixed.logits, predict(model, batches()).logits, atol=0.03, rtol=0.03)


def test_a_model_without_parameters_runs_on_the_cpu() -> None:
    images = torch.rand(2, 4, 1, 1)
    assert torch.equal(predict(nn.Flatten(), [(images, torch.tensor([0, 3]))]).logits, images.flatten(1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((2, 3, 2, 2), 1.5), r"must lie in \[0, 1\], got 1.5 to 1.5"),
        (torch.full((2, 3, 2, 2), -0.25), r"must lie in \[0, 1\], got -0.25 to -0.25"),
        (torch.full((2, 3, 2, 2), float("nan")), "got nan to nan"),
        (torch.ones(2, 3, 2, 2, dtype=torch.uint8), "floating point .* of torch.uint8"),
        (torch.rand(3, 2, 2), r"\(N, C, H, W\) in \[0, 1\], got \(3, 2, 2\)"),
    ],
)
def test_bad_images_are_named(images: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predict(linear_model(), [(images, torch.zeros(len(images), dtype=torch.long))])


def test_an_empty_split_is_an_error() -> None:
    with pytest.raises(ValueError, match="no batches to predict"):
        predict(linear_model(), [])


def test_a_diverged_model_is_an_error() -> None:
    model = linear_model()
    nn.init.constant_(model[1].weight, float("nan"))
    with pytest.raises(ValueError, match="logits of sample 0 hold NaN or Inf"):
        predict(model, batches())


def test_labels_beyond_the_classes_are_named() -> None:
    with pytest.raises(ValueError, match=r"label 4 at index 1 is outside 0\.\.3"):
        predict(linear_model(), [(torch.rand(2, 3, 2, 2), torch.tensor([0, 4]))])
