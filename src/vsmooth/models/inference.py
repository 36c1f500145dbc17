"""A copy of a network that gives the same logits faster: for attacks, which run it thousands of times an image."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vsmooth.classifier import find_classifier
from vsmooth.head import remove_virtual_classes, virtual_heads
from vsmooth.models.folding import Folded, fold_batch_norms
from vsmooth.models.normalise import NormalisedModel

Precision = Literal["fp32", "bf16"]


def prefers_channels_last(device: torch.device) -> bool:
    """Convolutions run fastest channels_last on CPUs (oneDNN) and on CUDA tensor cores."""
    return device.type in ("cpu", "cuda")


class InferenceNetwork(nn.Module):
    """Images (N, C, H, W) in [0, 1] to float32 logits; gradients for the images are contiguous, as the images are.

    `folded`: how many BatchNorms are part of a convolution now; `refused`: why none is, in words, where some could be
    but the network would not be the same. `dtype`: of weights and activations (None: unchanged).
    """

    def __init__(self, normalise: nn.Module, body: Folded, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.normalise, self.body, self.dtype = normalise, body.network, dtype
        self.folded, self.refused = body.count, body.refused

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(_Relaid.apply(self.normalise(images), self.dtype))
        return logits.float()

    def extra_repr(self) -> str:
        return f"dtype={self.dtype}, folded={self.folded}"


def inference_network(
    model: nn.Module,
    sample_images: Tensor,
    *,
    real_only: bool = True,
    fold: bool = True,
    compile: bool = False,
    dtype: torch.dtype | None = None,
) -> InferenceNetwork:
    """An equivalent of `model` in eval mode whose weights take no gradients; `model` itself stays as it is.

    Each BatchNorm becomes part of the convolution before it, where torch.fx can follow the code and nothing else
    reads that convolution, else one multiply-add (`vsmooth.models.folding`). Convolutions run in the layout that the
    device likes. Any batch size, but attackers should hand in float32 NCHW.

    Args:
        sample_images: (N, C, H, W) in [0, 1], a few, on which the folded network must agree with `model`: in its
            logits to 1e-3 of the largest (or of 1), and in its input gradients. Where it does not, nothing is folded.
        real_only: the K real logits; False keeps the virtual ones, K + V.
        compile: by torch.compile, half a minute at first, and again for other batch sizes.
        dtype: what the weights are cast to (torch.bfloat16); normalisation and the classifier stay float32, so that
            close logits do not become equal. None: as they are. No gradient is exact in half precision.

    Raises:
        ValueError: sample images of another shape or dtype; a dtype that is not floating point; more than one head
            with virtual classes.
    """
    if sample_images.ndim != 4 or not sample_images.is_floating_point() or not len(sample_images):
        found = f"{sample_images.dtype} {tuple(sample_images.shape)}"
        raise ValueError(f"sample_images must be floating point (N, C, H, W) with N >= 1, got {found}")
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"dtype must be floating point, such as torch.bfloat16, got {dtype}")
    normalise, plain = _parts(_evaluated_copy(model, real_only))
    body = fold_batch_norms(plain, normalise(sample_images).detach()) if fold else Folded(plain, 0)
    if dtype not in (None, torch.float32):
        body = replace(body, network=_with_exact_classifier(body.network.to(dtype)))
    network = InferenceNetwork(normalise, body, dtype).requires_grad_(False).eval()
    if prefers_channels_last(sample_images.device):
        network.body.to(memory_format=torch.channels_last)
    if compile:
        network.compile()
    return network


def _parts(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """What normalises, where that is a part of its own, and the rest."""
    return (model.normalise, model.network) if type(model) is NormalisedModel else (nn.Identity(), model)


def _evaluated_copy(model: nn.Module, real_only: bool) -> nn.Module:
    copied = copy.deepcopy(model).eval()
    copied.zero_grad(set_to_none=True)
    heads = virtual_heads(copied)
    if real_only and heads:
        return remove_virtual_classes(copied)
    for _, head in heads:
        head.keep_virtual = True
    return copied


class _Relaid(torch.autograd.Function):
    """Into the dtype and the layout of the convolutions; the gradient comes back in those of the images.

    Without it the gradient of a channels_last network is channels_last, on which an attacker's `view` fails.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, dtype: torch.dtype | None) -> Tensor:
        ctx.dtype = images.dtype
        liked = torch.channels_last if prefers_channels_last(images.device) else torch.contiguous_format
        return images.to(dtype or images.dtype, memory_format=liked)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.to(ctx.dtype, memory_format=torch.contiguous_format), None


class _InFloat32(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layer(features.float())
        return logits


def _with_exact_classifier(body: nn.Module) -> nn.Module:
    try:
        name, layer = find_classifier(body)
    except ValueError:
        return body
    if name:
        body.set_submodule(name, _InFloat32(layer.float()))
    return body
