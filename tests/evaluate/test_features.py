"""Activations, logits and templates: what is kept, files, and models whose templates would mean nothing."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vsmooth import add_virtual_classes
from vsmooth.evaluate import Features, collect
from vsmooth.models import build_model


class ConvolutionHead(nn.Module):
    """A 1x1 convolution, then a mean over the pixels; or a ReLU between, as in SqueezeNet."""

    def __init__(self, rectified: bool = False) -> None:
        super().__init__()
        self.body, self.classifier = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 1)
        self.last = nn.ReLU() if rectified else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.last(self.classifier(self.body(images).tanh())).mean((2, 3))
        return found


class TwiceCalled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, images: Tensor) -> Tensor:
        vectors = images.mean((2, 3))
        return (self.fc(vectors) + self.fc(-vectors)) / 2


def linear_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 4))


def batches(sizes: tuple[int, ...] = (5, 3)) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.rand(size, 3, 4, 4, generator=generator), torch.randint(0, 4, (size,), generator=generator))
        for size in sizes
    ]


def test_keeps_the_classifier_input_of_a_plain_model() -> None:
    model = linear_model()
    found = collect(model, batches())
    images, labels = (torch.cat(part) for part in zip(*batches(), strict=True))
    torch.testing.assert_close(found.activations, model.eval()[:4](images).detach())
    torch.testing.assert_close(found.logits, model(images).detach())
    torch.testing.assert_close(found.real_templates, model[4].weight.detach())
    torch.testing.assert_close(found.real_bias, model[4].bias.detach())
    assert found.labels.tolist() == labels.tolist()
    assert (found.num_classes, found.num_virtual, len(found)) == (4, 0, 8)
    assert tuple(found.virtual_templates.shape) == (0, 7)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_model_with_virtual_classes_gives_all_logits_and_both_templates(wrapped: bool) -> None:
    model = add_virtual_classes(linear_model(), num_virtual=3)
    found = collect(nn.Sequential(model) if wrapped else model, batches())
    assert tuple(found.logits.shape) == (8, 7)
    torch.testing.assert_close(torch.cat([found.real_templates, found.virtual_templates]), model[4].weight.detach())
    images = torch.cat([images for images, _ in batches()])
    torch.testing.assert_close(found.predictions.logits, model.eval()(images).detach())  # K in eval mode, as ever
    rebuilt = found.activations @ found.real_templates.T + found.real_bias
    torch.testing.assert_close(found.predictions.logits, rebuilt)


def test_leaves_the_model_as_it_was() -> None:
    model = linear_model().train()
    model[2].eval()
    collect(model, batches())
    assert [module.training for module in model] == [True, True, False, True, True]
    assert not model[4]._forward_pre_hooks
    with pytest.raises(ValueError, match="lie in"):
        collect(model, [(torch.full((2, 3, 4, 4), 2.0), torch.zeros(2, dtype=torch.long))])
    assert not model[4]._forward_pre_hooks


@pytest.mark.parametrize("virtual", [0, 5])
def test_a_convolution_before_the_mean_is_pooled(virtual: int) -> None:
    torch.manual_seed(0)
    model: nn.Module = ConvolutionHead()
    if virtual:
        add_virtual_classes(model, virtual)
    found = collect(model, batches())
    assert tuple(found.activations.shape) == (8, 6)
    assert (found.num_classes, found.num_virtual) == (4, virtual)


def test_own_networks_are_collected() -> None:
    found = collect(add_virtual_classes(build_model("small", 4)), [(torch.rand(3, 3, 16, 16), torch.arange(3))])
    assert (found.num_classes, found.num_virtual) == (4, 4)


def test_models_whose_rows_are_no_templates_are_refused() -> None:
    torch.manual_seed(0)
    with pytest.raises(ValueError, match="logits are not those of its classifier on the kept activations"):
        collect(ConvolutionHead(rectified=True), batches())
    with pytest.raises(ValueError, match=r"shape \(10, 3\) for 5 images: it needs one vector for each"):
        collect(TwiceCalled(), batches((5,)))
    two_linears = nn.ModuleDict({"a": nn.Linear(3, 4), "b": nn.Linear(3, 4)})
    with pytest.raises(ValueError, match=r"cannot tell which layer .* or head=NAME"):
        collect(two_linears, batches())
    with pytest.raises(ValueError, match="no batches to predict"):
        collect(linear_model(), [])


@pytest.mark.parametrize("half", [False, True])
def test_files_round_trip(tmp_path: Path, half: bool) -> None:
    found = collect(add_virtual_classes(linear_model()), batches())
    found.save(tmp_path / "features.npz", half=half)
    loaded = Features.load(tmp_path / "features.npz")
    for field in fields(Features):
        before, after = getattr(found, field.name), getattr(loaded, field.name)
        assert after.dtype == before.dtype
        torch.testing.assert_close(after, before, atol=2e-3 if half else 0, rtol=0)


def test_half_precision_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    found = collect(linear_model(), batches())
    with pytest.raises(ValueError, match="activations do not fit float16"):
        replace(found, activations=found.activations * 1e6).save(tmp_path / "x.npz", half=True)
    assert not list(tmp_path.iterdir())


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "features.npz"
    with pytest.raises(ValueError, match=f"there is no features file at {path}"):
        Features.load(path)
    path.write_bytes(b"PK not a zip")
    with pytest.raises(ValueError, match=f"{path} is not a readable npz of features"):
        Features.load(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ValueError, match="a single array, not an npz archive"):
        Features.load(tmp_path / "one.npy")
    np.savez(path, logits=np.zeros((2, 3)), labels=np.zeros(2))
    with pytest.raises(ValueError, match="has no array 'activations', only"):
        Features.load(path)
    collect(linear_model(), batches()).save(path)
    arrays = dict(np.load(path)) | {"labels": np.full(8, 9)}
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=rf"{path}: label 9 at index 0 is outside 0\.\.3"):
        Features.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activations": torch.zeros(8, 6)}, r"real_templates must be \(4, 6\) to fit the rest, got \(4, 7\)"),
        ({"logits": torch.zeros(8, 5)}, r"logits must be \(8, 4\) to fit the rest, got \(8, 5\)"),
        ({"logits": torch.full((8, 4), float("nan"))}, "logits hold NaN or Inf; has training diverged"),
        ({"real_bias": torch.zeros(3)}, r"real_bias must be \(4,\)"),
        ({"labels": torch.zeros(7, dtype=torch.long)}, "8 predictions but 7 labels"),
        ({"virtual_templates": torch.zeros(7)}, "virtual_templates must be floating point with 2 dimensions"),
    ],
)
def test_arrays_that_do_not_fit_are_named(changes: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(collect(linear_model(), batches()), **changes)
