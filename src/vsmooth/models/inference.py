"""A copy of a network that gives the same logits faster: for attacks, which run it thousands of times an image."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vsmooth.classifier import find_classifier
from vsmooth.head import remove_virtual_classes, virtual_heads
from vsmooth.models.folding import Folded, ScaleShift, fold_batch_norms, scale_and_shift
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
        self._links = tuple(_links(body))  # before parts are wrapped, which changes their names
        if dtype not in (None, torch.float32):
            body = replace(body, network=_with_exact_classifier(body.network.to(dtype)))
        self.normalise, self.body, self.dtype = normalise, body.network, dtype
        self.folded, self.refused = body.count, body.refused

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Take over the present weights and statistics of `model`, of which this network was made.

        Nothing is traced or compared again: each folded convolution is multiplied anew, the rest is copied.
        """
        normalise, plain = _parts(model)
        self.normalise.load_state_dict(normalise.state_dict())
        for take_over in self._links:
            take_over(plain)

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
    network = InferenceNetwork(normalise, body, dtype).requires_grad_(False).eval()
    if dtype is not None:
        network.follow(model)  # the classifier's weights went through half precision on the way
    if prefers_channels_last(sample_images.device):
        network.body.to(memory_format=torch.channels_last)
    if compile:
        network.compile()
    return network


def _links(body: Folded) -> Iterator[Callable[[nn.Module], None]]:
    """Functions that bring one part of the network each up to date with the plain one that they are given."""
    for name, module in body.network.named_modules():
        if name in body.pairs:
            yield partial(_multiply, module, name, body.pairs[name])
        elif isinstance(module, ScaleShift):
            yield partial(_scale, module, name)
        elif any(True for _ in (*module.parameters(recurse=False), *module.buffers(recurse=False))):
            yield partial(_copy, module, name)


def _multiply(conv: nn.Conv2d, name: str, norm_name: str, plain: nn.Module) -> None:
    before, found = plain.get_submodule(name), scale_and_shift(plain.get_submodule(norm_name))
    assert isinstance(before, nn.Conv2d)
    assert found is not None
    assert conv.bias is not None
    scale, shift = found
    conv.weight.copy_(before.weight * scale.view(-1, 1, 1, 1))
    conv.bias.copy_(shift if before.bias is None else before.bias * scale + shift)


def _scale(module: ScaleShift, name: str, plain: nn.Module) -> None:
    found = scale_and_shift(plain.get_submodule(name))
    assert found is not None
    for own, new in zip((module.scale, module.shift), found, strict=True):
        own.copy_(new.view_as(own))


def _copy(module: nn.Module, name: str, plain: nn.Module) -> None:
    """Where the virtual classes were removed, the first rows are the real ones."""
    source = plain.get_submodule(name)
    for own, new in ((module._parameters, source._parameters), (module._buffers, source._buffers)):
        for key, tensor in own.items():
            value = new.get(key)
            if tensor is not None and value is not None:
                tensor.copy_(value[: len(tensor)] if tensor.ndim else value)


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
