"""Penultimate activations, all logits and the classifier's rows: the data for analyses of a representation."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from vsmooth.classifier import find_classifier
from vsmooth.data import Batch
from vsmooth.evaluate.predict import predict
from vsmooth.head import VirtualHead, all_logits, virtual_heads
from vsmooth.records.features import Features
from vsmooth.records.predictions import Predictions

_REBUILT = 0.02  # of the largest logit: how far rebuilt logits may be off, which half precision needs


def collect(
    model: nn.Module, batches: Iterable[Batch | tuple[Tensor, Tensor]], *, head: str | nn.Module | None = None
) -> Features:
    """One forward pass, in eval mode, that keeps the input of the classifier and all its K + V logits.

    batches of (images, labels) as for `predict`; `head` names the classifier where `find_classifier` cannot tell. Of a
    1x1 convolution (N, D, H, W) before a mean over the pixels, that mean is kept, which gives the same logits.
    ValueError as `predict` and `find_classifier`, and where the logits are not a linear map of what was kept (two
    heads, something after the classifier), since the templates would then say nothing.
    """
    classifier = classifier_of(model, head)
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        kept.append(pooled(inputs[0].detach()).float().cpu())

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


def classifier_of(model: nn.Module, head: str | nn.Module | None = None) -> nn.Linear | nn.Conv2d:
    """The layer that gives the logits, virtual ones included. ValueError as `find_classifier`."""
    wide = virtual_heads(model)
    return wide[0][1] if wide else find_classifier(model, head)[1]


def pooled(inputs: Tensor) -> Tensor:
    """The input of a classifier as (N, D): the mean over the pixels of that of a 1x1 convolution."""
    return inputs.mean((2, 3)) if inputs.ndim == 4 else inputs


def _features(classifier: nn.Linear | nn.Conv2d, activations: Tensor, predictions: Predictions) -> Features:
    weight = classifier.weight.detach().float().cpu().flatten(1)
    own = classifier.bias
    if isinstance(classifier, VirtualHead):
        own = classifier.with_offset(classifier.weight, own)
    bias = weight.new_zeros(len(weight)) if own is None else own.detach().float().cpu()
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
