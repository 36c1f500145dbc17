"""Penultimate activations, all logits and the classifier's rows: what the pictures of a representation are made of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vsmooth.atomic import replacing
from vsmooth.classifier import find_classifier
from vsmooth.evaluate.npz_files import read_arrays
from vsmooth.evaluate.predict import predict
from vsmooth.evaluate.predictions import Predictions
from vsmooth.head import VirtualHead, all_logits, virtual_heads
from vsmooth.metrics.inputs import check_labels

_REBUILT = 0.02  # of the largest logit: how far rebuilt logits may be off, which half precision needs


@dataclass(frozen=True, eq=False)
class Features:
    """Of N samples: activations (N, D) and logits (N, K + V), float32, and labels (N,) int64, all on the CPU.

    The classifier's rows, float32: real (K, D) with their bias (K,), zeros if it has none, and virtual (V, D), V >= 0.
    ValueError for shapes that do not fit, NaN or Inf, and labels outside 0..K-1.
    """

    activations: Tensor
    logits: Tensor
    labels: Tensor
    real_templates: Tensor
    real_bias: Tensor
    virtual_templates: Tensor

    def __post_init__(self) -> None:
        tables = {"activations": self.activations, "logits": self.logits, "real_templates": self.real_templates}
        for name, table in (tables | {"virtual_templates": self.virtual_templates}).items():
            if table.ndim != 2 or not table.is_floating_point():
                raise ValueError(f"{name} must be floating point with 2 dimensions, got {tuple(table.shape)}")
            if not table.isfinite().all():
                raise ValueError(f"{name} hold NaN or Inf; has training diverged?")
        samples, width = self.activations.shape
        rows = self.num_classes + self.num_virtual
        expected = {
            "logits": (samples, rows),
            "real_templates": (self.num_classes, width),
            "real_bias": (self.num_classes,),
            "virtual_templates": (self.num_virtual, width),
        }
        for name, shape in expected.items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(f"{name} must be {shape} to fit the rest, got {tuple(getattr(self, name).shape)}")
        check_labels(self.labels, samples, self.num_classes)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.real_templates)

    @property
    def num_virtual(self) -> int:
        """V, 0 for a plain model."""
        return len(self.virtual_templates)

    @property
    def predictions(self) -> Predictions:
        """The logits of the real classes, with the labels."""
        return Predictions(self.logits[:, : self.num_classes], self.labels)

    def save(self, path: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write an npz; `half` stores float16, half the size, ValueError where a number does not fit it."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        if half:
            arrays = {n: a.half() if a.is_floating_point() else a for n, a in arrays.items()}
            too_large = [n for n, a in arrays.items() if not a.isfinite().all()]
            if too_large:
                raise ValueError(f"{too_large[0]} do not fit float16 (above 65504): save with half=False")
        with replacing(Path(path)) as partial, partial.open("wb") as file:
            np.savez(file, **{name: array.numpy() for name, array in arrays.items()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Features:
        """Read what `save` wrote, as float32; ValueError naming a file that is missing, damaged or something else."""
        arrays = read_arrays(path, "features")
        names = [field.name for field in fields(cls)]
        missing = sorted(set(names) - arrays.keys())
        if missing:
            raise ValueError(f"{path} has no array {missing[0]!r}, only {sorted(arrays)}")
        try:
            tensors = {name: torch.from_numpy(arrays[name]) for name in names}
            return cls(**{name: t.float() if t.is_floating_point() else t for name, t in tensors.items()})
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from error


def collect(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], *, head: str | nn.Module | None = None
) -> Features:
    """One forward pass, in eval mode, that keeps the input of the classifier and all its K + V logits.

    batches of (images, labels) as for `predict`; `head` names the classifier where `find_classifier` cannot tell. Of a
    1x1 convolution (N, D, H, W) before a mean over the pixels, that mean is kept, which gives the same logits.
    ValueError as `predict` and `find_classifier`, and where the logits are not a linear map of what was kept (two
    heads, something after the classifier), since the templates would then say nothing.
    """
    classifier = _classifier(model, head)
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        kept.append(_pooled(inputs[0].detach()).float().cpu())

    handle = classifier.register_forward_pre_hook(keep)
    try:
        with every_logit(model):
            predictions = predict(model, batches)
    finally:
        handle.remove()
    activations = torch.cat(kept) if kept else torch.zeros(0, 1)
    return _features(classifier, activations, predictions)


def every_logit(model: nn.Module) -> AbstractContextManager[nn.Module]:
    """Within it, a model with virtual classes gives all K + V logits; a plain one is as it was."""
    return all_logits(model) if virtual_heads(model) else nullcontext(model)


def _classifier(model: nn.Module, head: str | nn.Module | None) -> nn.Linear | nn.Conv2d:
    wide = virtual_heads(model)
    return wide[0][1] if wide else find_classifier(model, head)[1]


def _pooled(inputs: Tensor) -> Tensor:
    return inputs.mean((2, 3)) if inputs.ndim == 4 else inputs


def _features(classifier: nn.Linear | nn.Conv2d, activations: Tensor, predictions: Predictions) -> Features:
    weight = classifier.weight.detach().float().cpu().flatten(1)
    bias = weight.new_zeros(len(weight)) if classifier.bias is None else classifier.bias.detach().float().cpu()
    if activations.ndim != 2 or len(activations) != len(predictions):
        raise ValueError(
            f"the classifier's input has shape {tuple(activations.shape)} for {len(predictions)} images: it needs one "
            "vector for each (call the classifier once per image; of a compiled model, pass the original)"
        )
    rebuilt = activations @ weight.T + bias
    if rebuilt.shape != predictions.logits.shape or _is_off(rebuilt, predictions.logits):
        raise ValueError(
            "the model's logits are not those of its classifier on the kept activations: something follows it or is "
            "added to it, so its rows are no templates of the classes"
        )
    real = classifier.num_classes if isinstance(classifier, VirtualHead) else len(weight)
    return Features(
        activations, predictions.logits, predictions.labels, weight[:real].clone(), bias[:real].clone(),
        weight[real:].clone(),
    )


def _is_off(rebuilt: Tensor, logits: Tensor) -> bool:
    return float((rebuilt - logits).abs().max()) > _REBUILT * max(float(logits.abs().max()), 1e-6)
