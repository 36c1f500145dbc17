"""Input gradients: gradients of chosen outputs with respect to the pixels (the paper's Fig. 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vsmooth.data.storage.images import check_images
from vsmooth.evaluate.predict import evaluation_mode, model_device
from vsmooth.evaluate.representation.features import every_logit
from vsmooth.metrics.inputs import check_labels

Outputs = Literal["correct", "incorrect", "virtual"]
Scale = Literal["logits", "probabilities"]


def choose_outputs(which: Outputs, labels: Tensor, num_classes: int, width: int) -> Tensor:
    """(N, width) float32, 1 for each output that is summed: the correct class, the K - 1 others, or the V virtual ones.

    `width` is K + V, or K for a model without virtual classes. ValueError for another word, labels outside 0..K-1, and
    virtual classes where there are none.
    """
    labels = check_labels(labels, len(labels), num_classes)
    if which not in ("correct", "incorrect", "virtual"):
        raise ValueError(f"outputs must be 'correct', 'incorrect' or 'virtual', got {which!r}")
    if width < num_classes or (which == "virtual" and width == num_classes):
        raise ValueError(f"{width} outputs for {num_classes} real classes: there are no virtual ones to look at")
    correct = torch.nn.functional.one_hot(labels, width).float()
    if which == "correct":
        return correct
    real = (torch.arange(width, device=labels.device) < num_classes).float()
    return real - correct if which == "incorrect" else (1 - real).expand(len(labels), width).clone()


def input_gradients(
    model: nn.Module, images: Tensor, chosen: Tensor, *, of: Scale = "logits", batch_size: int = 128
) -> Tensor:
    """Gradients with respect to the pixels of a sum of outputs, (N, C, H, W) float32 on the CPU.

    `d/dx sum_j chosen_nj f_j(x_n)`, model in eval mode with all K + V outputs. images (N, C, H, W) in [0, 1], chosen
    (N, K + V) from `choose_outputs`. `of` says whether f are the logits or their softmax; the paper writes f for the
    softmax, but probabilities sum to 1, so that the maps of the correct and of all virtual classes then differ in
    little but the sign. The logits' sum hardly moves either: without virtual classes the maps of "correct" and
    "incorrect" mirror each other whatever the label, so that only with virtual classes does their overlap say anything.
    Weights, their gradients and the mode of the model are left alone. Source: Simonyan et al.
    (2014), Sec. 3; Tsipras et al. (2019), Sec. 3. ValueError for images outside [0, 1] and sizes that do not fit.
    """
    if of not in ("logits", "probabilities"):
        raise ValueError(f"of must be 'logits' or 'probabilities', got {of!r}")

    def gradient(total: Callable[[Tensor, Tensor], Tensor], pixels: Tensor, weights: Tensor) -> Tensor:
        pixels.requires_grad_()
        return torch.autograd.grad(total(pixels, weights).sum(), pixels)[0]

    return _attribute(model, images, chosen, of, batch_size, gradient)


def integrated_gradients(
    model: nn.Module, images: Tensor, chosen: Tensor, *, of: Scale = "logits", steps: int = 50, batch_size: int = 16
) -> Tensor:
    """Integrated gradients from a black image, by captum: (N, C, H, W) float32 on the CPU.

    `x * int_0^1 d f(t x) / dx dt` by Gauss-Legendre with `steps` points; sums to f(x) - f(0) up to their number. The
    rest as `input_gradients`. Source: Sundararajan, Taly and Yan (2017), Eq. 1. ModuleNotFoundError without captum.
    """
    method = _captum().IntegratedGradients

    def attribution(total: Callable[[Tensor, Tensor], Tensor], pixels: Tensor, weights: Tensor) -> Tensor:
        found: Tensor = method(total).attribute(pixels, additional_forward_args=(weights,), n_steps=steps)
        return found

    return _attribute(model, images, chosen, of, batch_size, attribution)


def _attribute(
    model: nn.Module,
    images: Tensor,
    chosen: Tensor,
    of: Scale,
    batch_size: int,
    method: Callable[[Callable[[Tensor, Tensor], Tensor], Tensor, Tensor], Tensor],
) -> Tensor:
    check_images(images)
    if chosen.ndim != 2 or len(chosen) != len(images):
        raise ValueError(f"chosen outputs must be ({len(images)}, C), a row for each image, got {tuple(chosen.shape)}")
    device = model_device(model)

    def total(pixels: Tensor, weights: Tensor) -> Tensor:
        outputs = model(pixels).float()
        if outputs.shape[1] != weights.shape[1]:
            raise ValueError(f"the model gives {outputs.shape[1]} outputs but {weights.shape[1]} were chosen from")
        return ((outputs if of == "logits" else outputs.softmax(1)) * weights).sum(1)

    found = []
    with evaluation_mode(model), every_logit(model), torch.enable_grad():
        for part, weights in zip(images.split(batch_size), chosen.split(batch_size), strict=True):
            # A copy: the caller's images must neither ask for gradients nor be inference tensors.
            pixels = part.detach().to(device, copy=True)
            found.append(method(total, pixels, weights.to(device)).detach().float().cpu())
    return torch.cat(found)


def _captum() -> Any:
    try:
        import captum.attr
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("integrated gradients need captum: pip install captum", name="captum") from error
    return captum.attr
